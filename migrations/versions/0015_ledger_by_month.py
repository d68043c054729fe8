"""The ledger in monthly partitions, with the numbers and request ids of events as columns; what was refused, and what is missing.

An event's id is a UUIDv7, so the id alone says the month, and stays unique over all partitions.
"""

import sqlalchemy as sa
from alembic import op

revision = "0015"
down_revision = "0014"

COLUMNS = """
  id uuid NOT NULL, occurred_at timestamptz NOT NULL, recorded_at timestamptz NOT NULL, actor uuid,
  action text NOT NULL, outcome text NOT NULL, purpose text NOT NULL, patient uuid,
  resource_type text NOT NULL, resource_ids uuid[] NOT NULL, break_glass boolean NOT NULL, body bytea NOT NULL
"""
CHECKS = """
  CONSTRAINT ck_event_outcome CHECK (outcome IN ('allow', 'deny', 'error')),
  CONSTRAINT ck_event_size CHECK (octet_length(body) <= 8192),
  CONSTRAINT pk_event PRIMARY KEY (id)
"""
NAMES = (
    "id, occurred_at, recorded_at, actor, action, outcome, purpose, patient, resource_type, "
    "resource_ids, break_glass, body"
)
INDEXES = (
    "CREATE INDEX ix_event_actor ON audit.event (actor, id)",
    "CREATE INDEX ix_event_patient ON audit.event (patient, id)",
    "CREATE INDEX ix_event_resource_ids ON audit.event USING gin (resource_ids)",
    "CREATE INDEX ix_event_not_allowed ON audit.event (id) WHERE outcome <> 'allow'",
)
NEW_INDEXES = (
    "CREATE INDEX ix_event_action ON audit.event (action, id)",
    "CREATE INDEX ix_event_break_glass ON audit.event (id) WHERE break_glass",
    "CREATE INDEX ix_event_request ON audit.event (request_id)",
    "CREATE INDEX ix_event_number ON audit.event (boot, seq)",
)
TRIGGERS = (
    """CREATE TRIGGER event_append_only BEFORE UPDATE OR DELETE ON audit.event
    FOR EACH ROW EXECUTE FUNCTION audit.refuse_change()""",
    """CREATE TRIGGER event_no_truncate BEFORE TRUNCATE ON audit.event
    FOR EACH STATEMENT EXECUTE FUNCTION audit.refuse_change()""",
    """CREATE TRIGGER event_queue_for_seal AFTER INSERT ON audit.event REFERENCING NEW TABLE AS fresh
    FOR EACH STATEMENT EXECUTE FUNCTION audit.queue_for_seal()""",
    "ALTER TABLE audit.event ENABLE ALWAYS TRIGGER event_append_only",
    "ALTER TABLE audit.event ENABLE ALWAYS TRIGGER event_no_truncate",
    "ALTER TABLE audit.event ENABLE ALWAYS TRIGGER event_queue_for_seal",
)
REST = (
    "CREATE TABLE audit.event_rest PARTITION OF audit.event DEFAULT",
    """CREATE TRIGGER event_no_truncate BEFORE TRUNCATE ON audit.event_rest
    FOR EACH STATEMENT EXECUTE FUNCTION audit.refuse_change()""",
    "ALTER TABLE audit.event_rest ENABLE ALWAYS TRIGGER event_no_truncate",
)
GRANTS = (
    "GRANT SELECT ON audit.event TO confide_app, confide_auditor",
    "GRANT INSERT ON audit.event TO confide_ledger",
    "GRANT SELECT (id, body) ON audit.event TO confide_sealer",
)
NEW_GRANTS = (
    "GRANT INSERT ON audit.quarantine TO confide_ledger",
    "GRANT SELECT ON audit.quarantine TO confide_app, confide_auditor",
    "GRANT SELECT, INSERT, UPDATE ON audit.gap TO confide_app",
    "GRANT SELECT ON audit.gap TO confide_auditor",
    "GRANT SELECT ON audit.waiting_number, audit.gauge TO confide_app",
    "REVOKE ALL ON FUNCTION audit.add_partitions FROM PUBLIC",
    "GRANT EXECUTE ON FUNCTION audit.add_partitions TO confide_sealer",
)

