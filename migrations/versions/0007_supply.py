"""What the clinic offers: services, locations, doctors' exceptions; visits get buffers, a room and a lane."""

import sqlalchemy as sa
from alembic import op

revision = "0007"
down_revision = "0006"

BLOCKING = "status IN ('pending', 'booked', 'arrived', 'checked-in')"
BUFFERED = "tstzrange(coalesce(blocked_from, starts_at), coalesce(blocked_until, ends_at))"
NEVER_TWICE = """ALTER TABLE appointment ADD CONSTRAINT {name} EXCLUDE USING gist
    ({column} WITH =, coalesce(session_id, id) WITH <>, {time} WITH &&) WHERE ({where})"""
CHECKS = {
    "buffers_around": "blocked_from <= starts_at AND blocked_until >= ends_at",
    "lane": "lane BETWEEN 1 AND capacity",
    "session": "(capacity > 1) = (session_id IS NOT NULL)",
}
BOUNDS = {
    "duration_minutes": (5, 720),
    "buffer_before_minutes": (0, 240),
    "buffer_after_minutes": (0, 240),
    "notice_minutes": (0, 525_600),
    "horizon_days": (1, 1_095),
    "capacity": (1, 100),
}
NEW = ("location", "service", "doctor_service", "doctor_location", "time_off")


def upgrade() -> None:
    _location()
    _service()
    _doctors()
    _time_off()
    _schedule()
    _appointment()
    op.execute(f"GRANT SELECT, INSERT, UPDATE, DELETE ON {', '.join(NEW)} TO confide_app")


def _location() -> None:
    op.create_table(
        "location",
        _id(),
        sa.Column("name", sa.Text(), nullable=False),
        sa.Column("kind", sa.Text(), nullable=False),
        sa.Column("room_kind", sa.Text(), nullable=True),
        sa.Column("site_id", sa.Uuid(), nullable=True),
        *_lived(),
        sa.CheckConstraint("kind IN ('site', 'room')", name=op.f("ck_location_kind")),
        sa.CheckConstraint("length(name) > 0", name=op.f("ck_location_name")),
        sa.CheckConstraint(
            "kind = 'room' OR room_kind IS NULL AND site_id IS NULL",
            name=op.f("ck_location_only_rooms"),
        ),
        _of("location", "site_id", "location"),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_location")),
    )
    op.create_index(op.f("ix_location_site_id"), "location", ["site_id"])


def _service() -> None:
    op.create_table(
        "service",
        _id(),
        sa.Column("name", sa.Text(), nullable=False),
        sa.Column("specialty", sa.Text(), nullable=True),
        *(sa.Column(name, sa.Integer(), nullable=False) for name in BOUNDS),
        sa.Column("room_kind", sa.Text(), nullable=True),
        sa.Column("location_id", sa.Uuid(), nullable=True),
        *_lived(),
        *_bounded("service"),
        sa.CheckConstraint("length(name) > 0", name=op.f("ck_service_name")),
        _of("service", "location_id", "location"),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_service")),
    )


def _doctors() -> None:
    op.create_table(
        "doctor_service",
        sa.Column("doctor_id", sa.Uuid(), nullable=False),
        sa.Column("service_id", sa.Uuid(), nullable=False),
        sa.Column("offered", sa.Boolean(), nullable=False),
        *(sa.Column(name, sa.Integer(), nullable=True) for name in BOUNDS),
        sa.Column("version", sa.Integer(), nullable=False),
        *_bounded("doctor_service"),
        _of("doctor_service", "doctor_id", "doctor"),
        _of("doctor_service", "service_id", "service"),
        sa.PrimaryKeyConstraint("doctor_id", "service_id", name=op.f("pk_doctor_service")),
    )
    op.create_table(
        "doctor_location",
        sa.Column("doctor_id", sa.Uuid(), nullable=False),
        sa.Column("location_id", sa.Uuid(), nullable=False),
        _of("doctor_location", "doctor_id", "doctor"),
        _of("doctor_location", "location_id", "location"),
        sa.PrimaryKeyConstraint("doctor_id", "location_id", name=op.f("pk_doctor_location")),
    )
    op.create_index(op.f("ix_doctor_location_location_id"), "doctor_location", ["location_id"])


