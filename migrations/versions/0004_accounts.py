"""Accounts that administrators keep: versions, departments, one-time links."""

import sqlalchemy as sa
from alembic import op

revision = "0004"
down_revision = "0003"
branch_labels = depends_on = None


def upgrade() -> None:
    op.add_column("account", sa.Column("department", sa.Text(), nullable=True))
    op.add_column("account", sa.Column("version", sa.Integer(), nullable=False, server_default="1"))
    op.alter_column("account", "version", server_default=None)
    op.create_table(
        "account_ticket",
        sa.Column("token_hash", sa.LargeBinary(), nullable=False),
        sa.Column("account_id", sa.Uuid(), nullable=False),
        sa.Column("kind", sa.Text(), nullable=False),
        sa.Column("created_at", sa.DateTime(timezone=True), nullable=False),
        sa.Column("expires_at", sa.DateTime(timezone=True), nullable=False),
        sa.Column("used_at", sa.DateTime(timezone=True), nullable=True),
        sa.CheckConstraint("kind IN ('invitation', 'reset')", name=op.f("ck_account_ticket_kind")),
        sa.CheckConstraint("octet_length(token_hash) = 32", name=op.f("ck_account_ticket_hashed")),
        sa.ForeignKeyConstraint(
            ["account_id"], ["account.id"], name=op.f("fk_account_ticket_account_id")
        ),
        sa.PrimaryKeyConstraint("token_hash", name=op.f("pk_account_ticket")),
    )
    op.create_index(op.f("ix_account_ticket_account_id"), "account_ticket", ["account_id"])
    op.execute("GRANT SELECT, INSERT, UPDATE, DELETE ON account_ticket TO confide_app")


def downgrade() -> None:
    op.drop_table("account_ticket")
    op.drop_column("account", "version")
    op.drop_column("account", "department")
