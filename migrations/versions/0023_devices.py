"""Authorization requests that were pushed, and devices that wait for a login."""

import sqlalchemy as sa
from alembic import op
from sqlalchemy.dialects import postgresql

revision = "0023"
down_revision = "0022"
branch_labels = depends_on = None


def upgrade() -> None:
    op.create_table(
        "oauth_pushed_request",
        sa.Column("request_hash", sa.LargeBinary(), nullable=False),
        sa.Column("client_id", sa.Text(), nullable=False),
        sa.Column("parameters", postgresql.JSONB(), nullable=False),
        sa.Column("expires_at", sa.DateTime(timezone=True), nullable=False),
        sa.CheckConstraint(
            "octet_length(request_hash) = 32", name=op.f("ck_oauth_pushed_request_hashed")
        ),
        sa.ForeignKeyConstraint(
            ["client_id"], ["oauth_client.id"], name=op.f("fk_oauth_pushed_request_client_id")
        ),
        sa.PrimaryKeyConstraint("request_hash", name=op.f("pk_oauth_pushed_request")),
    )
    op.create_table(
        "oauth_device",
        sa.Column("device_hash", sa.LargeBinary(), nullable=False),
        sa.Column("user_hash", sa.LargeBinary(), nullable=False),
        sa.Column("client_id", sa.Text(), nullable=False),
        sa.Column("scope", sa.Text(), nullable=False),
        sa.Column("account_id", sa.Uuid(), nullable=True),
        sa.Column("allowed", sa.Boolean(), nullable=True),
        sa.Column("amr", postgresql.ARRAY(sa.Text()), nullable=False),
        sa.Column("auth_time", sa.DateTime(timezone=True), nullable=True),
        sa.Column("polled_at", sa.DateTime(timezone=True), nullable=True),
        sa.Column("used_at", sa.DateTime(timezone=True), nullable=True),
        sa.Column("expires_at", sa.DateTime(timezone=True), nullable=False),
        sa.CheckConstraint(
            "octet_length(device_hash) = 32", name=op.f("ck_oauth_device_device_hashed")
        ),
        sa.CheckConstraint(
            "octet_length(user_hash) = 32", name=op.f("ck_oauth_device_user_hashed")
        ),
        sa.ForeignKeyConstraint(
            ["account_id"], ["account.id"], name=op.f("fk_oauth_device_account_id")
        ),
        sa.ForeignKeyConstraint(
            ["client_id"], ["oauth_client.id"], name=op.f("fk_oauth_device_client_id")
        ),
        sa.PrimaryKeyConstraint("device_hash", name=op.f("pk_oauth_device")),
        sa.UniqueConstraint("user_hash", name=op.f("uq_oauth_device_user_hash")),
    )
    for table in ("oauth_pushed_request", "oauth_device"):
        op.execute(f"GRANT SELECT, INSERT, UPDATE, DELETE ON {table} TO confide_app")


def downgrade() -> None:
    op.drop_table("oauth_device")
    op.drop_table("oauth_pushed_request")
