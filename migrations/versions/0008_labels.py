"""Categories of what a record is about, and what an account is cleared to read."""

import sqlalchemy as sa
from alembic import op
from sqlalchemy.dialects import postgresql

revision = "0008"
down_revision = "0007"
branch_labels = depends_on = None

CATEGORIES = "'PSY', 'HIV', 'ETH', 'SUD', 'SEX'"


def upgrade() -> None:
    for table in ("record", "record_version"):
        texts = postgresql.ARRAY(sa.Text())
        op.add_column(table, sa.Column("categories", texts, nullable=False, server_default="{}"))
        op.alter_column(table, "categories", server_default=None)
        op.create_check_constraint(
            op.f(f"ck_{table}_categories"), table, f"categories <@ ARRAY[{CATEGORIES}]"
        )
    op.add_column("account", sa.Column("clearances", postgresql.ARRAY(sa.Text()), nullable=True))
    op.create_check_constraint(
        op.f("ck_account_clearances"),
        "account",
        f"clearances <@ ARRAY['N', 'R', 'V', {CATEGORIES}]",
    )


def downgrade() -> None:
    op.drop_column("account", "clearances")
    for table in ("record", "record_version"):
        op.drop_column(table, "categories")
