"""The waitlist as a table: who waits, for what, how urgently, and what is offered to them just now."""

from datetime import datetime, time
from enum import StrEnum
from uuid import UUID

from sqlalchemy import UUID as PGUUID
from sqlalchemy import CheckConstraint, ForeignKeyConstraint, Index, SmallInteger, text
from sqlalchemy.dialects.postgresql import ARRAY
from sqlmodel import Field

from core.crypto.envelope import Cell
from records.base import Protected, moment, one_of, phi, sealed_by, word


class EntryStatus(StrEnum):
    """Where an entry stands. From declined and expired it may be resumed, with its age."""

    WAITING = "waiting"
    OFFERED = "offered"
    BOOKED = "booked"
    DECLINED = "declined"
    EXPIRED = "expired"
    REMOVED = "removed"


class WaitlistEntry(Protected, table=True):
    """A patient who waits for a time. `priority` is a band, 1 before 3; inside it who came first is first.

    `offer_id` is the hold that keeps a freed slot for this entry and nobody else: one column, so there are never two.
    `appointment_id` is the later visit that a booking from an offer releases.
    """

    __tablename__ = "waitlist_entry"
    __table_args__ = (
        sealed_by(),
        one_of("status", EntryStatus),
        CheckConstraint("priority BETWEEN 1 AND 3", name="priority"),
        CheckConstraint("minutes BETWEEN 5 AND 720", name="minutes"),
        CheckConstraint("latest > earliest", name="window"),
        CheckConstraint("status <> 'offered' OR offer_id IS NOT NULL", name="offer"),
        ForeignKeyConstraint(
            ["appointment_id", "patient_id"], ["appointment.id", "appointment.patient_id"]
        ),
        ForeignKeyConstraint(
            ["offer_id", "patient_id"], ["appointment.id", "appointment.patient_id"]
        ),
        Index("uq_waitlist_entry_offer", "offer_id", unique=True),
        Index(
            "ix_waitlist_entry_order",
            "priority",
            "id",
            postgresql_where=text("status = 'waiting'"),
        ),
    )

    patient_id: UUID = Field(foreign_key="patient.id", index=True)
    service_id: UUID | None = Field(default=None, foreign_key="service.id")
    doctor_ids: list[UUID] = Field(default_factory=list, sa_type=ARRAY(PGUUID()), nullable=False)
    minutes: int | None = None
    earliest: datetime = moment()
    latest: datetime = moment()
    time_zone: str = word(max_length=60)
    weekdays: list[int] = Field(default_factory=list, sa_type=ARRAY(SmallInteger()), nullable=False)
    not_before: time | None = None
    not_after: time | None = None
    priority: int = 3
    reason: Cell | None = phi(nullable=True)
    appointment_id: UUID | None = None
    status: EntryStatus = word(EntryStatus.WAITING)
    offer_id: UUID | None = None
    version: int = 1
    created_by: UUID = Field(foreign_key="account.id")
    created_at: datetime = moment(default=True)
