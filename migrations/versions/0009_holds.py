"""Holds: pending appointments that run out, and what the clinic's own clockwork looks for."""

import sqlalchemy as sa
from alembic import op

revision = "0009"
down_revision = "0008"
branch_labels = depends_on = None


def upgrade() -> None:
    op.add_column("appointment", sa.Column("held_until", sa.DateTime(timezone=True), nullable=True))
    op.create_check_constraint(
        op.f("ck_appointment_held"), "appointment", "held_until IS NULL OR status = 'pending'"
    )
    op.create_index(
        "ix_appointment_held_until",
        "appointment",
        ["held_until"],
        postgresql_where=sa.text("held_until IS NOT NULL"),
    )
    op.create_index(
        "ix_appointment_unclosed",
        "appointment",
        ["ends_at"],
        postgresql_where=sa.text("status = 'booked'"),
    )
    op.create_check_constraint(
        op.f("ck_account_nobody_is_the_clockwork"), "account", "NOT 'clockwork' = ANY (roles)"
    )


def downgrade() -> None:
    op.drop_constraint(op.f("ck_account_nobody_is_the_clockwork"), "account")
    op.drop_index("ix_appointment_unclosed", table_name="appointment")
    op.drop_index("ix_appointment_held_until", table_name="appointment")
    op.drop_constraint(op.f("ck_appointment_held"), "appointment")
    op.drop_column("appointment", "held_until")
