"""The audit trail's two tables: the outbox a request writes, and the ledger that is never changed."""

from datetime import datetime
from uuid import UUID

from sqlalchemy import CheckConstraint, Index, text
from sqlalchemy.dialects.postgresql import ARRAY
from sqlalchemy.dialects.postgresql import UUID as PGUUID
from sqlmodel import Field, SQLModel

from records.base import moment, word

SCHEMA = "audit"


class Outbox(SQLModel, table=True):
    """An event that is durable but not in the ledger yet. The row leaves when the ledger holds it."""

    __tablename__ = "outbox"
    __table_args__ = (Index("ix_outbox_sent_at", "sent_at", "event_id"), {"schema": SCHEMA})

    event_id: UUID = Field(primary_key=True)
    body: bytes
    created_at: datetime = moment(default=True)
    sent_at: datetime | None = moment(nullable=True)


class AuditEvent(SQLModel, table=True):
    """An event in the ledger: `body` holds the exact bytes; the columns are derived, for queries."""

    __tablename__ = "event"
    __table_args__ = (
        CheckConstraint("outcome IN ('allow', 'deny', 'error')", name="outcome"),
        CheckConstraint("octet_length(body) <= 8192", name="size"),
        Index("ix_event_actor", "actor", "id"),
        Index("ix_event_patient", "patient", "id"),
        Index("ix_event_resource_ids", "resource_ids", postgresql_using="gin"),
        Index("ix_event_not_allowed", "id", postgresql_where=text("outcome <> 'allow'")),
        {"schema": SCHEMA},
    )

    id: UUID = Field(primary_key=True)
    occurred_at: datetime = moment()
    recorded_at: datetime = moment()
    actor: UUID | None = None
    action: str = word()
    outcome: str = word()
    purpose: str = word()
    patient: UUID | None = None
    resource_type: str = word()
    resource_ids: list[UUID] = Field(
        default_factory=list, sa_type=ARRAY(PGUUID(as_uuid=True)), nullable=False
    )
    break_glass: bool = False
    body: bytes
