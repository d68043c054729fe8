"""Counters of tries and requests that all processes share."""

import sqlalchemy as sa
from alembic import op

revision = "0043"
down_revision = "0042"
branch_labels = depends_on = None


def upgrade() -> None:
    op.create_table(
        "tally",
        sa.Column("key", sa.LargeBinary(), nullable=False),
        sa.Column("count", sa.Integer(), nullable=False),
        sa.Column("ends_at", sa.DateTime(timezone=True), nullable=False),
        sa.CheckConstraint("octet_length(key) = 32", name=op.f("ck_tally_hashed")),
        sa.PrimaryKeyConstraint("key", name=op.f("pk_tally")),
        prefixes=["UNLOGGED"],
    )
    op.execute("GRANT SELECT, INSERT, UPDATE, DELETE ON tally TO confide_app")


def downgrade() -> None:
    op.drop_table("tally")
