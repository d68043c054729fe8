"""Drafts of rules, who is behind a version, and the rules in force as stock Casbin tools read them."""

import sqlalchemy as sa
from alembic import op
from sqlalchemy.dialects import postgresql

revision = "0011"
down_revision = "0010"

# Rows of the stock adapters. A name in a rule is one of several, or `*`: each is a row of its own.
CASBIN_RULE = """
CREATE VIEW casbin_rule AS
SELECT row_number() OVER (ORDER BY r.tier, r.effect DESC, r.id, s, o, a) AS id,
       'p'::text AS ptype,
       (r.tier * 10 + CASE r.effect WHEN 'deny' THEN 0 ELSE 5 END)::text AS v0,
       s AS v1, o AS v2, a AS v3, r.condition AS v4, r.effect AS v5
FROM policy_rule r
JOIN policy_head h ON h.version = r.version
CROSS JOIN LATERAL regexp_split_to_table(btrim(r.subject), '\\s+') s
CROSS JOIN LATERAL regexp_split_to_table(btrim(r.resource), '\\s+') o
CROSS JOIN LATERAL regexp_split_to_table(btrim(r.action), '\\s+') a
"""


def upgrade() -> None:
    op.create_table(
        "policy_draft",
        sa.Column("id", sa.Uuid(), nullable=False),
        sa.Column("author_id", sa.Uuid(), nullable=False),
        sa.Column("status", sa.Text(), nullable=False),
        sa.Column("version", sa.Integer(), nullable=False),
        sa.Column("base", sa.Integer(), nullable=False),
        sa.Column("reason", sa.Text(), nullable=False),
        sa.Column("rules", postgresql.JSONB(), nullable=False),
        sa.Column("created_at", sa.DateTime(timezone=True), nullable=False),
        sa.Column("updated_at", sa.DateTime(timezone=True), nullable=False),
        sa.CheckConstraint("status IN ('draft', 'published')", name=op.f("ck_policy_draft_status")),
        sa.ForeignKeyConstraint(
            ["author_id"], ["account.id"], name=op.f("fk_policy_draft_author_id")
        ),
        sa.ForeignKeyConstraint(
            ["base"], ["policy_version.version"], name=op.f("fk_policy_draft_base")
        ),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_policy_draft")),
    )
    op.add_column("policy_version", sa.Column("author_id", sa.Uuid(), nullable=True))
    op.add_column("policy_version", sa.Column("publisher_id", sa.Uuid(), nullable=True))
    op.add_column("policy_version", sa.Column("draft_id", sa.Uuid(), nullable=True))
    op.add_column("policy_version", sa.Column("restored", sa.Integer(), nullable=True))
    for column, target in (
        ("author_id", "account.id"),
        ("publisher_id", "account.id"),
        ("restored", "policy_version.version"),
    ):
        table, key = target.split(".")
        op.create_foreign_key(
            op.f(f"fk_policy_version_{column}"), "policy_version", table, [column], [key]
        )
    op.create_check_constraint(
        op.f("ck_policy_version_four_eyes"), "policy_version", "author_id <> publisher_id"
    )
    op.execute(CASBIN_RULE)
    op.execute("GRANT SELECT, INSERT, UPDATE, DELETE ON policy_draft TO confide_app")
    op.execute("GRANT SELECT ON casbin_rule TO confide_app")


def downgrade() -> None:
    op.execute("DROP VIEW casbin_rule")
    op.drop_constraint(op.f("ck_policy_version_four_eyes"), "policy_version", type_="check")
    for column in ("restored", "publisher_id", "author_id"):
        op.drop_constraint(
            op.f(f"fk_policy_version_{column}"), "policy_version", type_="foreignkey"
        )
    for column in ("restored", "draft_id", "publisher_id", "author_id"):
        op.drop_column("policy_version", column)
    op.drop_table("policy_draft")
