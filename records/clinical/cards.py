"""Pictures of insurance cards (`files.py`), for whoever may see or keep the insurance."""

from collections.abc import AsyncIterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Final
from uuid import UUID

from sqlalchemy import UUID as PGUUID
from sqlalchemy import bindparam

from core.blobs import Blobs
from core.crypto.envelope import DataKey
from core.database import Query
from core.errors import FieldError, Invalid
from policies.facts import Resource
from policies.vocabulary import Action, ResourceType
from records.access.me import Me
from records.base import add, table_of
from records.clinic import Clinic
from records.clinical.files import HEAD, OpenFile, bytes_of, opened, received, sealed_row, stated
from records.clinical.intake import Intake
from records.clinical.models import CardImage
from records.people.coverages import coverage_in_sight
from records.vault.vault import sealed_rows

LIMIT: Final = 20 << 20
"""Bytes of a picture at most."""

_card = table_of(CardImage).c
_ALL: Final = Query(
    sealed_rows(CardImage, *(_card[name] for name in HEAD))
    .where(_card.coverage_id == bindparam("coverage_id", type_=PGUUID()))
    .order_by(_card.id)
)


@dataclass(frozen=True, slots=True)
class OpenCard(OpenFile):
    """A picture of a card as its reader sees it."""

    coverage_id: UUID


async def add_card(
    clinic: Clinic,
    me: Me,
    blobs: Blobs,
    patient_id: UUID,
    coverage_id: UUID,
    name: str,
    pieces: AsyncIterator[bytes],
) -> OpenCard:
    """Keep a picture, or a PDF, of an insurance's card; Invalid for any other kind of file."""
    resource, row = await coverage_in_sight(clinic, me, patient_id, coverage_id)
    await clinic.gate.require(me, Action.UPDATE, resource)
    key, intake = await clinic.key(row), Intake(blobs, row["patient_id"], name)
    return await received(intake, pieces, lambda: _keep(clinic, me, resource, key, intake))


async def list_cards(
    clinic: Clinic, me: Me, patient_id: UUID, coverage_id: UUID
) -> Sequence[OpenCard]:
    """Return the pictures of an insurance's card, oldest first."""
    resource, _ = await coverage_in_sight(clinic, me, patient_id, coverage_id)
    permit = await clinic.gate.read(me, Action.READ, resource)
    rows = await clinic.database.all(_ALL, coverage_id=coverage_id)
    return [_shown(row, await clinic.reveal(me, permit, CardImage, row)) for row in rows]


async def open_card(
    clinic: Clinic, me: Me, blobs: Blobs, patient_id: UUID, coverage_id: UUID, card_id: UUID
) -> tuple[OpenCard, AsyncIterator[bytes]]:
    """Return a picture and its bytes, of which the first piece is authentic already."""
    resource, _ = await coverage_in_sight(clinic, me, patient_id, coverage_id)
    rows = await clinic.database.all(_ALL, coverage_id=coverage_id)
    row = next((row for row in rows if row["row_id"] == card_id), None)
    if row is None:
        await clinic.gate.absent(me, Action.READ, ResourceType.COVERAGE, coverage_id)
    permit = await clinic.gate.read(me, Action.READ, resource)
    phi = await clinic.reveal(me, permit, CardImage, row)
    return _shown(row, phi), await bytes_of(clinic, me, permit, blobs, row, phi)


async def _keep(
    clinic: Clinic, me: Me, resource: Resource, key: DataKey, intake: Intake
) -> OpenCard:
    if not intake.media_type.startswith("image/") and intake.media_type != "application/pdf":
        fault = FieldError("/file", "media-type", "a card is a picture or a PDF")
        raise Invalid(errors=[fault])
    assert resource.id is not None
    async with clinic.database.transaction() as session:
        permit = await clinic.gate.write(session, me, Action.UPDATE, resource)
        kept = sealed_row(clinic, permit, CardImage, key, intake, coverage_id=resource.id)
        await add(session, kept)
    return OpenCard(coverage_id=resource.id, **stated(kept, intake))


def _shown(row: Mapping[str, Any], phi: Mapping[str, Any]) -> OpenCard:
    return OpenCard(coverage_id=row["resource_id"], **opened(row, phi))
