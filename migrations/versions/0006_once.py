"""Idempotency keys: what a request made, kept in its own transaction."""

import sqlalchemy as sa
from alembic import op

revision = "0006"
down_revision = "0005"
branch_labels = depends_on = None


def upgrade() -> None:
    op.create_table(
        "idempotency_key",
        sa.Column("account_id", sa.Uuid(), nullable=False),
        sa.Column("route", sa.Text(), nullable=False),
        sa.Column("token", sa.LargeBinary(), nullable=False),
        sa.Column("body", sa.LargeBinary(), nullable=False),
        sa.Column("made", sa.Uuid(), nullable=False),
        sa.Column("created_at", sa.DateTime(timezone=True), nullable=False),
        sa.CheckConstraint("octet_length(token) = 16", name=op.f("ck_idempotency_key_token")),
        sa.CheckConstraint("octet_length(body) = 16", name=op.f("ck_idempotency_key_body")),
        sa.ForeignKeyConstraint(
            ["account_id"], ["account.id"], name=op.f("fk_idempotency_key_account_id")
        ),
        sa.PrimaryKeyConstraint("account_id", "route", "token", name=op.f("pk_idempotency_key")),
    )
    op.execute("GRANT SELECT, INSERT, UPDATE, DELETE ON idempotency_key TO confide_app")


def downgrade() -> None:
    op.drop_table("idempotency_key")
