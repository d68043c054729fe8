"""Patients: more about them, every version of them, and the blind indexes they are found by."""

import sqlalchemy as sa
from alembic import op

revision = "0012"
down_revision = "0011"

SEALED = (
    "other_names",
    "other_phones",
    "other_emails",
    "other_addresses",
    "language",
    "deceased",
)


def upgrade() -> None:
    for name in SEALED:
        op.add_column("patient", sa.Column(name, sa.LargeBinary(), nullable=True))
    op.add_column("patient", sa.Column("preferred_doctor_id", sa.Uuid(), nullable=True))
    op.create_foreign_key(
        op.f("fk_patient_preferred_doctor_id"), "patient", "doctor", ["preferred_doctor_id"], ["id"]
    )
    op.create_check_constraint(op.f("ck_patient_version"), "patient", "version > 0")
    op.add_column("identifier", sa.Column("use", sa.Text(), nullable=True))
    op.add_column("identifier", sa.Column("valid_from", sa.Date(), nullable=True))
    op.add_column("identifier", sa.Column("valid_until", sa.Date(), nullable=True))
    op.create_check_constraint(
        op.f("ck_identifier_period"), "identifier", "valid_until >= valid_from"
    )
    op.add_column(
        "index_key", sa.Column("patients", sa.Integer(), nullable=False, server_default="100000")
    )
    op.alter_column("index_key", "patients", server_default=None)
    op.create_check_constraint(op.f("ck_index_key_patients"), "index_key", "patients > 0")
    _tables()
    op.execute("GRANT SELECT, INSERT ON patient_version TO confide_app")
    op.execute("GRANT SELECT, INSERT, DELETE ON patient_token TO confide_app")


def _tables() -> None:
    op.create_table(
        "patient_version",
        sa.Column("id", sa.Uuid(), nullable=False),
        sa.Column("patient_id", sa.Uuid(), nullable=False),
        sa.Column("key_id", sa.BigInteger(), nullable=False),
        sa.Column("number", sa.Integer(), nullable=False),
        sa.Column("content", sa.LargeBinary(), nullable=False),
        sa.Column("author_id", sa.Uuid(), nullable=False),
        sa.Column("written_at", sa.DateTime(timezone=True), nullable=False),
        sa.CheckConstraint("number > 0", name=op.f("ck_patient_version_number")),
        sa.ForeignKeyConstraint(
            ["author_id"], ["account.id"], name=op.f("fk_patient_version_author_id")
        ),
        sa.ForeignKeyConstraint(
            ["key_id", "patient_id"],
            ["patient_key.key_id", "patient_key.patient_id"],
            name=op.f("fk_patient_version_key_id_patient_id"),
        ),
        sa.ForeignKeyConstraint(
            ["patient_id"], ["patient.id"], name=op.f("fk_patient_version_patient_id")
        ),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_patient_version")),
        sa.UniqueConstraint(
            "patient_id", "number", name=op.f("uq_patient_version_patient_id_number")
        ),
    )
    op.create_table(
        "patient_token",
        sa.Column("index", sa.Text(), nullable=False),
        sa.Column("key_version", sa.Integer(), nullable=False),
        sa.Column("token", sa.LargeBinary(), nullable=False),
        sa.Column("patient_id", sa.Uuid(), nullable=False),
        sa.CheckConstraint(
            "octet_length(token) BETWEEN 1 AND 16", name=op.f("ck_patient_token_token")
        ),
        sa.ForeignKeyConstraint(
            ["key_version"], ["index_key.version"], name=op.f("fk_patient_token_key_version")
        ),
        sa.ForeignKeyConstraint(
            ["patient_id"], ["patient.id"], name=op.f("fk_patient_token_patient_id")
        ),
        sa.PrimaryKeyConstraint(
            "index", "key_version", "token", "patient_id", name=op.f("pk_patient_token")
        ),
    )
    op.create_index(
        op.f("ix_patient_token_patient_id"), "patient_token", ["patient_id"], unique=False
    )


def downgrade() -> None:
    op.drop_table("patient_token")
    op.drop_table("patient_version")
    op.drop_constraint(op.f("ck_index_key_patients"), "index_key")
    op.drop_column("index_key", "patients")
    op.drop_constraint(op.f("ck_identifier_period"), "identifier")
    for name in ("valid_until", "valid_from", "use"):
        op.drop_column("identifier", name)
    op.drop_constraint(op.f("ck_patient_version"), "patient")
    op.drop_constraint(op.f("fk_patient_preferred_doctor_id"), "patient", type_="foreignkey")
    for name in ("preferred_doctor_id", *reversed(SEALED)):
        op.drop_column("patient", name)