def _time_off() -> None:
    op.create_table(
        "time_off",
        _id(),
        sa.Column("doctor_id", sa.Uuid(), nullable=True),
        sa.Column("kind", sa.Text(), nullable=False),
        sa.Column("starts_at", sa.DateTime(timezone=True), nullable=False),
        sa.Column("ends_at", sa.DateTime(timezone=True), nullable=False),
        sa.Column("service_id", sa.Uuid(), nullable=True),
        sa.Column("location_id", sa.Uuid(), nullable=True),
        sa.Column("slot_minutes", sa.Integer(), nullable=False),
        sa.Column("version", sa.Integer(), nullable=False),
        sa.Column("created_at", sa.DateTime(timezone=True), nullable=False),
        sa.CheckConstraint("kind IN ('absence', 'extra')", name=op.f("ck_time_off_kind")),
        sa.CheckConstraint("ends_at > starts_at", name=op.f("ck_time_off_order")),
        sa.CheckConstraint("slot_minutes BETWEEN 5 AND 480", name=op.f("ck_time_off_slot_minutes")),
        sa.CheckConstraint(
            "kind = 'absence' OR doctor_id IS NOT NULL", name=op.f("ck_time_off_whose_hours")
        ),
        _of("time_off", "doctor_id", "doctor"),
        _of("time_off", "service_id", "service"),
        _of("time_off", "location_id", "location"),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_time_off")),
    )
    op.create_index("ix_time_off_doctor", "time_off", ["doctor_id", "starts_at"])


def _schedule() -> None:
    _refer("schedule", "service")
    _refer("schedule", "location")
    op.add_column(
        "schedule", sa.Column("version", sa.Integer(), nullable=False, server_default="1")
    )
    op.alter_column("schedule", "version", server_default=None)


def _appointment() -> None:
    _refer("appointment", "service")
    _refer("appointment", "location")
    for column in (
        sa.Column("blocked_from", sa.DateTime(timezone=True), nullable=True),
        sa.Column("blocked_until", sa.DateTime(timezone=True), nullable=True),
        sa.Column("exclusive", sa.Boolean(), nullable=False, server_default=sa.text("true")),
        sa.Column("session_id", sa.Uuid(), nullable=True),
        sa.Column("lane", sa.Integer(), nullable=False, server_default=sa.text("1")),
        sa.Column("capacity", sa.Integer(), nullable=False, server_default=sa.text("1")),
    ):
        op.add_column("appointment", column)
    for name, rule in CHECKS.items():
        op.create_check_constraint(op.f(f"ck_appointment_{name}"), "appointment", rule)
    op.drop_constraint("doctor_taken", "appointment")
    op.execute(_never_twice("doctor_taken", "doctor_id", BLOCKING))
    room = f"exclusive AND location_id IS NOT NULL AND {BLOCKING}"
    op.execute(_never_twice("room_taken", "location_id", room))
    op.create_index(
        "uq_appointment_lane",
        "appointment",
        ["session_id", "lane"],
        unique=True,
        postgresql_where=sa.text(f"session_id IS NOT NULL AND {BLOCKING}"),
    )


def downgrade() -> None:
    op.drop_constraint("room_taken", "appointment")
    op.drop_constraint("doctor_taken", "appointment")
    op.execute(
        "ALTER TABLE appointment ADD CONSTRAINT doctor_taken EXCLUDE USING gist "
        f"(doctor_id WITH =, tstzrange(starts_at, ends_at) WITH &&) WHERE ({BLOCKING})"
    )
    op.drop_index("uq_appointment_lane", table_name="appointment")
    for name in CHECKS:
        op.drop_constraint(op.f(f"ck_appointment_{name}"), "appointment")
    for name in ("capacity", "lane", "session_id", "exclusive", "blocked_until", "blocked_from"):
        op.drop_column("appointment", name)
    for table in ("appointment", "schedule"):
        op.drop_column(table, "location_id")
        op.drop_column(table, "service_id")
    op.drop_column("schedule", "version")
    for table in reversed(NEW):
        op.drop_table(table)


def _id() -> sa.Column[sa.Uuid]:
    return sa.Column("id", sa.Uuid(), nullable=False)


def _lived() -> tuple[sa.Column, ...]:
    return (
        sa.Column("active", sa.Boolean(), nullable=False),
        sa.Column("version", sa.Integer(), nullable=False),
        sa.Column("created_at", sa.DateTime(timezone=True), nullable=False),
    )


def _bounded(table: str) -> list[sa.CheckConstraint]:
    return [
        sa.CheckConstraint(f"{name} BETWEEN {low} AND {high}", name=op.f(f"ck_{table}_{name}"))
        for name, (low, high) in BOUNDS.items()
    ]


def _of(table: str, column: str, other: str) -> sa.ForeignKeyConstraint:
    return sa.ForeignKeyConstraint([column], [f"{other}.id"], name=op.f(f"fk_{table}_{column}"))


def _refer(table: str, other: str) -> None:
    column = f"{other}_id"
    op.add_column(table, sa.Column(column, sa.Uuid(), nullable=True))
    op.create_foreign_key(op.f(f"fk_{table}_{column}"), table, other, [column], ["id"])


def _never_twice(name: str, column: str, where: str) -> str:
    return NEVER_TWICE.format(name=name, column=column, time=BUFFERED, where=where)
