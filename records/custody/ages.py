"""How old the key-encryption keys are: since their last rotation, or since the clinic began."""

from collections.abc import Mapping
from typing import Final

from sqlalchemy import func, select

from core.clock import now
from core.crypto.kek import KeyPurpose
from core.database import Database, Query
from records.access.models import PolicyVersion
from records.base import table_of
from records.custody.models import KeyRotation, RotationKind, RotationState

_rotation: Final = table_of(KeyRotation).c
_ROTATED: Final = Query(
    select(_rotation.purpose, func.max(_rotation.created_at).label("since"))
    .where(_rotation.kind == RotationKind.KEK, _rotation.state == RotationState.DONE)
    .group_by(_rotation.purpose)
)
_BEGUN: Final = Query(select(func.min(table_of(PolicyVersion).c.published_at).label("since")))


async def key_ages(database: Database) -> Mapping[KeyPurpose, float]:
    """Return the seconds since each purpose's newest key was made."""
    begun = await database.one(_BEGUN)
    rotated = {row["purpose"]: row["since"] for row in await database.all(_ROTATED)}
    first = (begun and begun["since"]) or now()
    return {p: (now() - rotated.get(p, first)).total_seconds() for p in KeyPurpose}
