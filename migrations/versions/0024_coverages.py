"""Insurance: one order for any day, what the payor said, and the one a visit was booked with."""

import sqlalchemy as sa
from alembic import op

revision = "0024"
down_revision = "0023"


def upgrade() -> None:
    op.add_column("coverage", sa.Column("eligibility", sa.Text(), nullable=True))
    op.add_column(
        "coverage", sa.Column("eligibility_checked_at", sa.DateTime(timezone=True), nullable=True)
    )
    op.create_check_constraint(
        op.f("ck_coverage_eligibility"),
        "coverage",
        "eligibility IN ('eligible', 'ineligible', 'unclear')",
    )
    op.execute(
        "ALTER TABLE coverage ADD CONSTRAINT coverage_order EXCLUDE USING gist (patient_id WITH =, "
        "position WITH =, daterange(valid_from, valid_until, '[]') WITH &&) WHERE (status = 'active')"
    )
    op.add_column("appointment", sa.Column("coverage_id", sa.Uuid(), nullable=True))
    op.create_foreign_key(
        op.f("fk_appointment_coverage_id"), "appointment", "coverage", ["coverage_id"], ["id"]
    )


def downgrade() -> None:
    op.drop_constraint(op.f("fk_appointment_coverage_id"), "appointment", type_="foreignkey")
    op.drop_column("appointment", "coverage_id")
    op.drop_constraint("coverage_order", "coverage")
    op.drop_constraint(op.f("ck_coverage_eligibility"), "coverage")
    op.drop_column("coverage", "eligibility_checked_at")
    op.drop_column("coverage", "eligibility")
