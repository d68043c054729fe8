"""Rotating the audit KEK rewraps the keys of producers: whoever rotates may read and replace them."""

from alembic import op

revision = "0038"
down_revision = "0037"


def upgrade() -> None:
    op.execute("GRANT SELECT, UPDATE (kek_version, wrapped) ON audit.producer TO confide_keys")


def downgrade() -> None:
    op.execute("REVOKE SELECT, UPDATE (kek_version, wrapped) ON audit.producer FROM confide_keys")
