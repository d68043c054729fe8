"""A simulation waits in the database for the chore that does it, with all that it needs and with how far it came."""

import sqlalchemy as sa
from alembic import op
from sqlalchemy.dialects import postgresql

revision = "0031"
down_revision = "0030"

STATES = ("'queued', 'running', 'done', 'failed'", "'running', 'done', 'failed'")


def upgrade() -> None:
    op.execute("DELETE FROM policy_simulation")  # each can be had again, and exactly
    op.add_column("policy_simulation", sa.Column("rules", postgresql.JSONB(), nullable=False))
    op.add_column("policy_simulation", sa.Column("days", sa.Integer(), nullable=False))
    op.add_column("policy_simulation", sa.Column("last", sa.Uuid(), nullable=True))
    op.add_column("policy_simulation", sa.Column("effects", postgresql.JSONB(), nullable=False))
    _states(STATES[0])


def downgrade() -> None:
    op.execute("DELETE FROM policy_simulation WHERE status = 'queued'")
    _states(STATES[1])
    for name in ("effects", "last", "days", "rules"):
        op.drop_column("policy_simulation", name)


def _states(allowed: str) -> None:
    name = op.f("ck_policy_simulation_status")
    op.drop_constraint(name, "policy_simulation")
    op.create_check_constraint(name, "policy_simulation", f"status IN ({allowed})")
