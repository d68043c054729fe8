"""The first schema: people, appointments, records, keys, policy, logins, and the audit trail.

Three NOLOGIN roles part the work: requests (`confide_app`), the relay (`confide_relay`) and the ledger's writer
(`confide_ledger`). Whoever migrates may become each of them and owns the tables; the roles own nothing.
"""

import sqlalchemy as sa
from alembic import op
from sqlalchemy.dialects import postgresql

revision = "0001"
down_revision = None


ROLES = ("confide_app", "confide_relay", "confide_ledger")

# ENABLE ALWAYS: a plain trigger sleeps under session_replication_role = replica.
LEDGER = (
    """CREATE FUNCTION audit.refuse_change() RETURNS trigger LANGUAGE plpgsql AS $$
    BEGIN
      RAISE EXCEPTION 'the audit ledger is append-only' USING ERRCODE = 'insufficient_privilege';
    END $$""",
    """CREATE TRIGGER event_append_only BEFORE UPDATE OR DELETE ON audit.event
    FOR EACH ROW EXECUTE FUNCTION audit.refuse_change()""",
    """CREATE TRIGGER event_no_truncate BEFORE TRUNCATE ON audit.event
    FOR EACH STATEMENT EXECUTE FUNCTION audit.refuse_change()""",
    "ALTER TABLE audit.event ENABLE ALWAYS TRIGGER event_append_only",
    "ALTER TABLE audit.event ENABLE ALWAYS TRIGGER event_no_truncate",
)

GRANTS = (
    "GRANT USAGE ON SCHEMA audit TO confide_app, confide_relay, confide_ledger",
    "GRANT SELECT, INSERT, UPDATE, DELETE ON ALL TABLES IN SCHEMA public TO confide_app",
    "REVOKE INSERT, UPDATE, DELETE ON alembic_version FROM confide_app",
    "REVOKE UPDATE, DELETE ON policy_version, policy_rule, record_version FROM confide_app",
    "GRANT INSERT ON audit.outbox TO confide_app",
    "GRANT SELECT ON audit.event TO confide_app",
    "GRANT SELECT, UPDATE (sent_at) ON audit.outbox TO confide_relay",
    "GRANT INSERT ON audit.event TO confide_ledger",
    "GRANT SELECT (event_id), DELETE ON audit.outbox TO confide_ledger",
)


def upgrade() -> None:
    op.execute("CREATE SCHEMA IF NOT EXISTS audit")
    op.execute("CREATE EXTENSION IF NOT EXISTS btree_gist")
    for role in ROLES:
        op.execute(
            f"DO $$ BEGIN CREATE ROLE {role} NOLOGIN; "
            "EXCEPTION WHEN duplicate_object OR unique_violation THEN NULL; END $$"
        )
        op.execute(f"GRANT {role} TO CURRENT_USER")
    _tables()
    for statement in (*LEDGER, *GRANTS):
        op.execute(statement)


