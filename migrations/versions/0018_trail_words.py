"""Any filter of the trail has an index that also gives its order."""

from alembic import op

revision = "0018"
down_revision = "0017"


def upgrade() -> None:
    op.execute("DROP INDEX audit.ix_event_not_allowed")
    op.execute(
        "CREATE INDEX ix_event_not_allowed ON audit.event (outcome, id) WHERE outcome <> 'allow'"
    )
    op.execute("CREATE INDEX ix_event_purpose ON audit.event (purpose, id)")
    op.execute("CREATE INDEX ix_event_resource_type ON audit.event (resource_type, id)")
    op.execute("GRANT INSERT ON audit.outbox TO confide_auditor")


def downgrade() -> None:
    op.execute("REVOKE INSERT ON audit.outbox FROM confide_auditor")
    op.execute("DROP INDEX audit.ix_event_resource_type")
    op.execute("DROP INDEX audit.ix_event_purpose")
    op.execute("DROP INDEX audit.ix_event_not_allowed")
    op.execute("CREATE INDEX ix_event_not_allowed ON audit.event (id) WHERE outcome <> 'allow'")
