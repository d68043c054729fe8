"""The legal life of records: what made a version, why, under which label, and its signature."""

import sqlalchemy as sa
from alembic import op

revision = "0003"
down_revision = "0002"

ACTS = "'write', 'edit', 'sign', 'cosign', 'amend', 'correct', 'addend', 'retract'"


def upgrade() -> None:
    op.add_column("record", sa.Column("addendum_to", sa.Uuid(), nullable=True))
    op.add_column(
        "record", sa.Column("locked", sa.Boolean(), nullable=False, server_default="false")
    )
    op.alter_column("record", "locked", server_default=None)
    op.create_foreign_key(
        op.f("fk_record_addendum_to"), "record", "record", ["addendum_to"], ["id"]
    )
    op.create_index(op.f("ix_record_addendum_to"), "record", ["addendum_to"])
    version = "record_version"
    op.add_column(version, sa.Column("act", sa.Text(), nullable=False, server_default="write"))
    op.add_column(version, sa.Column("sensitivity", sa.Text(), nullable=True))
    op.add_column(version, sa.Column("reason", sa.LargeBinary(), nullable=True))
    op.add_column(version, sa.Column("digest", sa.LargeBinary(), nullable=True))
    op.execute(
        "UPDATE record_version v SET sensitivity = r.sensitivity FROM record r WHERE r.id = v.record_id"
    )
    op.alter_column(version, "act", server_default=None)
    op.alter_column(version, "sensitivity", nullable=False)
    op.create_check_constraint(op.f("ck_record_version_act"), version, f"act IN ({ACTS})")
    op.create_check_constraint(
        op.f("ck_record_version_sensitivity"), version, "sensitivity IN ('N', 'R', 'V')"
    )


def downgrade() -> None:
    for column in ("digest", "reason", "sensitivity", "act"):
        op.drop_column("record_version", column)
    op.drop_column("record", "locked")
    op.drop_column("record", "addendum_to")
