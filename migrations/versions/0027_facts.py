"""Facts that decisions ask for: consents, proxies, emergency grants."""

import sqlalchemy as sa
from alembic import op

revision = "0027"
down_revision = "0026"
branch_labels = depends_on = None

ROLES = "'admin', 'doctor', 'nurse', 'receptionist', 'patient', 'compliance', 'clockwork'"
CATEGORIES = "'PSY', 'HIV', 'ETH', 'SUD', 'SEX'"
PURPOSES = "'TREAT', 'HPAYMT', 'HOPERAT', 'HCOMPL', 'ETREAT', 'PATRQT'"


def upgrade() -> None:
    op.create_table(
        "consent",
        sa.Column("id", sa.Uuid(), nullable=False),
        sa.Column("patient_id", sa.Uuid(), nullable=False),
        sa.Column("decision", sa.Text(), nullable=False),
        sa.Column("account_id", sa.Uuid(), nullable=True),
        sa.Column("doctor_id", sa.Uuid(), nullable=True),
        sa.Column("role", sa.Text(), nullable=True),
        sa.Column("category", sa.Text(), nullable=True),
        sa.Column("purpose", sa.Text(), nullable=True),
        sa.Column("valid_from", sa.DateTime(timezone=True), nullable=False),
        sa.Column("valid_until", sa.DateTime(timezone=True), nullable=True),
        sa.Column("created_by", sa.Uuid(), nullable=False),
        sa.Column("created_at", sa.DateTime(timezone=True), nullable=False),
        sa.Column("revoked_by", sa.Uuid(), nullable=True),
        sa.Column("revoked_at", sa.DateTime(timezone=True), nullable=True),
        sa.CheckConstraint("decision IN ('permit', 'deny')", name=op.f("ck_consent_decision")),
        sa.CheckConstraint(f"role IN ({ROLES})", name=op.f("ck_consent_role")),
        sa.CheckConstraint(f"category IN ({CATEGORIES})", name=op.f("ck_consent_category")),
        sa.CheckConstraint(f"purpose IN ({PURPOSES})", name=op.f("ck_consent_purpose")),
        sa.CheckConstraint(
            "num_nonnulls(account_id, doctor_id, role) <= 1", name=op.f("ck_consent_one_actor")
        ),
        sa.CheckConstraint(
            "decision = 'deny' OR num_nonnulls(account_id, doctor_id) = 1",
            name=op.f("ck_consent_permit_names"),
        ),
        sa.CheckConstraint("valid_until > valid_from", name=op.f("ck_consent_period")),
        sa.CheckConstraint(
            "(revoked_at IS NULL) = (revoked_by IS NULL)", name=op.f("ck_consent_revoked")
        ),
        *_keys("consent", "patient_id", "doctor_id", "account_id", "created_by", "revoked_by"),
    )
    op.create_index(op.f("ix_consent_patient_id"), "consent", ["patient_id"])
    op.create_table(
        "proxy",
        sa.Column("id", sa.Uuid(), nullable=False),
        sa.Column("patient_id", sa.Uuid(), nullable=False),
        sa.Column("account_id", sa.Uuid(), nullable=False),
        sa.Column("relationship", sa.Text(), nullable=False),
        sa.Column("valid_from", sa.DateTime(timezone=True), nullable=False),
        sa.Column("valid_until", sa.DateTime(timezone=True), nullable=True),
        sa.Column("created_by", sa.Uuid(), nullable=False),
        sa.CheckConstraint("valid_until > valid_from", name=op.f("ck_proxy_period")),
        *_keys("proxy", "patient_id", "account_id", "created_by"),
    )
    op.create_index(op.f("ix_proxy_patient_id"), "proxy", ["patient_id"])
    op.create_index("ix_proxy_account", "proxy", ["account_id", "patient_id"])
    _break_glass()
    op.execute("GRANT SELECT, INSERT, UPDATE, DELETE ON consent, proxy, break_glass TO confide_app")
    op.execute("REVOKE DELETE ON consent, proxy, break_glass FROM confide_app")


def _break_glass() -> None:
    op.create_table(
        "break_glass",
        sa.Column("id", sa.Uuid(), nullable=False),
        sa.Column("patient_id", sa.Uuid(), nullable=False),
        sa.Column("key_id", sa.BigInteger(), nullable=False),
        sa.Column("account_id", sa.Uuid(), nullable=False),
        sa.Column("reason_code", sa.Text(), nullable=False),
        sa.Column("explanation", sa.LargeBinary(), nullable=False),
        sa.Column("granted_at", sa.DateTime(timezone=True), nullable=False),
        sa.Column("expires_at", sa.DateTime(timezone=True), nullable=False),
        sa.Column("reviewed_by", sa.Uuid(), nullable=True),
        sa.Column("reviewed_at", sa.DateTime(timezone=True), nullable=True),
        sa.Column("verdict", sa.Text(), nullable=True),
        sa.Column("remark", sa.LargeBinary(), nullable=True),
        sa.CheckConstraint(
            "expires_at <= granted_at + interval '4 hours'", name=op.f("ck_break_glass_four_hours")
        ),
        sa.CheckConstraint(
            "(reviewed_at IS NULL) = (verdict IS NULL)", name=op.f("ck_break_glass_reviewed")
        ),
        sa.CheckConstraint(
            "reviewed_by <> account_id", name=op.f("ck_break_glass_reviewed_by_another")
        ),
        sa.CheckConstraint(
            "verdict IN ('justified', 'unjustified')", name=op.f("ck_break_glass_verdict")
        ),
        sa.ForeignKeyConstraint(
            ["key_id", "patient_id"],
            ["patient_key.key_id", "patient_key.patient_id"],
            name=op.f("fk_break_glass_key_id_patient_id"),
        ),
        *_keys("break_glass", "patient_id", "account_id", "reviewed_by"),
    )
    op.create_index(
        "ix_break_glass_account", "break_glass", ["account_id", "patient_id", "expires_at"]
    )
    op.create_index(
        "ix_break_glass_unreviewed",
        "break_glass",
        ["id"],
        postgresql_where=sa.text("reviewed_at IS NULL"),
    )


def _keys(table: str, *columns: str) -> list[sa.Constraint]:
    """The primary key, and a foreign key for each column: to a patient, a doctor or an account."""
    to = {"patient_id": "patient", "doctor_id": "doctor"}
    foreign = [
        sa.ForeignKeyConstraint([c], [f"{to.get(c, 'account')}.id"], name=op.f(f"fk_{table}_{c}"))
        for c in columns
    ]
    return [sa.PrimaryKeyConstraint("id", name=op.f(f"pk_{table}")), *foreign]


def downgrade() -> None:
    for table in ("break_glass", "proxy", "consent"):
        op.drop_table(table)
