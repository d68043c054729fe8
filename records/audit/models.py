"""The audit trail's tables: the outbox a request writes, the ledger that is never changed, and the tree over it."""

from datetime import datetime
from uuid import UUID

from sqlalchemy import BigInteger, CheckConstraint, Index, SmallInteger, text
from sqlalchemy.dialects.postgresql import ARRAY
from sqlalchemy.dialects.postgresql import UUID as PGUUID
from sqlmodel import Field, SQLModel

from records.base import Row, moment, word

SCHEMA = "audit"


class Outbox(SQLModel, table=True):
    """An event that is durable but not in the ledger yet. The row leaves when the ledger holds it; `seal` is its producer's MAC."""

    __tablename__ = "outbox"
    __table_args__ = (
        CheckConstraint("octet_length(body) <= 8192 AND octet_length(seal) = 32", name="size"),
        Index("ix_outbox_sent_at", "sent_at", "event_id"),
        {"schema": SCHEMA},
    )

    event_id: UUID = Field(primary_key=True)
    body: bytes
    seal: bytes
    created_at: datetime = moment(default=True)
    sent_at: datetime | None = moment(nullable=True)


class KnownProducer(SQLModel, table=True):
    """A run of a process that makes events, and the key it seals them with, wrapped by the audit KEK."""

    __tablename__ = "producer"
    __table_args__ = ({"schema": SCHEMA},)

    boot: UUID = Field(primary_key=True)
    kek_version: int
    wrapped: bytes
    started_at: datetime = moment(default=True)


class AuditEvent(SQLModel, table=True):
    """An event in the ledger: `body` holds the exact bytes; the columns are derived, for queries.

    A partition a month, by the id, which is a UUIDv7. `boot` and `seq` number the events of one run of one
    process, and `seal` is that producer's MAC of the body: who writes here past the worker has none.
    """

    __tablename__ = "event"
    __table_args__ = (
        CheckConstraint("outcome IN ('allow', 'deny', 'error')", name="outcome"),
        CheckConstraint("octet_length(body) <= 8192", name="size"),
        Index("ix_event_actor", "actor", "id"),
        Index("ix_event_patient", "patient", "id"),
        Index("ix_event_resource_ids", "resource_ids", postgresql_using="gin"),
        Index("ix_event_not_allowed", "outcome", "id", postgresql_where=text("outcome <> 'allow'")),
        Index("ix_event_break_glass", "id", postgresql_where=text("break_glass")),
        Index("ix_event_action", "action", "id"),
        Index("ix_event_purpose", "purpose", "id"),
        Index("ix_event_resource_type", "resource_type", "id"),
        Index("ix_event_request", "request_id"),
        Index("ix_event_number", "boot", "seq"),
        {"schema": SCHEMA, "postgresql_partition_by": "RANGE (id)"},
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
    seal: bytes | None = None
    request_id: str = word()
    boot: UUID | None = None
    seq: int | None = Field(default=None, sa_type=BigInteger)


class Unsealed(SQLModel, table=True):
    """An event of the ledger that the sealer has yet to take. A trigger puts it here, whoever writes the ledger."""

    __tablename__ = "unsealed"
    __table_args__ = ({"schema": SCHEMA},)

    event_id: UUID = Field(primary_key=True)
    since: datetime = moment(default=True)


class Leaf(SQLModel, table=True):
    """The event at one place of the sealed log. Its hash stays when the event's body is pruned."""

    __tablename__ = "leaf"
    __table_args__ = (
        CheckConstraint("octet_length(leaf_hash) = 32", name="hash"),
        {"schema": SCHEMA},
    )

    leaf_index: int = Field(
        primary_key=True, sa_type=BigInteger, sa_column_kwargs={"autoincrement": False}
    )
    event_id: UUID = Field(unique=True)
    leaf_hash: bytes


class TreeNode(SQLModel, table=True):
    """The root of a perfect subtree of 256^level leaves, so that no proof needs more than a few tiles."""

    __tablename__ = "tree_node"
    __table_args__ = (
        CheckConstraint("octet_length(hash) = 32", name="hash"),
        {"schema": SCHEMA},
    )

    level: int = Field(
        primary_key=True, sa_type=SmallInteger, sa_column_kwargs={"autoincrement": False}
    )
    index: int = Field(
        primary_key=True, sa_type=BigInteger, sa_column_kwargs={"autoincrement": False}
    )
    hash: bytes


class Checkpoint(Row, table=True):
    """A signed statement of the log's size and root: a C2SP note."""

    __tablename__ = "checkpoint"
    __table_args__ = (Index("ix_checkpoint_size", "size", "id"), {"schema": SCHEMA})

    size: int = Field(sa_type=BigInteger)
    note: str = word()
    signed_at: datetime = moment(default=True)
