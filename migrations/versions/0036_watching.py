"""Patients each of whose accesses is looked at, and saved searches of the trail."""

import sqlalchemy as sa
from alembic import op
from sqlalchemy.dialects import postgresql

revision = "0036"
down_revision = "0035"


def upgrade() -> None:
    op.create_table(
        "watched",
        sa.Column("patient_id", sa.Uuid(), nullable=False),
        sa.Column("reason", sa.Text(), nullable=False),
        sa.Column("set_by", sa.Uuid(), nullable=False),
        sa.Column("since", sa.DateTime(timezone=True), nullable=False),
        sa.CheckConstraint(
            "reason IN ('public-interest', 'employee', 'requested', 'incident')",
            name=op.f("ck_watched_reason"),
        ),
        sa.PrimaryKeyConstraint("patient_id", name=op.f("pk_watched")),
        schema="audit",
    )
    op.create_table(
        "saved_search",
        sa.Column("id", sa.Uuid(), nullable=False),
        sa.Column("name", sa.Text(), nullable=False),
        sa.Column("filters", postgresql.JSONB(), nullable=False),
        sa.Column("saved_by", sa.Uuid(), nullable=False),
        sa.Column("version", sa.Integer(), nullable=False),
        sa.Column("created_at", sa.DateTime(timezone=True), nullable=False),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_saved_search")),
        sa.UniqueConstraint("name", name=op.f("uq_saved_search_name")),
        schema="audit",
    )
    op.execute(
        "GRANT SELECT, INSERT, UPDATE, DELETE ON audit.watched, audit.saved_search TO confide_app"
    )


def downgrade() -> None:
    op.drop_table("saved_search", schema="audit")
    op.drop_table("watched", schema="audit")
