"""Series of visits, and reminders that were dealt with."""

import sqlalchemy as sa
from alembic import op

revision = "0021"
down_revision = "0020"
branch_labels = depends_on = None


def upgrade() -> None:
    op.add_column("appointment", sa.Column("series_id", sa.Uuid(), nullable=True))
    op.create_index(op.f("ix_appointment_series_id"), "appointment", ["series_id"])
    op.create_table(
        "reminder",
        sa.Column("id", sa.Uuid(), nullable=False),
        sa.Column("appointment_id", sa.Uuid(), nullable=False),
        sa.Column("kind", sa.Text(), nullable=False),
        sa.Column("starts_at", sa.DateTime(timezone=True), nullable=False),
        sa.Column("sent_at", sa.DateTime(timezone=True), nullable=False),
        sa.CheckConstraint("kind IN ('24h', '2h')", name=op.f("ck_reminder_kind")),
        sa.ForeignKeyConstraint(
            ["appointment_id"], ["appointment.id"], name=op.f("fk_reminder_appointment_id")
        ),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_reminder")),
        sa.UniqueConstraint(
            "appointment_id",
            "kind",
            "starts_at",
            name=op.f("uq_reminder_appointment_id_kind_starts_at"),
        ),
    )
    op.execute("GRANT SELECT, INSERT ON reminder TO confide_app")


def downgrade() -> None:
    op.drop_table("reminder")
    op.drop_index(op.f("ix_appointment_series_id"), table_name="appointment")
    op.drop_column("appointment", "series_id")
