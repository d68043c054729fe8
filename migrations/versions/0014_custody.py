"""Rotations, erasures and legal holds; a role of its own (`confide_keys`) for whoever seals cells anew."""

import sqlalchemy as sa
from alembic import op

revision = "0014"
down_revision = "0013"

ROLE = "confide_keys"
# It reads and rewrites whatever is sealed, tables of later migrations included. Accounts and logins are none of its business.
GRANTS = (
    f"GRANT SELECT, UPDATE ON ALL TABLES IN SCHEMA public TO {ROLE}",
    f"ALTER DEFAULT PRIVILEGES IN SCHEMA public GRANT SELECT, UPDATE ON TABLES TO {ROLE}",
    f"GRANT INSERT ON patient_key TO {ROLE}",
    f"REVOKE ALL ON account, account_ticket, oauth_client, oauth_code FROM {ROLE}",
    f"REVOKE ALL ON oauth_session, oauth_refresh_token FROM {ROLE}",
    f"REVOKE ALL ON policy_rule, policy_version, policy_head FROM {ROLE}",
    "GRANT SELECT, INSERT, UPDATE ON key_rotation, legal_hold TO confide_app",
    "GRANT SELECT, INSERT, UPDATE, DELETE ON erasure TO confide_app",
)


def upgrade() -> None:
    op.execute(
        f"DO $$ BEGIN CREATE ROLE {ROLE} NOLOGIN; EXCEPTION WHEN duplicate_object OR unique_violation THEN NULL; END $$"
    )
    op.execute(f"GRANT {ROLE} TO CURRENT_USER")
    _key_rotation()
    _erasure()
    _legal_hold()
    for statement in GRANTS:
        op.execute(statement)


def _key_rotation() -> None:
    op.create_table(
        "key_rotation",
        sa.Column("id", sa.Uuid(), nullable=False),
        sa.Column("kind", sa.Text(), nullable=False),
        sa.Column("purpose", sa.Text(), nullable=False),
        sa.Column("patient_id", sa.Uuid()),
        sa.Column("target", sa.Integer()),
        sa.Column("state", sa.Text(), nullable=False),
        sa.Column("total", sa.Integer(), nullable=False),
        sa.Column("done", sa.Integer(), nullable=False),
        sa.Column("failed", sa.Integer(), nullable=False),
        sa.Column("requested_by", sa.Uuid(), nullable=False),
        sa.Column("created_at", sa.DateTime(timezone=True), nullable=False),
        sa.Column("finished_at", sa.DateTime(timezone=True)),
        sa.CheckConstraint("kind IN ('kek', 'dek')", name=op.f("ck_key_rotation_kind")),
        sa.CheckConstraint(
            "state IN ('pending', 'running', 'done')", name=op.f("ck_key_rotation_state")
        ),
        sa.CheckConstraint(
            "purpose IN ('record', 'index', 'audit')", name=op.f("ck_key_rotation_purpose")
        ),
        sa.CheckConstraint(
            "done >= 0 AND total >= 0 AND failed >= 0", name=op.f("ck_key_rotation_counts")
        ),
        sa.CheckConstraint(
            "kind = 'dek' OR patient_id IS NULL", name=op.f("ck_key_rotation_one_patient")
        ),
        sa.ForeignKeyConstraint(
            ["patient_id"], ["patient.id"], name=op.f("fk_key_rotation_patient_id")
        ),
        sa.ForeignKeyConstraint(
            ["requested_by"], ["account.id"], name=op.f("fk_key_rotation_requested_by")
        ),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_key_rotation")),
    )
    op.create_index(
        "ix_key_rotation_open",
        "key_rotation",
        ["id"],
        postgresql_where=sa.text("state <> 'done'"),
    )


def _erasure() -> None:
    op.create_table(
        "erasure",
        sa.Column("id", sa.Uuid(), nullable=False),
        sa.Column("patient_id", sa.Uuid(), nullable=False),
        sa.Column("reason", sa.Text(), nullable=False),
        sa.Column("requested_by", sa.Uuid(), nullable=False),
        sa.Column("requested_at", sa.DateTime(timezone=True), nullable=False),
        sa.Column("approved_by", sa.Uuid()),
        sa.Column("erased_at", sa.DateTime(timezone=True)),
        sa.Column("keys_destroyed", sa.Integer(), nullable=False),
        sa.CheckConstraint(
            "reason IN ('patient-request', 'retention-ended', 'court-order')",
            name=op.f("ck_erasure_reason"),
        ),
        sa.CheckConstraint("approved_by <> requested_by", name=op.f("ck_erasure_two_people")),
        sa.CheckConstraint(
            "(approved_by IS NULL) = (erased_at IS NULL)", name=op.f("ck_erasure_done")
        ),
        sa.ForeignKeyConstraint(["patient_id"], ["patient.id"], name=op.f("fk_erasure_patient_id")),
        sa.ForeignKeyConstraint(
            ["requested_by"], ["account.id"], name=op.f("fk_erasure_requested_by")
        ),
        sa.ForeignKeyConstraint(
            ["approved_by"], ["account.id"], name=op.f("fk_erasure_approved_by")
        ),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_erasure")),
        sa.UniqueConstraint("patient_id", name=op.f("uq_erasure_patient_id")),
    )


def _legal_hold() -> None:
    op.create_table(
        "legal_hold",
        sa.Column("id", sa.Uuid(), nullable=False),
        sa.Column("patient_id", sa.Uuid(), nullable=False),
        sa.Column("reference", sa.Text(), nullable=False),
        sa.Column("placed_by", sa.Uuid(), nullable=False),
        sa.Column("placed_at", sa.DateTime(timezone=True), nullable=False),
        sa.Column("lifted_by", sa.Uuid()),
        sa.Column("lifted_at", sa.DateTime(timezone=True)),
        sa.ForeignKeyConstraint(
            ["patient_id"], ["patient.id"], name=op.f("fk_legal_hold_patient_id")
        ),
        sa.ForeignKeyConstraint(
            ["placed_by"], ["account.id"], name=op.f("fk_legal_hold_placed_by")
        ),
        sa.ForeignKeyConstraint(
            ["lifted_by"], ["account.id"], name=op.f("fk_legal_hold_lifted_by")
        ),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_legal_hold")),
    )
    op.create_index(
        "uq_legal_hold_standing",
        "legal_hold",
        ["patient_id"],
        unique=True,
        postgresql_where=sa.text("lifted_at IS NULL"),
    )


def downgrade() -> None:
    for table in ("legal_hold", "erasure", "key_rotation"):
        op.drop_table(table)
    op.execute(f"ALTER DEFAULT PRIVILEGES IN SCHEMA public REVOKE ALL ON TABLES FROM {ROLE}")
    op.execute(f"REVOKE ALL ON ALL TABLES IN SCHEMA public FROM {ROLE}")
