"""Which department a doctor is of, and when those are on duty who have no weekly windows."""

import sqlalchemy as sa
from alembic import op

revision = "0042"
down_revision = "0041"


def upgrade() -> None:
    op.add_column("doctor", sa.Column("department", sa.Text(), nullable=True))
    op.create_table(
        "account_shift",
        sa.Column("id", sa.Uuid(), nullable=False),
        sa.Column("account_id", sa.Uuid(), nullable=False),
        sa.Column("starts_at", sa.DateTime(timezone=True), nullable=False),
        sa.Column("ends_at", sa.DateTime(timezone=True), nullable=False),
        sa.CheckConstraint(
            "ends_at > starts_at AND ends_at <= starts_at + interval '24 hours'",
            name=op.f("ck_account_shift_length"),
        ),
        sa.ForeignKeyConstraint(
            ["account_id"], ["account.id"], name=op.f("fk_account_shift_account_id")
        ),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_account_shift")),
    )
    op.create_index("ix_account_shift_account", "account_shift", ["account_id", "ends_at"])
    op.execute("GRANT SELECT, INSERT, UPDATE, DELETE ON account_shift TO confide_app")


def downgrade() -> None:
    op.drop_table("account_shift")
    op.drop_column("doctor", "department")
