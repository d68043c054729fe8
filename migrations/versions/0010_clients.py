"""A registry of OAuth clients: their keys, whom they act as, who registered them; assertions that were used."""

import sqlalchemy as sa
from alembic import op
from sqlalchemy.dialects import postgresql

revision = "0010"
down_revision = "0009"
branch_labels = depends_on = None

METHODS = "'none', 'client_secret_basic', 'client_secret_post', 'private_key_jwt'"


def upgrade() -> None:
    texts = postgresql.ARRAY(sa.Text())
    for column, filled in (
        (sa.Column("post_logout_redirect_uris", texts, nullable=False, server_default="{}"), True),
        (sa.Column("auth_method", sa.Text(), nullable=False, server_default="none"), True),
        (sa.Column("active", sa.Boolean(), nullable=False, server_default="true"), True),
        (sa.Column("version", sa.Integer(), nullable=False, server_default="1"), True),
        (sa.Column("jwks", postgresql.JSONB(), nullable=True), False),
        (sa.Column("account_id", sa.Uuid(), nullable=True), False),
        (sa.Column("registered_by", sa.Uuid(), nullable=True), False),
    ):
        op.add_column("oauth_client", column)
        if filled:
            op.alter_column("oauth_client", column.name, server_default=None)
    op.create_check_constraint(
        op.f("ck_oauth_client_auth_method"), "oauth_client", f"auth_method IN ({METHODS})"
    )
    for column in ("account_id", "registered_by"):
        op.create_foreign_key(
            op.f(f"fk_oauth_client_{column}"), "oauth_client", "account", [column], ["id"]
        )
    op.create_table(
        "oauth_assertion",
        sa.Column("assertion_hash", sa.LargeBinary(), nullable=False),
        sa.Column("expires_at", sa.DateTime(timezone=True), nullable=False),
        sa.CheckConstraint(
            "octet_length(assertion_hash) = 32", name=op.f("ck_oauth_assertion_hashed")
        ),
        sa.PrimaryKeyConstraint("assertion_hash", name=op.f("pk_oauth_assertion")),
    )
    op.execute("GRANT SELECT, INSERT, DELETE ON oauth_assertion TO confide_app")


def downgrade() -> None:
    op.drop_table("oauth_assertion")
    for column in ("account_id", "registered_by"):
        op.drop_constraint(op.f(f"fk_oauth_client_{column}"), "oauth_client")
    op.drop_constraint(op.f("ck_oauth_client_auth_method"), "oauth_client")
    for column in (
        "registered_by",
        "account_id",
        "jwks",
        "version",
        "active",
        "auth_method",
        "post_logout_redirect_uris",
    ):
        op.drop_column("oauth_client", column)
