"""The seal over the ledger: leaves, tree, checkpoints, and two roles, who seals (`confide_sealer`) and who verifies.

A trigger queues every event for the sealer, so that no way into the ledger goes past it.
"""

import sqlalchemy as sa
from alembic import op

revision = "0005"
down_revision = "0004"

ROLES = ("confide_sealer", "confide_auditor")
APPEND_ONLY = ("leaf", "tree_node", "checkpoint")

QUEUE = (
    """CREATE FUNCTION audit.queue_for_seal() RETURNS trigger LANGUAGE plpgsql SECURITY DEFINER
    SET search_path = pg_catalog AS $$
    BEGIN
      INSERT INTO audit.unsealed (event_id, since) SELECT id, now() FROM fresh;
      RETURN NULL;
    END $$""",
    """CREATE TRIGGER event_queue_for_seal AFTER INSERT ON audit.event REFERENCING NEW TABLE AS fresh
    FOR EACH STATEMENT EXECUTE FUNCTION audit.queue_for_seal()""",
    "ALTER TABLE audit.event ENABLE ALWAYS TRIGGER event_queue_for_seal",
    "INSERT INTO audit.unsealed (event_id, since) SELECT id, now() FROM audit.event",
)

GRANTS = (
    "GRANT USAGE ON SCHEMA audit TO confide_sealer, confide_auditor",
    "GRANT SELECT (id, body) ON audit.event TO confide_sealer",
    "GRANT SELECT, DELETE ON audit.unsealed TO confide_sealer",
    "GRANT SELECT, INSERT ON audit.leaf, audit.tree_node, audit.checkpoint TO confide_sealer",
    "GRANT SELECT ON audit.leaf, audit.tree_node, audit.checkpoint, audit.unsealed TO confide_app",
    "GRANT SELECT ON ALL TABLES IN SCHEMA audit TO confide_auditor",
)


def upgrade() -> None:
    for role in ROLES:
        op.execute(
            f"DO $$ BEGIN CREATE ROLE {role} NOLOGIN; "
            "EXCEPTION WHEN duplicate_object OR unique_violation THEN NULL; END $$"
        )
        op.execute(f"GRANT {role} TO CURRENT_USER")
    _tables()
    for table in APPEND_ONLY:
        op.execute(
            f"CREATE TRIGGER {table}_append_only BEFORE UPDATE OR DELETE ON audit.{table} "
            "FOR EACH ROW EXECUTE FUNCTION audit.refuse_change()"
        )
        op.execute(
            f"CREATE TRIGGER {table}_no_truncate BEFORE TRUNCATE ON audit.{table} "
            "FOR EACH STATEMENT EXECUTE FUNCTION audit.refuse_change()"
        )
        op.execute(f"ALTER TABLE audit.{table} ENABLE ALWAYS TRIGGER {table}_append_only")
        op.execute(f"ALTER TABLE audit.{table} ENABLE ALWAYS TRIGGER {table}_no_truncate")
    for statement in (*QUEUE, *GRANTS):
        op.execute(statement)


def _tables() -> None:
    op.create_table(
        "unsealed",
        sa.Column("event_id", sa.Uuid(), nullable=False),
        sa.Column("since", sa.DateTime(timezone=True), nullable=False),
        sa.PrimaryKeyConstraint("event_id", name=op.f("pk_unsealed")),
        schema="audit",
    )
    op.create_table(
        "leaf",
        sa.Column("leaf_index", sa.BigInteger(), autoincrement=False, nullable=False),
        sa.Column("event_id", sa.Uuid(), nullable=False),
        sa.Column("leaf_hash", sa.LargeBinary(), nullable=False),
        sa.CheckConstraint("octet_length(leaf_hash) = 32", name=op.f("ck_leaf_hash")),
        sa.PrimaryKeyConstraint("leaf_index", name=op.f("pk_leaf")),
        sa.UniqueConstraint("event_id", name=op.f("uq_leaf_event_id")),
        schema="audit",
    )
    op.create_table(
        "tree_node",
        sa.Column("level", sa.SmallInteger(), autoincrement=False, nullable=False),
        sa.Column("index", sa.BigInteger(), autoincrement=False, nullable=False),
        sa.Column("hash", sa.LargeBinary(), nullable=False),
        sa.CheckConstraint("octet_length(hash) = 32", name=op.f("ck_tree_node_hash")),
        sa.PrimaryKeyConstraint("level", "index", name=op.f("pk_tree_node")),
        schema="audit",
    )
    op.create_table(
        "checkpoint",
        sa.Column("id", sa.Uuid(), nullable=False),
        sa.Column("size", sa.BigInteger(), nullable=False),
        sa.Column("note", sa.Text(), nullable=False),
        sa.Column("signed_at", sa.DateTime(timezone=True), nullable=False),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_checkpoint")),
        schema="audit",
    )
    op.create_index("ix_checkpoint_size", "checkpoint", ["size", "id"], schema="audit")


def downgrade() -> None:
    op.execute("DROP TRIGGER event_queue_for_seal ON audit.event")
    op.execute("DROP FUNCTION audit.queue_for_seal")
    for table in ("checkpoint", "tree_node", "leaf", "unsealed"):
        op.drop_table(table, schema="audit")
    op.execute("REVOKE ALL ON audit.event, audit.outbox FROM confide_sealer, confide_auditor")
    op.execute("REVOKE ALL ON SCHEMA audit FROM confide_sealer, confide_auditor")
