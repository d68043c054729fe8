"""A visit moves to another doctor or place, its history says so; a group visit's name is checked, not believed."""

import sqlalchemy as sa
from alembic import op

revision = "0033"
down_revision = "0032"
branch_labels = depends_on = None

NAME = (
    "substring(encode(sha256(convert_to(doctor_id || ' ' || service_id || ' ' ||"
    " (extract(epoch FROM starts_at) * 1000000)::bigint, 'UTF8')), 'hex') FOR 32)::uuid"
)
ENDS = ("from", "to")


def upgrade() -> None:
    for end in ENDS:
        for what, other in (("doctor_id", "doctor"), ("location_id", "location")):
            name = f"{end}_{what}"
            op.add_column("appointment_change", sa.Column(name, sa.Uuid(), nullable=True))
            op.create_foreign_key(
                op.f(f"fk_appointment_change_{name}"), "appointment_change", other, [name], ["id"]
            )
    op.execute(
        "UPDATE appointment_change c SET from_doctor_id = a.doctor_id, to_doctor_id = a.doctor_id,"
        " from_location_id = a.location_id, to_location_id = a.location_id"
        " FROM appointment a WHERE a.id = c.appointment_id"
    )
    for end in ENDS:
        op.alter_column("appointment_change", f"{end}_doctor_id", nullable=False)
    op.execute(f"UPDATE appointment SET session_id = {NAME} WHERE session_id IS NOT NULL")
    op.create_check_constraint(
        op.f("ck_appointment_session_name"),
        "appointment",
        f"session_id IS NULL OR service_id IS NOT NULL AND session_id = {NAME}",
    )


def downgrade() -> None:
    op.drop_constraint(op.f("ck_appointment_session_name"), "appointment")
    for end in ENDS:
        op.drop_column("appointment_change", f"{end}_doctor_id")
        op.drop_column("appointment_change", f"{end}_location_id")
