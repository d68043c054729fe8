"""The ledger keeps each event's seal, so that an event which nobody made is found wherever it was put in."""

import sqlalchemy as sa
from alembic import op

revision = "0048"
down_revision = "0047"
branch_labels = depends_on = None


def upgrade() -> None:
    op.add_column("event", sa.Column("seal", sa.LargeBinary()), schema="audit")
    op.execute("GRANT SELECT ON audit.producer TO confide_auditor")


def downgrade() -> None:
    op.execute("REVOKE SELECT ON audit.producer FROM confide_auditor")
    op.drop_column("event", "seal", schema="audit")
