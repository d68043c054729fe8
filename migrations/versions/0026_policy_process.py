"""Which processes decide, and by which version of the rules; what drafts of rules would change."""

import sqlalchemy as sa
from alembic import op
from sqlalchemy.dialects import postgresql

revision = "0026"
down_revision = "0025"


def upgrade() -> None:
    op.create_table(
        "policy_process",
        sa.Column("process", sa.Uuid(), nullable=False),
        sa.Column("version", sa.Integer(), nullable=False),
        sa.Column("seen_at", sa.DateTime(timezone=True), nullable=False),
        sa.ForeignKeyConstraint(
            ["version"], ["policy_version.version"], name=op.f("fk_policy_process_version")
        ),
        sa.PrimaryKeyConstraint("process", name=op.f("pk_policy_process")),
    )
    op.execute("GRANT SELECT, INSERT, UPDATE, DELETE ON policy_process TO confide_app")
    op.create_table(
        "policy_simulation",
        sa.Column("id", sa.Uuid(), nullable=False),
        sa.Column("draft_id", sa.Uuid(), nullable=False),
        sa.Column("draft_version", sa.Integer(), nullable=False),
        sa.Column("base", sa.Integer(), nullable=False),
        sa.Column("status", sa.Text(), nullable=False),
        sa.Column("done", sa.Integer(), nullable=False),
        sa.Column("total", sa.Integer(), nullable=False),
        sa.Column("result", postgresql.JSONB(), nullable=True),
        sa.Column("created_at", sa.DateTime(timezone=True), nullable=False),
        sa.Column("updated_at", sa.DateTime(timezone=True), nullable=False),
        sa.CheckConstraint(
            "status IN ('running', 'done', 'failed')", name=op.f("ck_policy_simulation_status")
        ),
        sa.ForeignKeyConstraint(
            ["base"], ["policy_version.version"], name=op.f("fk_policy_simulation_base")
        ),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_policy_simulation")),
    )
    op.execute("GRANT SELECT, INSERT, UPDATE, DELETE ON policy_simulation TO confide_app")


def downgrade() -> None:
    op.drop_table("policy_simulation")
    op.drop_table("policy_process")
