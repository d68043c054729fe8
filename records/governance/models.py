"""Rules on their way into force."""

from datetime import datetime
from enum import StrEnum
from typing import Any
from uuid import UUID

from sqlalchemy.dialects.postgresql import JSONB
from sqlmodel import Field

from records.base import Row, moment, one_of, word


class DraftStatus(StrEnum):
    """A draft is written on until it is put in force; what was published stays as it was."""

    DRAFT = "draft"
    PUBLISHED = "published"


class PolicyDraft(Row, table=True):
    """A whole set of rules that somebody proposes in place of version `base`. Whoever wrote last is its author."""

    __tablename__ = "policy_draft"
    __table_args__ = (one_of("status", DraftStatus),)

    author_id: UUID = Field(foreign_key="account.id")
    status: DraftStatus = word(DraftStatus.DRAFT)
    version: int = 1
    base: int = Field(foreign_key="policy_version.version")
    reason: str = word()
    rules: list[dict[str, Any]] = Field(sa_type=JSONB, nullable=False)
    created_at: datetime = moment(default=True)
    updated_at: datetime = moment(default=True)
