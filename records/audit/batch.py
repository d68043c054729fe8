"""A batch on its way from the outbox to the ledger, with a MAC that the broker cannot make."""

from collections.abc import Sequence
from typing import Final

from core.crypto.kek import KekProvider, KeyPurpose
from core.crypto.primitives import lp

TASK: Final = "audit.store"
_LABEL: Final = b"confide/audit-batch/v1"


class Forged(Exception):
    """The MAC does not fit the batch: somebody else made it, or changed it on the way."""


def pack(keys: KekProvider, bodies: Sequence[bytes]) -> tuple[list[str], str]:
    """Return the arguments of the Celery task: the bodies as text, and their MAC in hex."""
    return [b.decode() for b in bodies], keys.mac(KeyPurpose.AUDIT, _LABEL, _message(bodies)).hex()


def unpack(keys: KekProvider, texts: Sequence[str], mac: str) -> list[bytes]:
    """Return the bodies of a batch, or raise Forged."""
    bodies = [text.encode() for text in texts]
    if not keys.verify_mac(KeyPurpose.AUDIT, _LABEL, _message(bodies), bytes.fromhex(mac)):
        raise Forged("the batch is not from this clinic")
    return bodies


def _message(bodies: Sequence[bytes]) -> bytes:
    return lp(*bodies)
