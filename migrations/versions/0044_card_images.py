"""Pictures of insurance cards: a row of sealed words for each blob."""

import sqlalchemy as sa
from alembic import op

revision = "0044"
down_revision = "0043"
branch_labels = depends_on = None


def upgrade() -> None:
    op.create_table(
        "card_image",
        sa.Column("edition", sa.Integer(), server_default=sa.text("1"), nullable=False),
        sa.Column("id", sa.Uuid(), nullable=False),
        sa.Column("patient_id", sa.Uuid(), nullable=False),
        sa.Column("key_id", sa.BigInteger(), nullable=False),
        sa.Column("coverage_id", sa.Uuid(), nullable=False),
        sa.Column("name", sa.LargeBinary(), nullable=False),
        sa.Column("media_type", sa.LargeBinary(), nullable=False),
        sa.Column("digest", sa.LargeBinary(), nullable=False),
        sa.Column("secret", sa.LargeBinary(), nullable=False),
        sa.Column("size", sa.BigInteger(), nullable=False),
        sa.Column("created_by", sa.Uuid(), nullable=False),
        sa.Column("created_at", sa.DateTime(timezone=True), nullable=False),
        sa.CheckConstraint("size >= 0", name=op.f("ck_card_image_size")),
        sa.ForeignKeyConstraint(
            ["coverage_id"], ["coverage.id"], name=op.f("fk_card_image_coverage_id")
        ),
        sa.ForeignKeyConstraint(
            ["created_by"], ["account.id"], name=op.f("fk_card_image_created_by")
        ),
        sa.ForeignKeyConstraint(
            ["key_id", "patient_id"],
            ["patient_key.key_id", "patient_key.patient_id"],
            name=op.f("fk_card_image_key_id_patient_id"),
        ),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_card_image")),
    )
    op.create_index(op.f("ix_card_image_coverage_id"), "card_image", ["coverage_id"])
    op.execute("GRANT SELECT, INSERT ON card_image TO confide_app")
    op.execute("GRANT SELECT ON card_image TO confide_verifier")


def downgrade() -> None:
    op.drop_table("card_image")
