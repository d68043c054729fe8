"""Public holidays: the calendars on whose days no weekly window opens."""

import sqlalchemy as sa
from alembic import op

revision = "0018"
down_revision = "0017"


def upgrade() -> None:
    op.create_table(
        "holiday_calendar",
        sa.Column("id", sa.Uuid(), nullable=False),
        sa.Column("calendar", sa.Text(), nullable=False),
        sa.Column("version", sa.Integer(), nullable=False),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_holiday_calendar")),
        sa.UniqueConstraint("calendar", name=op.f("uq_holiday_calendar_calendar")),
    )
    op.execute("GRANT SELECT, INSERT, UPDATE, DELETE ON holiday_calendar TO confide_app")


def downgrade() -> None:
    op.drop_table("holiday_calendar")
