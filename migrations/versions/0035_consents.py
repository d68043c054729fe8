"""Consent is remembered; clients may publish their keys, or be our own."""

import sqlalchemy as sa
from alembic import op
from sqlalchemy.dialects import postgresql

revision = "0035"
down_revision = "0034"
branch_labels = depends_on = None


def upgrade() -> None:
    op.add_column("oauth_client", sa.Column("jwks_uri", sa.Text(), nullable=True))
    ours = sa.Column("first_party", sa.Boolean(), nullable=False, server_default="false")
    op.add_column("oauth_client", ours)
    op.alter_column("oauth_client", "first_party", server_default=None)
    op.create_table(
        "oauth_consent",
        sa.Column("account_id", sa.Uuid(), nullable=False),
        sa.Column("client_id", sa.Text(), nullable=False),
        sa.Column("scopes", postgresql.ARRAY(sa.Text()), nullable=False),
        sa.Column("given_at", sa.DateTime(timezone=True), nullable=False),
        sa.ForeignKeyConstraint(
            ["account_id"], ["account.id"], name=op.f("fk_oauth_consent_account_id")
        ),
        sa.ForeignKeyConstraint(
            ["client_id"], ["oauth_client.id"], name=op.f("fk_oauth_consent_client_id")
        ),
        sa.PrimaryKeyConstraint("account_id", "client_id", name=op.f("pk_oauth_consent")),
    )
    op.execute("GRANT SELECT, INSERT, UPDATE, DELETE ON oauth_consent TO confide_app")


def downgrade() -> None:
    op.drop_table("oauth_consent")
    op.drop_column("oauth_client", "first_party")
    op.drop_column("oauth_client", "jwks_uri")