def _tables() -> None:
    op.create_table(
        "event",
        sa.Column("id", sa.Uuid(), nullable=False),
        sa.Column("occurred_at", sa.DateTime(timezone=True), nullable=False),
        sa.Column("recorded_at", sa.DateTime(timezone=True), nullable=False),
        sa.Column("actor", sa.Uuid(), nullable=True),
        sa.Column("action", sa.Text(), nullable=False),
        sa.Column("outcome", sa.Text(), nullable=False),
        sa.Column("purpose", sa.Text(), nullable=False),
        sa.Column("patient", sa.Uuid(), nullable=True),
        sa.Column("resource_type", sa.Text(), nullable=False),
        sa.Column("resource_ids", postgresql.ARRAY(sa.UUID()), nullable=False),
        sa.Column("break_glass", sa.Boolean(), nullable=False),
        sa.Column("body", sa.LargeBinary(), nullable=False),
        sa.CheckConstraint("outcome IN ('allow', 'deny', 'error')", name=op.f("ck_event_outcome")),
        sa.CheckConstraint("octet_length(body) <= 8192", name=op.f("ck_event_size")),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_event")),
        schema="audit",
    )
    op.create_index("ix_event_actor", "event", ["actor", "id"], unique=False, schema="audit")
    op.create_index(
        "ix_event_not_allowed",
        "event",
        ["id"],
        unique=False,
        schema="audit",
        postgresql_where=sa.text("outcome <> 'allow'"),
    )
    op.create_index("ix_event_patient", "event", ["patient", "id"], unique=False, schema="audit")
    op.create_index(
        "ix_event_resource_ids",
        "event",
        ["resource_ids"],
        unique=False,
        schema="audit",
        postgresql_using="gin",
    )
    op.create_table(
        "outbox",
        sa.Column("event_id", sa.Uuid(), nullable=False),
        sa.Column("body", sa.LargeBinary(), nullable=False),
        sa.Column("created_at", sa.DateTime(timezone=True), nullable=False),
        sa.Column("sent_at", sa.DateTime(timezone=True), nullable=True),
        sa.PrimaryKeyConstraint("event_id", name=op.f("pk_outbox")),
        schema="audit",
    )
    op.create_index(
        "ix_outbox_sent_at", "outbox", ["sent_at", "event_id"], unique=False, schema="audit"
    )
    op.create_table(
        "doctor",
        sa.Column("id", sa.Uuid(), nullable=False),
        sa.Column("family", sa.Text(), nullable=False),
        sa.Column("given", sa.Text(), nullable=False),
        sa.Column("prefix", sa.Text(), nullable=True),
        sa.Column("npi", sa.Text(), nullable=True),
        sa.Column("licence", sa.Text(), nullable=True),
        sa.Column("languages", postgresql.ARRAY(sa.Text()), nullable=False),
        sa.Column("bio", sa.Text(), nullable=True),
        sa.Column("active", sa.Boolean(), nullable=False),
        sa.Column("source", sa.Text(), nullable=True),
        sa.Column("version", sa.Integer(), nullable=False),
        sa.Column("created_at", sa.DateTime(timezone=True), nullable=False),
        sa.CheckConstraint("npi ~ '^[0-9]{10}$'", name=op.f("ck_doctor_npi")),
        sa.CheckConstraint("length(family) > 0", name=op.f("ck_doctor_family")),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_doctor")),
        sa.UniqueConstraint("npi", name=op.f("uq_doctor_npi")),
        sa.UniqueConstraint("source", name=op.f("uq_doctor_source")),
    )
    op.create_table(
        "index_key",
        sa.Column("version", sa.Integer(), autoincrement=False, nullable=False),
        sa.Column("kek_version", sa.Integer(), nullable=False),
        sa.Column("wrapped", sa.LargeBinary(), nullable=False),
        sa.Column("created_at", sa.DateTime(timezone=True), nullable=False),
        sa.CheckConstraint("version > 0 AND kek_version > 0", name=op.f("ck_index_key_versions")),
        sa.PrimaryKeyConstraint("version", name=op.f("pk_index_key")),
    )
    op.create_table(
        "oauth_client",
        sa.Column("id", sa.Text(), nullable=False),
        sa.Column("name", sa.Text(), nullable=False),
        sa.Column("redirect_uris", postgresql.ARRAY(sa.Text()), nullable=False),
        sa.Column("grant_types", postgresql.ARRAY(sa.Text()), nullable=False),
        sa.Column("scope", sa.Text(), nullable=False),
        sa.Column("secret_hash", sa.Text(), nullable=True),
        sa.Column("created_at", sa.DateTime(timezone=True), nullable=False),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_oauth_client")),
    )
    op.create_table(
        "patient_key",
        sa.Column("key_id", sa.BigInteger(), autoincrement=False, nullable=False),
        sa.Column("patient_id", sa.Uuid(), nullable=False),
        sa.Column("version", sa.Integer(), nullable=False),
        sa.Column("state", sa.Text(), nullable=False),
        sa.Column("kek_version", sa.Integer(), nullable=False),
        sa.Column("wrapped", sa.LargeBinary(), nullable=True),
        sa.Column("created_at", sa.DateTime(timezone=True), nullable=False),
        sa.Column("destroyed_at", sa.DateTime(timezone=True), nullable=True),
        sa.CheckConstraint(
            "(state = 'destroyed') = (wrapped IS NULL)", name=op.f("ck_patient_key_destroyed")
        ),
        sa.CheckConstraint(
            "state IN ('active', 'decrypt_only', 'destroyed')", name=op.f("ck_patient_key_state")
        ),
        sa.CheckConstraint("version > 0 AND kek_version > 0", name=op.f("ck_patient_key_versions")),
        sa.PrimaryKeyConstraint("key_id", name=op.f("pk_patient_key")),
        sa.UniqueConstraint("key_id", "patient_id", name=op.f("uq_patient_key_key_id_patient_id")),
        sa.UniqueConstraint(
            "patient_id", "version", name=op.f("uq_patient_key_patient_id_version")
        ),
    )
    op.create_index(
        "uq_patient_key_active",
        "patient_key",
        ["patient_id"],
        unique=True,
        postgresql_where=sa.text("state = 'active'"),
    )
    op.create_table(
        "policy_version",
        sa.Column("version", sa.Integer(), autoincrement=False, nullable=False),
        sa.Column("checksum", sa.Text(), nullable=False),
        sa.Column("reason", sa.Text(), nullable=False),
        sa.Column("published_at", sa.DateTime(timezone=True), nullable=False),
        sa.PrimaryKeyConstraint("version", name=op.f("pk_policy_version")),
    )
    op.create_table(
        "doctor_specialty",
        sa.Column("doctor_id", sa.Uuid(), nullable=False),
        sa.Column("code", sa.Text(), nullable=False),
        sa.Column("system", sa.Text(), nullable=False),
        sa.Column("display", sa.Text(), nullable=False),
        sa.ForeignKeyConstraint(
            ["doctor_id"], ["doctor.id"], name=op.f("fk_doctor_specialty_doctor_id")
        ),
        sa.PrimaryKeyConstraint("doctor_id", "code", name=op.f("pk_doctor_specialty")),
    )
    op.create_table(
        "patient",
        sa.Column("id", sa.Uuid(), nullable=False),
        sa.Column("patient_id", sa.Uuid(), nullable=False),
        sa.Column("key_id", sa.BigInteger(), nullable=False),
        sa.Column("name", sa.LargeBinary(), nullable=False),
        sa.Column("birth_date", sa.LargeBinary(), nullable=False),
        sa.Column("sex", sa.LargeBinary(), nullable=False),
        sa.Column("phone", sa.LargeBinary(), nullable=True),
        sa.Column("email", sa.LargeBinary(), nullable=True),
        sa.Column("address", sa.LargeBinary(), nullable=True),
        sa.Column("emergency_contacts", sa.LargeBinary(), nullable=True),
        sa.Column("active", sa.Boolean(), nullable=False),
        sa.Column("version", sa.Integer(), nullable=False),
        sa.Column("created_at", sa.DateTime(timezone=True), nullable=False),
        sa.Column("updated_at", sa.DateTime(timezone=True), nullable=False),
        sa.CheckConstraint("patient_id = id", name=op.f("ck_patient_self")),
        sa.ForeignKeyConstraint(
            ["key_id", "patient_id"],
            ["patient_key.key_id", "patient_key.patient_id"],
            name=op.f("fk_patient_key_id_patient_id"),
        ),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_patient")),
    )
    op.create_table(
        "policy_head",
        sa.Column("one", sa.Boolean(), nullable=False),
        sa.Column("version", sa.Integer(), nullable=False),
        sa.CheckConstraint("one", name=op.f("ck_policy_head_one_row")),
        sa.ForeignKeyConstraint(
            ["version"], ["policy_version.version"], name=op.f("fk_policy_head_version")
        ),
        sa.PrimaryKeyConstraint("one", name=op.f("pk_policy_head")),
    )
    op.create_table(
        "policy_rule",
        sa.Column("version", sa.Integer(), nullable=False),
        sa.Column("id", sa.Text(), nullable=False),
        sa.Column("tier", sa.Integer(), nullable=False),
        sa.Column("subject", sa.Text(), nullable=False),
        sa.Column("resource", sa.Text(), nullable=False),
        sa.Column("action", sa.Text(), nullable=False),
        sa.Column("effect", sa.Text(), nullable=False),
        sa.Column("condition", sa.Text(), nullable=False),
        sa.Column("note", sa.Text(), nullable=False),
        sa.CheckConstraint("effect IN ('allow', 'deny')", name=op.f("ck_policy_rule_effect")),
        sa.CheckConstraint("tier BETWEEN 1 AND 4", name=op.f("ck_policy_rule_tier")),
        sa.ForeignKeyConstraint(
            ["version"], ["policy_version.version"], name=op.f("fk_policy_rule_version")
        ),
        sa.PrimaryKeyConstraint("version", "id", name=op.f("pk_policy_rule")),
    )
    op.create_table(
        "schedule",
        sa.Column("id", sa.Uuid(), nullable=False),
        sa.Column("doctor_id", sa.Uuid(), nullable=False),
        sa.Column("weekday", sa.Integer(), nullable=False),
        sa.Column("start_time", sa.Time(), nullable=False),
        sa.Column("end_time", sa.Time(), nullable=False),
        sa.Column("time_zone", sa.Text(), nullable=False),
        sa.Column("valid_from", sa.Date(), nullable=False),
        sa.Column("valid_until", sa.Date(), nullable=True),
        sa.Column("slot_minutes", sa.Integer(), nullable=False),
        sa.CheckConstraint("slot_minutes BETWEEN 5 AND 480", name=op.f("ck_schedule_slot_minutes")),
        sa.CheckConstraint("valid_until >= valid_from", name=op.f("ck_schedule_validity")),
        sa.CheckConstraint("weekday BETWEEN 1 AND 7", name=op.f("ck_schedule_weekday")),
        sa.ForeignKeyConstraint(["doctor_id"], ["doctor.id"], name=op.f("fk_schedule_doctor_id")),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_schedule")),
    )
    op.create_index(op.f("ix_schedule_doctor_id"), "schedule", ["doctor_id"], unique=False)
    op.create_table(
        "account",
        sa.Column("id", sa.Uuid(), nullable=False),
        sa.Column("login", sa.LargeBinary(), nullable=False),
        sa.Column("password_hash", sa.Text(), nullable=False),
        sa.Column("roles", postgresql.ARRAY(sa.Text()), nullable=False),
        sa.Column("doctor_id", sa.Uuid(), nullable=True),
        sa.Column("patient_id", sa.Uuid(), nullable=True),
        sa.Column("label", sa.Text(), nullable=True),
        sa.Column("active", sa.Boolean(), nullable=False),
        sa.Column("created_at", sa.DateTime(timezone=True), nullable=False),
        sa.CheckConstraint(
            "NOT 'patient' = ANY (roles) OR label IS NULL", name=op.f("ck_account_patients_unnamed")
        ),
        sa.CheckConstraint(
            "roles <@ ARRAY['admin', 'doctor', 'nurse', 'receptionist', 'patient', 'compliance']",
            name=op.f("ck_account_roles"),
        ),
        sa.CheckConstraint("octet_length(login) = 16", name=op.f("ck_account_login_is_a_token")),
        sa.ForeignKeyConstraint(["doctor_id"], ["doctor.id"], name=op.f("fk_account_doctor_id")),
        sa.ForeignKeyConstraint(["patient_id"], ["patient.id"], name=op.f("fk_account_patient_id")),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_account")),
        sa.UniqueConstraint("login", name=op.f("uq_account_login")),
    )
    op.create_table(
        "coverage",
        sa.Column("id", sa.Uuid(), nullable=False),
        sa.Column("patient_id", sa.Uuid(), nullable=False),
        sa.Column("key_id", sa.BigInteger(), nullable=False),
        sa.Column("status", sa.Text(), nullable=False),
        sa.Column("position", sa.Integer(), nullable=False),
        sa.Column("payor", sa.LargeBinary(), nullable=False),
        sa.Column("plan", sa.LargeBinary(), nullable=True),
        sa.Column("member_id", sa.LargeBinary(), nullable=True),
        sa.Column("group_number", sa.LargeBinary(), nullable=True),
        sa.Column("relationship", sa.Text(), nullable=False),
        sa.Column("valid_from", sa.Date(), nullable=True),
        sa.Column("valid_until", sa.Date(), nullable=True),
        sa.Column("source", sa.Text(), nullable=True),
        sa.Column("version", sa.Integer(), nullable=False),
        sa.Column("created_at", sa.DateTime(timezone=True), nullable=False),
        sa.CheckConstraint(
            "status IN ('active', 'cancelled', 'draft', 'entered-in-error')",
            name=op.f("ck_coverage_status"),
        ),
        sa.CheckConstraint("position > 0", name=op.f("ck_coverage_position")),
        sa.CheckConstraint("valid_until >= valid_from", name=op.f("ck_coverage_period")),
        sa.ForeignKeyConstraint(
            ["key_id", "patient_id"],
            ["patient_key.key_id", "patient_key.patient_id"],
            name=op.f("fk_coverage_key_id_patient_id"),
        ),
        sa.ForeignKeyConstraint(
            ["patient_id"], ["patient.id"], name=op.f("fk_coverage_patient_id")
        ),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_coverage")),
    )
    op.create_index(op.f("ix_coverage_patient_id"), "coverage", ["patient_id"], unique=False)
    op.create_table(
        "identifier",
        sa.Column("id", sa.Uuid(), nullable=False),
        sa.Column("patient_id", sa.Uuid(), nullable=False),
        sa.Column("key_id", sa.BigInteger(), nullable=False),
        sa.Column("type", sa.Text(), nullable=False),
        sa.Column("system", sa.Text(), nullable=False),
        sa.Column("value", sa.LargeBinary(), nullable=False),
        sa.Column("token", sa.LargeBinary(), nullable=False),
        sa.Column("active", sa.Boolean(), nullable=False),
        sa.Column("created_at", sa.DateTime(timezone=True), nullable=False),
        sa.CheckConstraint("octet_length(token) = 16", name=op.f("ck_identifier_token")),
        sa.ForeignKeyConstraint(
            ["key_id", "patient_id"],
            ["patient_key.key_id", "patient_key.patient_id"],
            name=op.f("fk_identifier_key_id_patient_id"),
        ),
        sa.ForeignKeyConstraint(
            ["patient_id"], ["patient.id"], name=op.f("fk_identifier_patient_id")
        ),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_identifier")),
    )
    op.create_index(op.f("ix_identifier_patient_id"), "identifier", ["patient_id"], unique=False)
    op.create_index(
        "uq_identifier_active",
        "identifier",
        ["system", "token"],
        unique=True,
        postgresql_where=sa.text("active"),
    )
    op.create_table(
        "appointment",
        sa.Column("id", sa.Uuid(), nullable=False),
        sa.Column("patient_id", sa.Uuid(), nullable=False),
        sa.Column("key_id", sa.BigInteger(), nullable=False),
        sa.Column("doctor_id", sa.Uuid(), nullable=False),
        sa.Column("status", sa.Text(), nullable=False),
        sa.Column("starts_at", sa.DateTime(timezone=True), nullable=False),
        sa.Column("ends_at", sa.DateTime(timezone=True), nullable=False),
        sa.Column("reason", sa.LargeBinary(), nullable=True),
        sa.Column("source", sa.Text(), nullable=True),
        sa.Column("version", sa.Integer(), nullable=False),
        sa.Column("created_by", sa.Uuid(), nullable=False),
        sa.Column("created_at", sa.DateTime(timezone=True), nullable=False),
        postgresql.ExcludeConstraint(
            (sa.text("doctor_id"), "="),
            (sa.text("tstzrange(starts_at, ends_at)"), "&&"),
            where=sa.text("status IN ('pending', 'booked', 'arrived', 'checked-in')"),
            using="gist",
            name="doctor_taken",
        ),
        postgresql.ExcludeConstraint(
            (sa.text("patient_id"), "="),
            (sa.text("tstzrange(starts_at, ends_at)"), "&&"),
            where=sa.text("status IN ('pending', 'booked', 'arrived', 'checked-in')"),
            using="gist",
            name="patient_taken",
        ),
        sa.CheckConstraint(
            "status IN ('proposed', 'pending', 'booked', 'arrived', 'checked-in', 'fulfilled', 'cancelled', 'noshow', 'entered-in-error', 'waitlist')",
            name=op.f("ck_appointment_status"),
        ),
        sa.CheckConstraint("ends_at > starts_at", name=op.f("ck_appointment_order")),
        sa.ForeignKeyConstraint(
            ["created_by"], ["account.id"], name=op.f("fk_appointment_created_by")
        ),
        sa.ForeignKeyConstraint(
            ["doctor_id"], ["doctor.id"], name=op.f("fk_appointment_doctor_id")
        ),
        sa.ForeignKeyConstraint(
            ["key_id", "patient_id"],
            ["patient_key.key_id", "patient_key.patient_id"],
            name=op.f("fk_appointment_key_id_patient_id"),
        ),
        sa.ForeignKeyConstraint(
            ["patient_id"], ["patient.id"], name=op.f("fk_appointment_patient_id")
        ),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_appointment")),
        sa.UniqueConstraint("id", "patient_id", name=op.f("uq_appointment_id_patient_id")),
        sa.UniqueConstraint("source", name=op.f("uq_appointment_source")),
    )
    op.create_index(
        "ix_appointment_doctor_day", "appointment", ["doctor_id", "starts_at"], unique=False
    )
    op.create_index(
        "ix_appointment_patient_doctor",
        "appointment",
        ["patient_id", "doctor_id", "starts_at"],
        unique=False,
    )
    op.create_table(
        "care_team",
        sa.Column("id", sa.Uuid(), nullable=False),
        sa.Column("patient_id", sa.Uuid(), nullable=False),
        sa.Column("doctor_id", sa.Uuid(), nullable=True),
        sa.Column("account_id", sa.Uuid(), nullable=True),
        sa.Column("valid_from", sa.DateTime(timezone=True), nullable=False),
        sa.Column("valid_until", sa.DateTime(timezone=True), nullable=True),
        sa.CheckConstraint(
            "(doctor_id IS NULL) <> (account_id IS NULL)", name=op.f("ck_care_team_one_member")
        ),
        sa.CheckConstraint("valid_until > valid_from", name=op.f("ck_care_team_period")),
        sa.ForeignKeyConstraint(
            ["account_id"], ["account.id"], name=op.f("fk_care_team_account_id")
        ),
        sa.ForeignKeyConstraint(["doctor_id"], ["doctor.id"], name=op.f("fk_care_team_doctor_id")),
        sa.ForeignKeyConstraint(
            ["patient_id"], ["patient.id"], name=op.f("fk_care_team_patient_id")
        ),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_care_team")),
    )
    op.create_index("ix_care_team_account", "care_team", ["patient_id", "account_id"], unique=False)
    op.create_index("ix_care_team_doctor", "care_team", ["patient_id", "doctor_id"], unique=False)
    op.create_table(
        "oauth_session",
        sa.Column("id", sa.Uuid(), nullable=False),
        sa.Column("account_id", sa.Uuid(), nullable=False),
        sa.Column("client_id", sa.Text(), nullable=False),
        sa.Column("scope", sa.Text(), nullable=False),
        sa.Column("auth_time", sa.DateTime(timezone=True), nullable=False),
        sa.Column("expires_at", sa.DateTime(timezone=True), nullable=False),
        sa.Column("revoked_at", sa.DateTime(timezone=True), nullable=True),
        sa.ForeignKeyConstraint(
            ["account_id"], ["account.id"], name=op.f("fk_oauth_session_account_id")
        ),
        sa.ForeignKeyConstraint(
            ["client_id"], ["oauth_client.id"], name=op.f("fk_oauth_session_client_id")
        ),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_oauth_session")),
    )
    op.create_index(
        op.f("ix_oauth_session_account_id"), "oauth_session", ["account_id"], unique=False
    )
    op.create_table(
        "oauth_code",
        sa.Column("code_hash", sa.LargeBinary(), nullable=False),
        sa.Column("client_id", sa.Text(), nullable=False),
        sa.Column("account_id", sa.Uuid(), nullable=False),
        sa.Column("redirect_uri", sa.Text(), nullable=False),
        sa.Column("scope", sa.Text(), nullable=False),
        sa.Column("nonce", sa.Text(), nullable=True),
        sa.Column("challenge", sa.Text(), nullable=False),
        sa.Column("auth_time", sa.DateTime(timezone=True), nullable=False),
        sa.Column("expires_at", sa.DateTime(timezone=True), nullable=False),
        sa.Column("session_id", sa.Uuid(), nullable=True),
        sa.CheckConstraint("octet_length(code_hash) = 32", name=op.f("ck_oauth_code_hashed")),
        sa.ForeignKeyConstraint(
            ["account_id"], ["account.id"], name=op.f("fk_oauth_code_account_id")
        ),
        sa.ForeignKeyConstraint(
            ["client_id"], ["oauth_client.id"], name=op.f("fk_oauth_code_client_id")
        ),
        sa.ForeignKeyConstraint(
            ["session_id"], ["oauth_session.id"], name=op.f("fk_oauth_code_session_id")
        ),
        sa.PrimaryKeyConstraint("code_hash", name=op.f("pk_oauth_code")),
    )
    op.create_table(
        "oauth_refresh_token",
        sa.Column("token_hash", sa.LargeBinary(), nullable=False),
        sa.Column("session_id", sa.Uuid(), nullable=False),
        sa.Column("issued_at", sa.DateTime(timezone=True), nullable=False),
        sa.Column("expires_at", sa.DateTime(timezone=True), nullable=False),
        sa.Column("used_at", sa.DateTime(timezone=True), nullable=True),
        sa.CheckConstraint(
            "octet_length(token_hash) = 32", name=op.f("ck_oauth_refresh_token_hashed")
        ),
        sa.ForeignKeyConstraint(
            ["session_id"], ["oauth_session.id"], name=op.f("fk_oauth_refresh_token_session_id")
        ),
        sa.PrimaryKeyConstraint("token_hash", name=op.f("pk_oauth_refresh_token")),
    )
    op.create_index(
        op.f("ix_oauth_refresh_token_session_id"),
        "oauth_refresh_token",
        ["session_id"],
        unique=False,
    )
    op.create_table(
        "record",
        sa.Column("id", sa.Uuid(), nullable=False),
        sa.Column("patient_id", sa.Uuid(), nullable=False),
        sa.Column("appointment_id", sa.Uuid(), nullable=False),
        sa.Column("author_id", sa.Uuid(), nullable=False),
        sa.Column("kind", sa.Text(), nullable=False),
        sa.Column("status", sa.Text(), nullable=False),
        sa.Column("sensitivity", sa.Text(), nullable=False),
        sa.Column("source", sa.Text(), nullable=True),
        sa.Column("version", sa.Integer(), nullable=False),
        sa.Column("created_at", sa.DateTime(timezone=True), nullable=False),
        sa.CheckConstraint(
            "kind IN ('note', 'diagnosis', 'prescription', 'allergy', 'observation', 'referral')",
            name=op.f("ck_record_kind"),
        ),
        sa.CheckConstraint("sensitivity IN ('N', 'R', 'V')", name=op.f("ck_record_sensitivity")),
        sa.CheckConstraint(
            "status IN ('draft', 'preliminary', 'final', 'amended', 'corrected', 'addended', 'entered-in-error')",
            name=op.f("ck_record_status"),
        ),
        sa.CheckConstraint("version > 0", name=op.f("ck_record_version")),
        sa.ForeignKeyConstraint(
            ["appointment_id", "patient_id"],
            ["appointment.id", "appointment.patient_id"],
            name=op.f("fk_record_appointment_id_patient_id"),
        ),
        sa.ForeignKeyConstraint(["author_id"], ["account.id"], name=op.f("fk_record_author_id")),
        sa.ForeignKeyConstraint(["patient_id"], ["patient.id"], name=op.f("fk_record_patient_id")),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_record")),
        sa.UniqueConstraint("id", "patient_id", name=op.f("uq_record_id_patient_id")),
        sa.UniqueConstraint("source", name=op.f("uq_record_source")),
    )
    op.create_index(op.f("ix_record_appointment_id"), "record", ["appointment_id"], unique=False)
    op.create_index("ix_record_patient", "record", ["patient_id", "id"], unique=False)
    op.create_table(
        "record_version",
        sa.Column("id", sa.Uuid(), nullable=False),
        sa.Column("patient_id", sa.Uuid(), nullable=False),
        sa.Column("key_id", sa.BigInteger(), nullable=False),
        sa.Column("record_id", sa.Uuid(), nullable=False),
        sa.Column("number", sa.Integer(), nullable=False),
        sa.Column("status", sa.Text(), nullable=False),
        sa.Column("author_id", sa.Uuid(), nullable=False),
        sa.Column("title", sa.LargeBinary(), nullable=False),
        sa.Column("content", sa.LargeBinary(), nullable=False),
        sa.Column("written_at", sa.DateTime(timezone=True), nullable=False),
        sa.CheckConstraint(
            "status IN ('draft', 'preliminary', 'final', 'amended', 'corrected', 'addended', 'entered-in-error')",
            name=op.f("ck_record_version_status"),
        ),
        sa.CheckConstraint("number > 0", name=op.f("ck_record_version_number")),
        sa.ForeignKeyConstraint(
            ["author_id"], ["account.id"], name=op.f("fk_record_version_author_id")
        ),
        sa.ForeignKeyConstraint(
            ["key_id", "patient_id"],
            ["patient_key.key_id", "patient_key.patient_id"],
            name=op.f("fk_record_version_key_id_patient_id"),
        ),
        sa.ForeignKeyConstraint(
            ["record_id", "patient_id"],
            ["record.id", "record.patient_id"],
            name=op.f("fk_record_version_record_id_patient_id"),
        ),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_record_version")),
        sa.UniqueConstraint("record_id", "number", name=op.f("uq_record_version_record_id_number")),
    )


