"""Each event has its producer's MAC on its way to the ledger: what SQL alone put into the outbox is no event."""

import sqlalchemy as sa
from alembic import op

revision = "0029"
down_revision = "0028"

# What waits was written before there were seals, and no key is at hand here: it goes where it was going.
TAKE_OVER = """
INSERT INTO audit.event (id, occurred_at, recorded_at, actor, action, outcome, purpose, patient,
                         resource_type, resource_ids, break_glass, body, request_id, boot, seq)
SELECT (j ->> 'id')::uuid, (j ->> 'occurred_at')::timestamptz, now(), (j ->> 'actor')::uuid,
       j ->> 'action', j ->> 'outcome', j ->> 'purpose', (j ->> 'patient')::uuid, j ->> 'resource_type',
       ARRAY(SELECT jsonb_array_elements_text(j -> 'resource_ids')::uuid),
       (j ->> 'break_glass')::boolean, b, j ->> 'request_id', (j ->> 'boot')::uuid, (j ->> 'seq')::bigint
FROM (SELECT body AS b, convert_from(body, 'UTF8')::jsonb AS j FROM audit.outbox) AS events
ON CONFLICT DO NOTHING
"""


def upgrade() -> None:
    op.create_table(
        "producer",
        sa.Column("boot", sa.Uuid(), nullable=False),
        sa.Column("kek_version", sa.Integer(), nullable=False),
        sa.Column("wrapped", sa.LargeBinary(), nullable=False),
        sa.Column("started_at", sa.DateTime(timezone=True), nullable=False),
        sa.PrimaryKeyConstraint("boot", name=op.f("pk_producer")),
        schema="audit",
    )
    op.execute(
        "GRANT SELECT, INSERT, UPDATE (kek_version, wrapped) ON audit.producer TO confide_app"
    )
    op.execute("GRANT INSERT ON audit.producer TO confide_auditor")
    op.execute("GRANT SELECT ON audit.producer TO confide_ledger")
    op.execute(TAKE_OVER)
    op.execute("DELETE FROM audit.outbox")
    op.add_column("outbox", sa.Column("seal", sa.LargeBinary(), nullable=False), schema="audit")
    op.create_check_constraint(
        op.f("ck_outbox_size"),
        "outbox",
        "octet_length(body) <= 8192 AND octet_length(seal) = 32",
        schema="audit",
    )


def downgrade() -> None:
    op.drop_constraint(op.f("ck_outbox_size"), "outbox", schema="audit")
    op.drop_column("outbox", "seal", schema="audit")
    op.drop_table("producer", schema="audit")
