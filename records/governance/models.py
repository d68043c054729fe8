"""Rules on their way into force."""

from datetime import datetime
from enum import StrEnum
from typing import Any
from uuid import UUID

from sqlalchemy import Column
from sqlalchemy.dialects.postgresql import JSONB
from sqlmodel import Field

from records.base import Row, moment, one_of, word


class DraftStatus(StrEnum):
    """A draft is written on until it is put in force; what was published stays as it was."""

    DRAFT = "draft"
    PUBLISHED = "published"


class PolicyDraft(Row, table=True):
    """A whole set of rules that somebody proposes in place of version `base`. Whoever wrote last is its author.

    One that began as an upgrade has the rules of the software at that time, `shipped`: published, it answers all of them.
    """

    __tablename__ = "policy_draft"
    __table_args__ = (one_of("status", DraftStatus),)

    author_id: UUID = Field(foreign_key="account.id")
    status: DraftStatus = word(DraftStatus.DRAFT)
    version: int = 1
    base: int = Field(foreign_key="policy_version.version")
    reason: str = word()
    rules: list[dict[str, Any]] = Field(sa_type=JSONB, nullable=False)
    shipped: list[dict[str, Any]] | None = Field(
        default=None, sa_column=Column(JSONB(none_as_null=True))
    )
    created_at: datetime = moment(default=True)
    updated_at: datetime = moment(default=True)


class SimulationStatus(StrEnum):
    """How far a simulation is."""

    QUEUED = "queued"
    RUNNING = "running"
    DONE = "done"
    FAILED = "failed"


class PolicySimulation(Row, table=True):
    """What a draft, as it was written then, would change of the rules `base`: ids and counts, never PHI.

    `effects` are those of the people up to `last`, in the order of their ids: there the work goes on.
    """

    __tablename__ = "policy_simulation"
    __table_args__ = (one_of("status", SimulationStatus),)

    draft_id: UUID
    draft_version: int
    base: int = Field(foreign_key="policy_version.version")
    rules: list[dict[str, Any]] = Field(sa_type=JSONB, nullable=False)
    days: int
    status: SimulationStatus = word(SimulationStatus.QUEUED)
    done: int = 0
    total: int = 0
    last: UUID | None = None
    effects: list[dict[str, Any]] = Field(default_factory=list, sa_type=JSONB, nullable=False)
    result: dict[str, Any] | None = Field(default=None, sa_type=JSONB)
    created_at: datetime = moment(default=True)
    updated_at: datetime = moment(default=True)
