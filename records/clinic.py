"""A clinic at work: the database, the gate and the vault, opened together and closed together."""

from collections.abc import AsyncIterator, Callable, Iterable, Mapping, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass
from typing import Any

import structlog

from core.crypto.envelope import DataKey, DecryptCode, DecryptError, Value
from core.crypto.kek import KekProvider
from core.database import Database
from core.errors import DomainError, Unavailable
from policies.facts import Resource
from policies.permit import Permit
from policies.vocabulary import ResourceType
from records.access.gate import Gate
from records.access.me import Me
from records.access.policy import Policy
from records.audit.trail import Trail
from records.base import Protected
from records.vault.indexes import Indexes
from records.vault.vault import Vault

ROLE = "confide_app"
"""The database role of requests: no more than reading and writing the clinic's own tables."""

log = structlog.get_logger()


class Erased(DomainError):
    """The patient's keys were destroyed on purpose: nothing of theirs can be read by anybody."""

    code = "erased"


class Unreadable(DomainError):
    """Sealed data does not open: it was damaged or moved, or its key is gone. The trail says which."""

    code = "integrity"


@dataclass(frozen=True, slots=True)
class Clinic:
    """What every act of the domain works with, after `me`."""

    database: Database
    policy: Policy
    trail: Trail
    gate: Gate
    vault: Vault
    indexes: Indexes

    @classmethod
    @asynccontextmanager
    async def open(
        cls,
        url: str,
        keys: KekProvider,
        *,
        pool: int = 10,
        deadline: float = 1.0,
        role: str = ROLE,
        patience: float | None = None,
    ) -> AsyncIterator["Clinic"]:
        """Connect, load policy and keys, start the trail; on the way out, write what waits."""
        database = Database(url, role=role, size=pool, patience=patience)
        policy, trail = Policy(database), Trail(database, keys, deadline=deadline)
        try:
            await database.open()
            await policy.start()
            await trail.start()
            indexes = await Indexes.load(database, keys)
            yield cls(database, policy, trail, Gate(policy, trail), Vault(keys), indexes)
        finally:
            await trail.stop()
            await policy.stop()
            await database.close()

    async def key(self, row: Mapping[str, Any]) -> DataKey:
        """Return the key of a fetched row, to seal more of its patient's under. Refusals are those of `reveal`."""
        try:
            return await self.vault.fetch(row)
        except DecryptError as error:
            log.error("a data key does not open", code=error.code)
            raise _refusal(error.code) from None

    async def disclose(
        self,
        me: Me,
        listed: ResourceType,
        kind: type[Protected],
        rows: Sequence[Mapping[str, Any]],
        resource_of: Callable[[Mapping[str, Any]], Resource],
    ) -> Sequence[tuple[Mapping[str, Any], dict[str, Value | None]]]:
        """Open rows of a list, each decided once more, once their events are on disk; what is not allowed is left out."""
        permits = await self.gate.disclose(me, listed, map(resource_of, rows))
        return [
            (row, await self.reveal(me, permits[row["resource_id"]], kind, row))
            for row in rows
            if row["resource_id"] in permits
        ]

    async def reveal(
        self,
        me: Me,
        permit: Permit,
        kind: type[Protected],
        row: Mapping[str, Any],
        *,
        only: Iterable[str] | None = None,
        unread: bool = False,
    ) -> dict[str, Value | None]:
        """Open a row's PHI, or `only` some (JSON may stay `unread`). What does not open is an event of its own, and an error without a clue."""
        try:
            await self.vault.reach(row)
            return self.vault.open(permit, kind, row, only, unread=unread)
        except DecryptError as error:
            log.error(
                "sealed data does not open", code=error.code, audit_event=str(permit.event_id)
            )
            await self.gate.failed(me, permit, error.code)
            raise _refusal(error.code) from None
        except Unavailable as error:
            await self.gate.failed(me, permit, error.code)
            raise


def _refusal(code: DecryptCode) -> DomainError:
    if code == DecryptCode.KEY_DESTROYED:
        return Erased("this patient's data was erased for good")
    return Unreadable("sealed data does not open")
