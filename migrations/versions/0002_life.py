"""The life of an appointment: why it was cancelled, how often it moved, and the history of its changes."""

import sqlalchemy as sa
from alembic import op

revision = "0002"
down_revision = "0001"
branch_labels = depends_on = None

STATUSES = "'proposed', 'pending', 'booked', 'arrived', 'checked-in', 'fulfilled', 'cancelled', 'noshow', 'entered-in-error', 'waitlist'"
ACTS = "'confirm', 'check-in', 'start', 'complete', 'cancel', 'no-show', 'reschedule', 'expire', 'undo', 'enter-in-error'"
REASONS = "'pat', 'pat-dec', 'pat-fb', 'pat-lt', 'prov', 'prov-pers', 'prov-dch', 'prov-edu', 'prov-hosp', 'maint', 'meds-inc', 'oth-weath', 'oth-cms', 'other', 'hold-expired'"


def upgrade() -> None:
    op.add_column("appointment", sa.Column("cancellation_reason", sa.Text(), nullable=True))
    op.add_column(
        "appointment", sa.Column("moves", sa.Integer(), server_default="0", nullable=False)
    )
    op.alter_column("appointment", "moves", server_default=None)
    op.create_check_constraint(
        op.f("ck_appointment_cancellation_reason"),
        "appointment",
        f"cancellation_reason IN ({REASONS})",
    )
    op.create_check_constraint(
        op.f("ck_appointment_reason_of_cancelling"),
        "appointment",
        "cancellation_reason IS NULL OR status IN ('cancelled', 'noshow')",
    )
    op.create_table(
        "appointment_change",
        sa.Column("id", sa.Uuid(), nullable=False),
        sa.Column("patient_id", sa.Uuid(), nullable=False),
        sa.Column("key_id", sa.BigInteger(), nullable=False),
        sa.Column("appointment_id", sa.Uuid(), nullable=False),
        sa.Column("number", sa.Integer(), nullable=False),
        sa.Column("act", sa.Text(), nullable=False),
        sa.Column("from_status", sa.Text(), nullable=False),
        sa.Column("to_status", sa.Text(), nullable=False),
        sa.Column("from_start", sa.DateTime(timezone=True), nullable=False),
        sa.Column("from_end", sa.DateTime(timezone=True), nullable=False),
        sa.Column("to_start", sa.DateTime(timezone=True), nullable=False),
        sa.Column("to_end", sa.DateTime(timezone=True), nullable=False),
        sa.Column("reason_code", sa.Text(), nullable=True),
        sa.Column("note", sa.LargeBinary(), nullable=True),
        sa.Column("changed_by", sa.Uuid(), nullable=True),
        sa.Column("changed_at", sa.DateTime(timezone=True), nullable=False),
        sa.CheckConstraint(f"act IN ({ACTS})", name=op.f("ck_appointment_change_act")),
        sa.CheckConstraint(
            f"from_status IN ({STATUSES})", name=op.f("ck_appointment_change_from_status")
        ),
        sa.CheckConstraint(
            f"to_status IN ({STATUSES})", name=op.f("ck_appointment_change_to_status")
        ),
        sa.CheckConstraint(
            f"reason_code IN ({REASONS})", name=op.f("ck_appointment_change_reason_code")
        ),
        sa.ForeignKeyConstraint(
            ["appointment_id", "patient_id"],
            ["appointment.id", "appointment.patient_id"],
            name=op.f("fk_appointment_change_appointment_id_patient_id"),
        ),
        sa.ForeignKeyConstraint(
            ["changed_by"], ["account.id"], name=op.f("fk_appointment_change_changed_by")
        ),
        sa.ForeignKeyConstraint(
            ["key_id", "patient_id"],
            ["patient_key.key_id", "patient_key.patient_id"],
            name=op.f("fk_appointment_change_key_id_patient_id"),
        ),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_appointment_change")),
        sa.UniqueConstraint(
            "appointment_id", "number", name=op.f("uq_appointment_change_appointment_id_number")
        ),
    )
    op.execute("GRANT SELECT, INSERT ON appointment_change TO confide_app")


def downgrade() -> None:
    op.drop_table("appointment_change")
    op.drop_constraint(op.f("ck_appointment_reason_of_cancelling"), "appointment")
    op.drop_constraint(op.f("ck_appointment_cancellation_reason"), "appointment")
    op.drop_column("appointment", "moves")
    op.drop_column("appointment", "cancellation_reason")