def downgrade() -> None:
    op.drop_table("record_version")
    op.drop_index("ix_record_patient", table_name="record")
    op.drop_index(op.f("ix_record_appointment_id"), table_name="record")
    op.drop_table("record")
    op.drop_index(op.f("ix_oauth_refresh_token_session_id"), table_name="oauth_refresh_token")
    op.drop_table("oauth_refresh_token")
    op.drop_table("oauth_code")
    op.drop_index(op.f("ix_oauth_session_account_id"), table_name="oauth_session")
    op.drop_table("oauth_session")
    op.drop_index("ix_care_team_doctor", table_name="care_team")
    op.drop_index("ix_care_team_account", table_name="care_team")
    op.drop_table("care_team")
    op.drop_index("ix_appointment_patient_doctor", table_name="appointment")
    op.drop_index("ix_appointment_doctor_day", table_name="appointment")
    op.drop_table("appointment")
    op.drop_index(
        "uq_identifier_active", table_name="identifier", postgresql_where=sa.text("active")
    )
    op.drop_index(op.f("ix_identifier_patient_id"), table_name="identifier")
    op.drop_table("identifier")
    op.drop_index(op.f("ix_coverage_patient_id"), table_name="coverage")
    op.drop_table("coverage")
    op.drop_table("account")
    op.drop_index(op.f("ix_schedule_doctor_id"), table_name="schedule")
    op.drop_table("schedule")
    op.drop_table("policy_rule")
    op.drop_table("policy_head")
    op.drop_table("patient")
    op.drop_table("doctor_specialty")
    op.drop_table("policy_version")
    op.drop_index(
        "uq_patient_key_active",
        table_name="patient_key",
        postgresql_where=sa.text("state = 'active'"),
    )
    op.drop_table("patient_key")
    op.drop_table("oauth_client")
    op.drop_table("index_key")
    op.drop_table("doctor")
    op.drop_index("ix_outbox_sent_at", table_name="outbox", schema="audit")
    op.drop_table("outbox", schema="audit")
    op.drop_index(
        "ix_event_resource_ids", table_name="event", schema="audit", postgresql_using="gin"
    )
    op.drop_index("ix_event_patient", table_name="event", schema="audit")
    op.drop_index(
        "ix_event_not_allowed",
        table_name="event",
        schema="audit",
        postgresql_where=sa.text("outcome <> 'allow'"),
    )
    op.drop_index("ix_event_actor", table_name="event", schema="audit")
    op.drop_table("event", schema="audit")
    op.execute("DROP FUNCTION audit.refuse_change")
    op.execute("DROP SCHEMA audit")  # the roles stay: other databases of the server may use them
