"""When the live log was last verified, for whoever watches that somebody does."""

import sqlalchemy as sa
from alembic import op

revision = "0032"
down_revision = "0031"

BEFORE = """
  (SELECT count(*) FROM audit.outbox) AS outbox,
  (SELECT coalesce(extract(epoch FROM now() - min(created_at)), 0) FROM audit.outbox)::float AS outbox_seconds,
  (SELECT coalesce(extract(epoch FROM now() - min(since)), 0) FROM audit.unsealed)::float AS seal_seconds,
  (SELECT count(*) FROM audit.quarantine) AS quarantined,
  (SELECT coalesce(sum(last - first + 1), 0) FROM audit.gap WHERE closed_at IS NULL)::bigint AS missing"""
# Who never verified has not done so since the clinic began.
VERIFIED = """
  (SELECT coalesce(extract(epoch FROM now() - coalesce(
     (SELECT max(done_at) FROM audit.verification WHERE verdict = 0),
     (SELECT min(published_at) FROM policy_version))), 0))::float AS verified_seconds"""


def upgrade() -> None:
    op.create_table(
        "verification",
        sa.Column("id", sa.Uuid(), nullable=False),
        sa.Column("verdict", sa.Integer(), nullable=False),
        sa.Column("size", sa.BigInteger(), nullable=False),
        sa.Column("done_at", sa.DateTime(timezone=True), nullable=False),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_verification")),
        schema="audit",
    )
    op.execute("GRANT INSERT ON audit.verification TO confide_auditor")
    op.execute(f"CREATE OR REPLACE VIEW audit.gauge AS SELECT {BEFORE}, {VERIFIED}")


def downgrade() -> None:
    op.execute("DROP VIEW audit.gauge")
    op.execute(f"CREATE VIEW audit.gauge AS SELECT {BEFORE}")
    op.execute("GRANT SELECT ON audit.gauge TO confide_app")
    op.drop_table("verification", schema="audit")
