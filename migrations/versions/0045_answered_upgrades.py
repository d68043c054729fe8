"""Which rules of the software a draft answers."""

import sqlalchemy as sa
from alembic import op
from sqlalchemy.dialects import postgresql

revision = "0045"
down_revision = "0044"
branch_labels = depends_on = None


def upgrade() -> None:
    op.add_column(
        "policy_draft", sa.Column("shipped", postgresql.JSONB(astext_type=sa.Text()), nullable=True)
    )


def downgrade() -> None:
    op.drop_column("policy_draft", "shipped")
