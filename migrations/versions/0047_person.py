"""A visit says whose it is, whichever file it stands in, and the database keeps a person from being in two places.

It fails where one person has two visits at one time that both still hold it: one of them has to be moved or cancelled before.
"""

import sqlalchemy as sa
from alembic import op

revision = "0047"
down_revision = "0046"
branch_labels = depends_on = None

TAKEN = (
    "ALTER TABLE appointment ADD CONSTRAINT patient_taken EXCLUDE USING gist"
    " ({} WITH =, tstzrange(starts_at, ends_at) WITH &&)"
    " WHERE (status IN ('pending', 'booked', 'arrived', 'checked-in'))"
)


def upgrade() -> None:
    person = sa.Computed("coalesce(replaced_by, id)", persisted=True)
    op.add_column("patient", sa.Column("person_id", sa.Uuid(), person, nullable=False))
    op.create_unique_constraint(op.f("uq_patient_id_person_id"), "patient", ["id", "person_id"])
    op.add_column("appointment", sa.Column("person_id", sa.Uuid(), nullable=True))
    op.execute(
        "UPDATE appointment a SET person_id = p.person_id FROM patient p WHERE p.id = a.patient_id"
    )
    op.alter_column("appointment", "person_id", nullable=False)
    op.drop_constraint(op.f("fk_appointment_patient_id"), "appointment", type_="foreignkey")
    op.create_foreign_key(
        op.f("fk_appointment_patient_id_person_id"),
        "appointment",
        "patient",
        ["patient_id", "person_id"],
        ["id", "person_id"],
        onupdate="CASCADE",
    )
    _forbid("person_id")


def downgrade() -> None:
    _forbid("patient_id")
    op.drop_constraint(
        op.f("fk_appointment_patient_id_person_id"), "appointment", type_="foreignkey"
    )
    op.create_foreign_key(
        op.f("fk_appointment_patient_id"), "appointment", "patient", ["patient_id"], ["id"]
    )
    op.drop_column("appointment", "person_id")
    op.drop_constraint(op.f("uq_patient_id_person_id"), "patient")
    op.drop_column("patient", "person_id")


def _forbid(who: str) -> None:
    op.drop_constraint("patient_taken", "appointment")
    op.execute(TAKEN.format(who))
