"""Rows count their writes, whose digests are in the log; whoever seals cells anew says so there; one role may compare."""

import sqlalchemy as sa
from alembic import op

revision = "0034"
down_revision = "0033"
branch_labels = depends_on = None

ROLE = "confide_verifier"
TABLES = (
    "appointment",
    "appointment_change",
    "attachment",
    "break_glass",
    "care_team",
    "consent",
    "coverage",
    "disclosure",
    "identifier",
    "patient",
    "patient_key",
    "patient_version",
    "proxy",
    "record",
    "record_version",
    "waitlist_entry",
)


def upgrade() -> None:
    for table in TABLES:
        edition = sa.Column("edition", sa.Integer(), server_default=sa.text("1"), nullable=False)
        op.add_column(table, edition)
    op.execute(
        f"DO $$ BEGIN CREATE ROLE {ROLE} NOLOGIN; EXCEPTION WHEN duplicate_object OR unique_violation THEN NULL; END $$"
    )
    op.execute(f"GRANT {ROLE} TO CURRENT_USER")
    op.execute(f"GRANT USAGE ON SCHEMA audit TO {ROLE}")
    op.execute(f"GRANT SELECT ON audit.event, audit.outbox, audit.leaf TO {ROLE}")
    op.execute(f"GRANT SELECT ON {', '.join(TABLES)} TO {ROLE}")
    op.execute("GRANT USAGE ON SCHEMA audit TO confide_keys")
    op.execute("GRANT INSERT ON audit.outbox, audit.producer TO confide_keys")


def downgrade() -> None:
    op.execute("REVOKE INSERT ON audit.outbox, audit.producer FROM confide_keys")
    op.execute("REVOKE ALL ON SCHEMA audit FROM confide_keys")
    op.execute(f"REVOKE ALL ON audit.event, audit.outbox, audit.leaf FROM {ROLE}")
    op.execute(f"REVOKE ALL ON SCHEMA audit FROM {ROLE}")
    op.execute(f"REVOKE ALL ON {', '.join(TABLES)} FROM {ROLE}")
    for table in TABLES:
        op.drop_column(table, "edition")
