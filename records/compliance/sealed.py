"""The sealed log, for those who check: checkpoints, proofs, tiles. Asking is an act of its own, and stands in the log."""

from typing import Any
from uuid import UUID

from policies.facts import Resource
from policies.vocabulary import Action, ResourceType
from records.access.me import Me
from records.audit import tree
from records.clinic import Clinic

_LOG = Resource(ResourceType.AUDIT_EVENT)


async def checkpoint(clinic: Clinic, me: Me) -> str:
    """Return the newest signed checkpoint."""
    await clinic.gate.read(me, Action.READ, _LOG)
    return await tree.newest_checkpoint(clinic.database)


async def proof(clinic: Clinic, me: Me, event_id: UUID) -> str:
    """Return the proof that an event is in the log, as a text that travels alone."""
    await clinic.gate.read(me, Action.READ, Resource(ResourceType.AUDIT_EVENT, id=event_id))
    return str(await tree.proof_of(clinic.database, event_id))


async def consistency(clinic: Clinic, me: Me, old: int, new: int | None) -> dict[str, Any]:
    """Return the proof that the log only grew from one size to another."""
    await clinic.gate.read(me, Action.READ, _LOG)
    return await tree.consistency(clinic.database, old, new)


async def tile(clinic: Clinic, me: Me, level: int, path: str) -> bytes:
    """Return a tile of hashes."""
    await clinic.gate.read(me, Action.READ, _LOG)
    return await tree.tile(clinic.database, level, path)


async def entries(clinic: Clinic, me: Me, path: str) -> bytes:
    """Return a bundle of events, each as the exact bytes that are sealed."""
    await clinic.gate.read(me, Action.SEARCH, _LOG)
    return await tree.entries(clinic.database, path)
