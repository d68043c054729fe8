"""One person under several ids: links, merges and how they were undone, and who is not the same."""

import sqlalchemy as sa
from alembic import op

revision = "0025"
down_revision = "0024"


def upgrade() -> None:
    op.add_column("patient", sa.Column("replaced_by", sa.Uuid(), nullable=True))
    op.create_foreign_key(
        op.f("fk_patient_replaced_by"), "patient", "patient", ["replaced_by"], ["id"]
    )
    op.create_index(op.f("ix_patient_replaced_by"), "patient", ["replaced_by"], unique=False)
    op.create_check_constraint(op.f("ck_patient_replaced"), "patient", "replaced_by <> id")
    _tables()
    op.execute("INSERT INTO same_person SELECT id, id FROM patient")
    op.execute("GRANT SELECT, INSERT, DELETE ON same_person, distinct_patients TO confide_app")
    op.execute("GRANT SELECT, INSERT ON patient_merge TO confide_app")
    op.execute("GRANT UPDATE (undone_by, undone_at) ON patient_merge TO confide_app")


def _tables() -> None:
    op.create_table(
        "same_person",
        sa.Column("patient_id", sa.Uuid(), nullable=False),
        sa.Column("other_id", sa.Uuid(), nullable=False),
        sa.ForeignKeyConstraint(["other_id"], ["patient.id"], name=op.f("fk_same_person_other_id")),
        sa.ForeignKeyConstraint(
            ["patient_id"], ["patient.id"], name=op.f("fk_same_person_patient_id")
        ),
        sa.PrimaryKeyConstraint("patient_id", "other_id", name=op.f("pk_same_person")),
    )
    op.create_table(
        "distinct_patients",
        sa.Column("patient_id", sa.Uuid(), nullable=False),
        sa.Column("other_id", sa.Uuid(), nullable=False),
        sa.Column("decided_by", sa.Uuid(), nullable=False),
        sa.Column("decided_at", sa.DateTime(timezone=True), nullable=False),
        sa.CheckConstraint("patient_id < other_id", name=op.f("ck_distinct_patients_order")),
        sa.ForeignKeyConstraint(
            ["decided_by"], ["account.id"], name=op.f("fk_distinct_patients_decided_by")
        ),
        sa.ForeignKeyConstraint(
            ["other_id"], ["patient.id"], name=op.f("fk_distinct_patients_other_id")
        ),
        sa.ForeignKeyConstraint(
            ["patient_id"], ["patient.id"], name=op.f("fk_distinct_patients_patient_id")
        ),
        sa.PrimaryKeyConstraint("patient_id", "other_id", name=op.f("pk_distinct_patients")),
    )
    op.create_index(
        op.f("ix_distinct_patients_other_id"), "distinct_patients", ["other_id"], unique=False
    )
    op.create_table(
        "patient_merge",
        sa.Column("id", sa.Uuid(), nullable=False),
        sa.Column("from_id", sa.Uuid(), nullable=False),
        sa.Column("into_id", sa.Uuid(), nullable=False),
        sa.Column("accounts", sa.ARRAY(sa.Uuid()), nullable=False),
        sa.Column("merged_by", sa.Uuid(), nullable=False),
        sa.Column("merged_at", sa.DateTime(timezone=True), nullable=False),
        sa.Column("undone_by", sa.Uuid(), nullable=True),
        sa.Column("undone_at", sa.DateTime(timezone=True), nullable=True),
        sa.CheckConstraint("from_id <> into_id", name=op.f("ck_patient_merge_two")),
        sa.ForeignKeyConstraint(["from_id"], ["patient.id"], name=op.f("fk_patient_merge_from_id")),
        sa.ForeignKeyConstraint(["into_id"], ["patient.id"], name=op.f("fk_patient_merge_into_id")),
        sa.ForeignKeyConstraint(
            ["merged_by"], ["account.id"], name=op.f("fk_patient_merge_merged_by")
        ),
        sa.ForeignKeyConstraint(
            ["undone_by"], ["account.id"], name=op.f("fk_patient_merge_undone_by")
        ),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_patient_merge")),
    )
    op.create_index(
        "uq_patient_merge_open",
        "patient_merge",
        ["from_id"],
        unique=True,
        postgresql_where=sa.text("undone_at IS NULL"),
    )
    op.create_index(op.f("ix_patient_merge_into_id"), "patient_merge", ["into_id"], unique=False)


def downgrade() -> None:
    op.drop_table("patient_merge")
    op.drop_table("distinct_patients")
    op.drop_table("same_person")
    op.drop_constraint(op.f("ck_patient_replaced"), "patient")
    op.drop_index(op.f("ix_patient_replaced_by"), table_name="patient")
    op.drop_constraint(op.f("fk_patient_replaced_by"), "patient", type_="foreignkey")
    op.drop_column("patient", "replaced_by")
