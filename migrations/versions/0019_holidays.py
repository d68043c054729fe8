"""Public holidays: the calendars on whose days no weekly window opens. And exclusion in an order an index can use."""

import sqlalchemy as sa
from alembic import op

revision = "0019"
down_revision = "0018"


BLOCKING = "status IN ('pending', 'booked', 'arrived', 'checked-in')"
BUFFERED = "tstzrange(coalesce(blocked_from, starts_at), coalesce(blocked_until, ends_at))"
SESSION = "coalesce(session_id, id)"
TAKEN = {
    "doctor_taken": ("doctor_id", BLOCKING),
    "room_taken": ("location_id", f"exclusive AND location_id IS NOT NULL AND {BLOCKING}"),
}


def upgrade() -> None:
    op.create_table(
        "holiday_calendar",
        sa.Column("id", sa.Uuid(), nullable=False),
        sa.Column("calendar", sa.Text(), nullable=False),
        sa.Column("version", sa.Integer(), nullable=False),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_holiday_calendar")),
        sa.UniqueConstraint("calendar", name=op.f("uq_holiday_calendar_calendar")),
    )
    _exclude(f"{BUFFERED} WITH &&, {SESSION} WITH <>")
    op.execute("GRANT SELECT, INSERT, UPDATE, DELETE ON holiday_calendar TO confide_app")


def downgrade() -> None:
    _exclude(f"{SESSION} WITH <>, {BUFFERED} WITH &&")
    op.drop_table("holiday_calendar")


def _exclude(rest: str) -> None:
    for name, (column, where) in TAKEN.items():
        op.drop_constraint(name, "appointment")
        op.execute(
            f"ALTER TABLE appointment ADD CONSTRAINT {name} "
            f"EXCLUDE USING gist ({column} WITH =, {rest}) WHERE ({where})"
        )
