"""Second factors: an authenticator app's seed, sealed, and recovery codes; how each login was made."""

import sqlalchemy as sa
from alembic import op
from sqlalchemy.dialects import postgresql

revision = "0022"
down_revision = "0021"
branch_labels = depends_on = None


def upgrade() -> None:
    for table in ("oauth_session", "oauth_code"):
        amr = sa.Column("amr", postgresql.ARRAY(sa.Text()), nullable=False, server_default="{}")
        op.add_column(table, amr)
        op.alter_column(table, "amr", server_default=None)
    op.create_table(
        "account_totp",
        sa.Column("account_id", sa.Uuid(), nullable=False),
        sa.Column("seed", sa.LargeBinary(), nullable=False),
        sa.Column("last_step", sa.BigInteger(), nullable=False),
        sa.Column("confirmed_at", sa.DateTime(timezone=True), nullable=True),
        sa.Column("created_at", sa.DateTime(timezone=True), nullable=False),
        sa.ForeignKeyConstraint(
            ["account_id"], ["account.id"], name=op.f("fk_account_totp_account_id")
        ),
        sa.PrimaryKeyConstraint("account_id", name=op.f("pk_account_totp")),
    )
    op.create_table(
        "account_recovery_code",
        sa.Column("code_hash", sa.LargeBinary(), nullable=False),
        sa.Column("account_id", sa.Uuid(), nullable=False),
        sa.Column("used_at", sa.DateTime(timezone=True), nullable=True),
        sa.CheckConstraint(
            "octet_length(code_hash) = 32", name=op.f("ck_account_recovery_code_hashed")
        ),
        sa.ForeignKeyConstraint(
            ["account_id"], ["account.id"], name=op.f("fk_account_recovery_code_account_id")
        ),
        sa.PrimaryKeyConstraint("code_hash", name=op.f("pk_account_recovery_code")),
    )
    op.create_index(
        op.f("ix_account_recovery_code_account_id"), "account_recovery_code", ["account_id"]
    )
    for table in ("account_totp", "account_recovery_code"):
        op.execute(f"GRANT SELECT, INSERT, UPDATE, DELETE ON {table} TO confide_app")


def downgrade() -> None:
    op.drop_table("account_recovery_code")
    op.drop_table("account_totp")
    op.drop_column("oauth_code", "amr")
    op.drop_column("oauth_session", "amr")
