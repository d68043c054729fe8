"""What those who check the trail make of it: exports, alerts with what became of them, and disclosures."""

from datetime import datetime
from enum import StrEnum
from typing import Any, Final
from uuid import UUID

from sqlalchemy import CheckConstraint, Index, UniqueConstraint
from sqlalchemy.dialects.postgresql import ARRAY, JSONB
from sqlalchemy.dialects.postgresql import UUID as PGUUID
from sqlmodel import Field, SQLModel

from core.crypto.envelope import Cell
from records.audit.models import SCHEMA
from records.base import Protected, Row, moment, one_of, phi, sealed_by, word


class ExportState(StrEnum):
    """How far an export is."""

    QUEUED = "queued"
    RUNNING = "running"
    DONE = "done"
    FAILED = "failed"


class AlertState(StrEnum):
    """What has become of an alert."""

    OPEN = "open"
    ASSIGNED = "assigned"
    RESOLVED = "resolved"


class Resolution(StrEnum):
    """What a review of an alert came to."""

    JUSTIFIED = "justified"
    VIOLATION = "violation"
    FALSE_ALARM = "false-alarm"
    FIXED = "fixed"


class Export(Row, table=True):
    """Events somebody asked for, gathered in the background with their proofs; gone after a day."""

    __tablename__ = "export"
    __table_args__ = (one_of("state", ExportState), {"schema": SCHEMA})

    requested_by: UUID
    filters: dict[str, Any] = Field(sa_type=JSONB)
    state: ExportState = word(ExportState.QUEUED)
    total: int = 0
    done: int = 0
    checkpoint: str = word("")
    created_at: datetime = moment(default=True)
    expires_at: datetime = moment()


class ExportPart(SQLModel, table=True):
    """Some thousand lines of an export."""

    __tablename__ = "export_part"
    __table_args__ = ({"schema": SCHEMA},)

    export_id: UUID = Field(primary_key=True)
    number: int = Field(primary_key=True, sa_column_kwargs={"autoincrement": False})
    lines: bytes


class Alert(Row, table=True):
    """Something in the trail that a rule finds worth a look. `key` keeps the same thing from being told twice."""

    __tablename__ = "alert"
    __table_args__ = (
        UniqueConstraint("rule", "key"),
        one_of("state", AlertState),
        CheckConstraint("(state = 'resolved') = (resolution IS NOT NULL)", name="resolved"),
        Index("ix_alert_state", "state", "id"),
        {"schema": SCHEMA},
    )

    rule: str = word()
    key: str = word()
    actor: UUID | None = None
    patient: UUID | None = None
    events: list[UUID] = Field(
        default_factory=list, sa_type=ARRAY(PGUUID(as_uuid=True)), nullable=False
    )
    count: int = 1
    state: AlertState = word(AlertState.OPEN)
    assignee: UUID | None = None
    resolution: Resolution | None = word(None)
    reason: str | None = word(None)
    version: int = 1
    found_at: datetime = moment(default=True)
    resolved_at: datetime | None = moment(nullable=True)


class WatchReason(StrEnum):
    """Why each access to a patient is looked at."""

    PUBLIC_INTEREST = "public-interest"
    EMPLOYEE = "employee"
    REQUESTED = "requested"
    INCIDENT = "incident"


class Watched(SQLModel, table=True):
    """A patient each of whose accesses by staff is an alert (R4), until somebody ends it."""

    __tablename__ = "watched"
    __table_args__ = (one_of("reason", WatchReason), {"schema": SCHEMA})

    patient_id: UUID = Field(primary_key=True)
    reason: WatchReason = word()
    set_by: UUID
    since: datetime = moment(default=True)


class SavedSearch(Row, table=True):
    """Filters of the trail under a name, for all who check it."""

    __tablename__ = "saved_search"
    __table_args__ = (UniqueConstraint("name"), {"schema": SCHEMA})

    name: str = word()
    filters: dict[str, Any] = Field(sa_type=JSONB)
    saved_by: UUID
    version: int = 1
    created_at: datetime = moment(default=True)


class DisclosurePurpose(StrEnum):
    """Why data left the clinic. Those of 45 CFR 164.512 are accounted for; the first six are not (164.528(a)(1))."""

    TREATMENT = "treatment"
    PAYMENT = "payment"
    OPERATIONS = "operations"
    INDIVIDUAL = "individual"
    AUTHORIZED = "authorization"
    LIMITED = "limited-data-set"
    REQUIRED_BY_LAW = "required-by-law"
    PUBLIC_HEALTH = "public-health"
    ABUSE = "abuse-report"
    OVERSIGHT = "health-oversight"
    JUDICIAL = "judicial"
    LAW_ENFORCEMENT = "law-enforcement"
    DECEDENT = "decedent"
    DONATION = "organ-donation"
    RESEARCH = "research"
    THREAT = "serious-threat"
    GOVERNMENT = "government-function"
    WORKERS_COMPENSATION = "workers-compensation"
    MISTAKE = "by-mistake"


EXCLUDED: Final = frozenset(list(DisclosurePurpose)[:6])
"""Purposes that an accounting leaves out, unless it is asked for them."""


class Disclosure(Protected, table=True):
    """That a patient's data left the clinic, to whom, what, and why."""

    __tablename__ = "disclosure"
    __table_args__ = (
        sealed_by(),
        one_of("purpose", DisclosurePurpose),
        Index("ix_disclosure_patient", "patient_id", "disclosed_at"),
    )

    patient_id: UUID = Field(foreign_key="patient.id")
    purpose: DisclosurePurpose = word()
    disclosed_at: datetime = moment()
    suspended_until: datetime | None = moment(nullable=True)
    recipient: Cell = phi()
    description: Cell = phi()
    event_id: UUID
    recorded_by: UUID = Field(foreign_key="account.id")
    recorded_at: datetime = moment(default=True)
