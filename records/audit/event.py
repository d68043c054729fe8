"""What the trail keeps of an act: ids and codes, never PHI (names: FHIR AuditEvent, IHE BALP)."""

from dataclasses import dataclass, field
from datetime import UTC, datetime
from enum import StrEnum
from typing import Any
from uuid import UUID

import orjson

from core.clock import now
from core.ids import new_id
from policies.vocabulary import Action, Outcome, Purpose, ResourceType
from records.anchors import Anchor

LIMIT = 8192
"""Bytes of a body at most: a hundred ids fit."""


class Act(StrEnum):
    """Acts that no policy decides, and yet are kept."""

    LOGIN = "login"
    LOGOUT = "logout"
    TOKEN = "token"  # noqa: S105 - a word, not a secret
    PASSWORD = "password"  # noqa: S105 - a word as well
    FACTOR = "factor"
    VOID = "void"
    PRUNE = "prune"


class Failure(StrEnum):
    """The third outcome: allowed, and it failed (a cell that does not open)."""

    ERROR = "error"


@dataclass(frozen=True, slots=True)
class Origin:
    """Where an act came from: one request, one task or one command."""

    endpoint: str
    request_id: str
    network: str = ""
    client: str = ""


@dataclass(frozen=True, slots=True)
class Stamp:
    """An event's number among those of its producer, one run of one process (`records.audit.numbers`)."""

    boot: UUID
    seq: int


@dataclass(frozen=True, slots=True)
class Event:
    """One act on one patient's data (or on none), decided and about to happen or refused."""

    actor: UUID | None
    action: Action | Act
    outcome: Outcome | Failure
    resource_type: ResourceType
    resource_ids: tuple[UUID, ...]
    origin: Origin
    roles: tuple[str, ...] = ()
    session: UUID | None = None
    patient: UUID | None = None
    purpose: Purpose = Purpose.TREATMENT
    rule: str | None = None
    policy_version: int | None = None
    reason: str | None = None
    break_glass: bool = False
    rows: tuple[Anchor, ...] = ()
    id: UUID = field(default_factory=new_id)
    occurred_at: datetime = field(default_factory=now)

    def body(self, stamp: Stamp | None = None) -> bytes:
        """Return the canonical JSON that is stored, hashed and sealed.

        RFC 8785: for ASCII keys and values that are strings, integers, booleans, null and arrays
        of these, sorted keys in orjson's output are that form (a property test holds it to it).
        Raises ValueError past LIMIT, before the event can spoil a batch.
        """
        body = orjson.dumps(
            {
                "v": 1,
                "id": self.id,
                "occurred_at": self.occurred_at.astimezone(UTC).isoformat(timespec="microseconds"),
                "actor": self.actor,
                "roles": sorted(self.roles),
                "session": self.session,
                "action": self.action,
                "outcome": self.outcome,
                "reason": self.reason,
                "purpose": self.purpose,
                "patient": self.patient,
                "resource_type": self.resource_type,
                "resource_ids": self.resource_ids,
                "endpoint": self.origin.endpoint,
                "request_id": self.origin.request_id,
                "network": self.origin.network,
                "client": self.origin.client,
                "rule": self.rule,
                "policy_version": self.policy_version,
                "break_glass": self.break_glass,
                "boot": stamp.boot if stamp else None,
                "seq": stamp.seq if stamp else None,
                **self._anchors(),
            },
            default=str,  # the driver's own UUID type
            option=orjson.OPT_SORT_KEYS,
        )
        if len(body) > LIMIT:
            raise ValueError("an audit event names too many things")
        return body

    def _anchors(self) -> dict[str, Any]:
        """Return what a write made of which rows; nothing for a read."""
        rows = [[r.table, r.row_id, r.edition, r.digest] for r in self.rows]
        return {"rows": rows} if rows else {}