# The lowest id of a month: 48 bits of milliseconds in front, zeros behind.
FUNCTIONS = (
    """CREATE FUNCTION audit.lowest_id(at timestamptz) RETURNS uuid LANGUAGE sql STABLE AS $$
    SELECT (lpad(to_hex((extract(epoch FROM at) * 1000)::bigint), 12, '0') || repeat('0', 20))::uuid
    $$""",
    # A TRUNCATE trigger is not passed on to partitions: each gets its own.
    """CREATE FUNCTION audit.add_partitions(since timestamptz, until timestamptz) RETURNS void
    LANGUAGE plpgsql SECURITY DEFINER SET search_path = pg_catalog AS $$
    DECLARE month timestamp := date_trunc('month', since AT TIME ZONE 'UTC'); name text;
    BEGIN
      WHILE month <= until AT TIME ZONE 'UTC' LOOP
        name := 'event_' || to_char(month, 'YYYY_MM');
        IF to_regclass('audit.' || name) IS NULL THEN
          EXECUTE format('CREATE TABLE audit.%I PARTITION OF audit.event FOR VALUES FROM (%L) TO (%L)', name,
            audit.lowest_id(month AT TIME ZONE 'UTC'), audit.lowest_id((month + interval '1 month') AT TIME ZONE 'UTC'));
          EXECUTE format('CREATE TRIGGER event_no_truncate BEFORE TRUNCATE ON audit.%I
            FOR EACH STATEMENT EXECUTE FUNCTION audit.refuse_change()', name);
          EXECUTE format('ALTER TABLE audit.%I ENABLE ALWAYS TRIGGER event_no_truncate', name);
        END IF;
        month := month + interval '1 month';
      END LOOP;
    END $$""",
)
VIEWS = (
    """CREATE VIEW audit.waiting_number AS
    SELECT (j ->> 'boot')::uuid AS boot, (j ->> 'seq')::bigint AS seq
    FROM (SELECT convert_from(body, 'UTF8')::jsonb AS j FROM audit.outbox) AS waiting""",
    """CREATE VIEW audit.gauge AS SELECT
      (SELECT count(*) FROM audit.outbox) AS outbox,
      (SELECT coalesce(extract(epoch FROM now() - min(created_at)), 0) FROM audit.outbox)::float AS outbox_seconds,
      (SELECT coalesce(extract(epoch FROM now() - min(since)), 0) FROM audit.unsealed)::float AS seal_seconds,
      (SELECT count(*) FROM audit.quarantine) AS quarantined,
      (SELECT coalesce(sum(last - first + 1), 0) FROM audit.gap WHERE closed_at IS NULL)::bigint AS missing""",
)


def upgrade() -> None:
    _set_aside()
    op.execute(
        f"CREATE TABLE audit.event ({COLUMNS}, request_id text NOT NULL, boot uuid, seq bigint, {CHECKS}) "
        "PARTITION BY RANGE (id)"
    )
    for statement in (*FUNCTIONS, *INDEXES, *NEW_INDEXES, *TRIGGERS[:2], *TRIGGERS[3:5]):
        op.execute(statement)
    for statement in REST:
        op.execute(statement)
    op.execute(
        "SELECT audit.add_partitions(coalesce((SELECT min(occurred_at) FROM audit.event_before), now()), "
        "now() + interval '12 months')"
    )
    op.execute(
        f"INSERT INTO audit.event SELECT {NAMES}, convert_from(body, 'UTF8')::jsonb ->> 'request_id' "
        "FROM audit.event_before"
    )
    op.execute("DROP TABLE audit.event_before")
    op.execute(TRIGGERS[2])
    op.execute(TRIGGERS[5])
    _tables()
    for statement in (*VIEWS, *GRANTS, *NEW_GRANTS):
        op.execute(statement)


def _set_aside() -> None:
    """Move the present ledger out of the way, with its rows and without its names."""
    op.execute("ALTER TABLE audit.event RENAME TO event_before")
    op.execute("ALTER TABLE audit.event_before RENAME CONSTRAINT pk_event TO pk_event_before")
    for index in ("actor", "patient", "resource_ids", "not_allowed"):
        op.execute(f"DROP INDEX audit.ix_event_{index}")


def _tables() -> None:
    op.create_table(
        "quarantine",
        sa.Column("id", sa.Uuid(), nullable=False),
        sa.Column("reason", sa.Text(), nullable=False),
        sa.Column("events", sa.Integer(), nullable=False),
        sa.Column("digest", sa.LargeBinary(), nullable=False),
        sa.Column("content", sa.LargeBinary(), nullable=False),
        sa.Column("received_at", sa.DateTime(timezone=True), nullable=False),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_quarantine")),
        schema="audit",
    )
    op.create_table(
        "gap",
        sa.Column("boot", sa.Uuid(), nullable=False),
        sa.Column("first", sa.BigInteger(), autoincrement=False, nullable=False),
        sa.Column("last", sa.BigInteger(), nullable=False),
        sa.Column("found_at", sa.DateTime(timezone=True), nullable=False),
        sa.Column("closed_at", sa.DateTime(timezone=True), nullable=True),
        sa.PrimaryKeyConstraint("boot", "first", name=op.f("pk_gap")),
        schema="audit",
    )


def downgrade() -> None:
    op.execute("DROP VIEW audit.gauge")
    op.execute("DROP VIEW audit.waiting_number")
    op.drop_table("gap", schema="audit")
    op.drop_table("quarantine", schema="audit")
    op.execute(f"CREATE TABLE audit.event_after AS SELECT {NAMES} FROM audit.event")
    op.execute("DROP TABLE audit.event")
    op.execute("DROP FUNCTION audit.add_partitions")
    op.execute("DROP FUNCTION audit.lowest_id")
    op.execute(f"CREATE TABLE audit.event ({COLUMNS}, {CHECKS})")
    op.execute(f"INSERT INTO audit.event SELECT {NAMES} FROM audit.event_after")
    op.execute("DROP TABLE audit.event_after")
    for statement in (*INDEXES, *TRIGGERS, *GRANTS):
        op.execute(statement)
