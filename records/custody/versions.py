"""The versions of the key-encryption keys: what is there, what each still wraps, and the end of one."""

from asyncio import to_thread
from collections.abc import Mapping, Sequence
from typing import Any

from core.crypto.kek import KeyPurpose
from core.errors import Conflict
from policies.facts import Resource
from policies.vocabulary import Action, ResourceType
from records.access.me import Me
from records.base import Executor
from records.clinic import Clinic
from records.custody.kek import in_use


async def list_versions(session: Executor, clinic: Clinic, me: Me) -> Sequence[Mapping[str, Any]]:
    """Return every version of every purpose that still unwraps, and how many keys it wraps. Never a key."""
    await clinic.gate.read(me, Action.SEARCH, Resource(ResourceType.KEY))
    return [
        {
            "purpose": purpose,
            "version": version,
            "current": version == found[-1],
            "wraps": await in_use(session, purpose, version),
        }
        for purpose in KeyPurpose
        for found in [sorted(await to_thread(clinic.vault.provider.versions, purpose))]
        for version in found
    ]


async def destroy(
    session: Executor, clinic: Clinic, me: Me, purpose: KeyPurpose, version: int
) -> None:
    """Destroy a version for good; Conflict(`key-in-use`) while it wraps anything, or is the current one.

    No rollback brings it back, so that its event is on disk before, and in no transaction.
    """
    key = Resource(ResourceType.KEY)
    await clinic.gate.require(me, Action.DELETE, key)
    if await in_use(session, purpose, version):
        raise Conflict("it still wraps keys: rotate first", code="key-in-use")
    await clinic.gate.read(me, Action.DELETE, key, reason=f"{purpose} {version}")
    await to_thread(clinic.vault.provider.destroy_version, purpose, version)
