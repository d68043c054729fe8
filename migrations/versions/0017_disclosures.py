"""Disclosures: to whom patients' data went, beyond care, payment and the clinic's own work."""

import sqlalchemy as sa
from alembic import op

revision = "0017"
down_revision = "0016"

PURPOSES = (
    "'required-by-law', 'public-health', 'abuse-report', 'health-oversight', 'judicial', 'law-enforcement', "
    "'decedent', 'organ-donation', 'research', 'serious-threat', 'government-function', 'workers-compensation', "
    "'by-mistake'"
)


def upgrade() -> None:
    op.create_table(
        "disclosure",
        sa.Column("id", sa.Uuid(), nullable=False),
        sa.Column("patient_id", sa.Uuid(), nullable=False),
        sa.Column("key_id", sa.BigInteger(), nullable=False),
        sa.Column("purpose", sa.Text(), nullable=False),
        sa.Column("disclosed_at", sa.DateTime(timezone=True), nullable=False),
        sa.Column("suspended_until", sa.DateTime(timezone=True), nullable=True),
        sa.Column("recipient", sa.LargeBinary(), nullable=False),
        sa.Column("description", sa.LargeBinary(), nullable=False),
        sa.Column("event_id", sa.Uuid(), nullable=False),
        sa.Column("recorded_by", sa.Uuid(), nullable=False),
        sa.Column("recorded_at", sa.DateTime(timezone=True), nullable=False),
        sa.CheckConstraint(f"purpose IN ({PURPOSES})", name=op.f("ck_disclosure_purpose")),
        sa.ForeignKeyConstraint(
            ["key_id", "patient_id"],
            ["patient_key.key_id", "patient_key.patient_id"],
            name=op.f("fk_disclosure_key_id_patient_id"),
        ),
        sa.ForeignKeyConstraint(
            ["patient_id"], ["patient.id"], name=op.f("fk_disclosure_patient_id")
        ),
        sa.ForeignKeyConstraint(
            ["recorded_by"], ["account.id"], name=op.f("fk_disclosure_recorded_by")
        ),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_disclosure")),
    )
    op.create_index("ix_disclosure_patient", "disclosure", ["patient_id", "disclosed_at"])
    op.execute("GRANT SELECT, INSERT, UPDATE ON disclosure TO confide_app")


def downgrade() -> None:
    op.drop_table("disclosure")
