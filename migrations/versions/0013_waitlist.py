"""The waitlist: who waits, for what, and the hold that is an offer to them."""

import sqlalchemy as sa
from alembic import op
from sqlalchemy.dialects import postgresql

revision = "0013"
down_revision = "0012"
branch_labels = depends_on = None

REASONS = (
    "'pat', 'pat-cpp', 'pat-swl', 'pat-dec', 'pat-fb', 'pat-lt', 'prov', 'prov-pers', 'prov-dch', 'prov-edu',"
    " 'prov-hosp', 'maint', 'meds-inc', 'oth-weath', 'oth-err', 'other', 'hold-expired'"
)
OLD = REASONS.replace("'pat-cpp', 'pat-swl', ", "").replace("'oth-err'", "'oth-cms'")
CODED = (("appointment", "cancellation_reason"), ("appointment_change", "reason_code"))


def _allow(reasons: str) -> None:
    for table, column in CODED:
        name = op.f(f"ck_{table}_{column}")
        op.drop_constraint(name, table)
        op.create_check_constraint(name, table, f"{column} IN ({reasons})")


def upgrade() -> None:
    _allow(REASONS)
    op.create_table(
        "waitlist_entry",
        sa.Column("id", sa.Uuid(), nullable=False),
        sa.Column("patient_id", sa.Uuid(), nullable=False),
        sa.Column("key_id", sa.BigInteger(), nullable=False),
        sa.Column("service_id", sa.Uuid(), nullable=True),
        sa.Column("doctor_ids", postgresql.ARRAY(sa.UUID()), nullable=False),
        sa.Column("minutes", sa.Integer(), nullable=True),
        sa.Column("earliest", sa.DateTime(timezone=True), nullable=False),
        sa.Column("latest", sa.DateTime(timezone=True), nullable=False),
        sa.Column("time_zone", sa.Text(), nullable=False),
        sa.Column("weekdays", postgresql.ARRAY(sa.SmallInteger()), nullable=False),
        sa.Column("not_before", sa.Time(), nullable=True),
        sa.Column("not_after", sa.Time(), nullable=True),
        sa.Column("priority", sa.Integer(), nullable=False),
        sa.Column("reason", sa.LargeBinary(), nullable=True),
        sa.Column("appointment_id", sa.Uuid(), nullable=True),
        sa.Column("status", sa.Text(), nullable=False),
        sa.Column("offer_id", sa.Uuid(), nullable=True),
        sa.Column("version", sa.Integer(), nullable=False),
        sa.Column("created_by", sa.Uuid(), nullable=False),
        sa.Column("created_at", sa.DateTime(timezone=True), nullable=False),
        sa.CheckConstraint(
            "status IN ('waiting', 'offered', 'booked', 'declined', 'expired', 'removed')",
            name=op.f("ck_waitlist_entry_status"),
        ),
        sa.CheckConstraint("priority BETWEEN 1 AND 3", name=op.f("ck_waitlist_entry_priority")),
        sa.CheckConstraint("minutes BETWEEN 5 AND 720", name=op.f("ck_waitlist_entry_minutes")),
        sa.CheckConstraint("latest > earliest", name=op.f("ck_waitlist_entry_window")),
        sa.CheckConstraint(
            "status <> 'offered' OR offer_id IS NOT NULL", name=op.f("ck_waitlist_entry_offer")
        ),
        sa.ForeignKeyConstraint(
            ["key_id", "patient_id"],
            ["patient_key.key_id", "patient_key.patient_id"],
            name=op.f("fk_waitlist_entry_key_id_patient_id"),
        ),
        sa.ForeignKeyConstraint(
            ["appointment_id", "patient_id"],
            ["appointment.id", "appointment.patient_id"],
            name=op.f("fk_waitlist_entry_appointment_id_patient_id"),
        ),
        sa.ForeignKeyConstraint(
            ["offer_id", "patient_id"],
            ["appointment.id", "appointment.patient_id"],
            name=op.f("fk_waitlist_entry_offer_id_patient_id"),
        ),
        sa.ForeignKeyConstraint(
            ["patient_id"], ["patient.id"], name=op.f("fk_waitlist_entry_patient_id")
        ),
        sa.ForeignKeyConstraint(
            ["service_id"], ["service.id"], name=op.f("fk_waitlist_entry_service_id")
        ),
        sa.ForeignKeyConstraint(
            ["created_by"], ["account.id"], name=op.f("fk_waitlist_entry_created_by")
        ),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_waitlist_entry")),
    )
    op.create_index(op.f("ix_waitlist_entry_patient_id"), "waitlist_entry", ["patient_id"])
    op.create_index("uq_waitlist_entry_offer", "waitlist_entry", ["offer_id"], unique=True)
    op.create_index(
        "ix_waitlist_entry_order",
        "waitlist_entry",
        ["priority", "id"],
        postgresql_where=sa.text("status = 'waiting'"),
    )
    op.execute("GRANT SELECT, INSERT, UPDATE ON waitlist_entry TO confide_app")


def downgrade() -> None:
    op.drop_table("waitlist_entry")
    _allow(OLD)
