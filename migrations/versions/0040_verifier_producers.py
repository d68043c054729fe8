"""Whoever compares rows with the log knows the producers, to tell their events from others in the outbox."""

from alembic import op

revision = "0040"
down_revision = "0039"
branch_labels = depends_on = None


def upgrade() -> None:
    op.execute("GRANT SELECT ON audit.producer TO confide_verifier")


def downgrade() -> None:
    op.execute("REVOKE SELECT ON audit.producer FROM confide_verifier")
