"""A batch on its way from the outbox to the ledger, with a MAC that the broker cannot make."""

from collections.abc import Sequence
from typing import Any, Final, NamedTuple

from core.crypto.kek import KekProvider, KeyPurpose
from core.crypto.primitives import lp

TASK: Final = "audit.store"
_LABEL: Final = b"confide/audit-batch/v2"


class Sent(NamedTuple):
    """A row of the outbox on its way: where it stood, the event's bytes, its producer's seal."""

    event_id: str
    body: bytes
    seal: bytes


class Forged(Exception):
    """The MAC does not fit the batch: somebody else made it, or changed it on the way."""


def pack(keys: KekProvider, batch: Sequence[Sent]) -> tuple[list[list[str]], str]:
    """Return the arguments of the Celery task: the rows as text, and their MAC in hex."""
    rows = [[s.event_id, s.body.decode(errors="backslashreplace"), s.seal.hex()] for s in batch]
    return rows, keys.mac(KeyPurpose.AUDIT, _LABEL, _message(rows)).hex()


def unpack(keys: KekProvider, rows: Sequence[Sequence[Any]], mac: str) -> list[Sent]:
    """Return the rows of a batch; Forged for one that the relay did not send, whatever it holds."""
    try:
        ours = keys.verify_mac(KeyPurpose.AUDIT, _LABEL, _message(rows), bytes.fromhex(mac))
    except (ValueError, TypeError, AttributeError, OverflowError):
        ours = False
    if not ours:
        raise Forged("the batch is not from this clinic")
    return [Sent(i, body.encode(), bytes.fromhex(seal)) for i, body, seal in rows]


def _message(rows: Sequence[Sequence[str]]) -> bytes:
    return b"".join(lp(*row) for row in rows)
