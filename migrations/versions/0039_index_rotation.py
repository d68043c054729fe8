"""Root keys of blind indexes turn over: identifiers know theirs, and old ones are retired."""

import sqlalchemy as sa
from alembic import op

revision = "0039"
down_revision = "0038"
branch_labels = depends_on = None

ROLE = "confide_keys"
KINDS = "kind IN ('kek', 'dek', 'index')"


def upgrade() -> None:
    op.add_column(
        "index_key", sa.Column("retired", sa.Boolean(), server_default="false", nullable=False)
    )
    op.alter_column("index_key", "retired", server_default=None)
    op.add_column(
        "identifier", sa.Column("key_version", sa.Integer(), server_default="1", nullable=False)
    )
    op.alter_column("identifier", "key_version", server_default=None)
    op.create_foreign_key(
        op.f("fk_identifier_key_version"), "identifier", "index_key", ["key_version"], ["version"]
    )
    op.create_index(op.f("ix_identifier_key_version"), "identifier", ["key_version"])
    op.drop_constraint(op.f("ck_key_rotation_kind"), "key_rotation")
    op.create_check_constraint(op.f("ck_key_rotation_kind"), "key_rotation", KINDS)
    op.execute(f"GRANT INSERT ON index_key TO {ROLE}")
    op.execute(f"GRANT INSERT, DELETE ON patient_token TO {ROLE}")
    op.execute(f"GRANT SELECT, UPDATE (kek_version, wrapped) ON audit.producer TO {ROLE}")


def downgrade() -> None:
    op.execute(f"REVOKE SELECT, UPDATE (kek_version, wrapped) ON audit.producer FROM {ROLE}")
    op.execute(f"REVOKE INSERT, DELETE ON patient_token FROM {ROLE}")
    op.execute(f"REVOKE INSERT ON index_key FROM {ROLE}")
    op.drop_constraint(op.f("ck_key_rotation_kind"), "key_rotation")
    op.create_check_constraint(
        op.f("ck_key_rotation_kind"), "key_rotation", "kind IN ('kek', 'dek')"
    )
    op.drop_index(op.f("ix_identifier_key_version"), table_name="identifier")
    op.drop_constraint(op.f("fk_identifier_key_version"), "identifier", type_="foreignkey")
    op.drop_column("identifier", "key_version")
    op.drop_column("index_key", "retired")
