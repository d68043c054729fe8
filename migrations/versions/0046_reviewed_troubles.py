"""What compliance has reviewed is no trouble any more: a forged batch and a lost number stay, and stop being counted."""

from alembic import op

revision = "0046"
down_revision = "0045"

# The keys are those under which the rule R13 tells of them.
REVIEWED = "EXISTS (SELECT FROM audit.alert WHERE rule = 'R13' AND state = 'resolved' AND key = concat_ws('/', {}))"
GAUGE = """CREATE OR REPLACE VIEW audit.gauge AS SELECT
  (SELECT count(*) FROM audit.outbox) AS outbox,
  (SELECT coalesce(extract(epoch FROM now() - min(created_at)), 0) FROM audit.outbox)::float AS outbox_seconds,
  (SELECT coalesce(extract(epoch FROM now() - min(since)), 0) FROM audit.unsealed)::float AS seal_seconds,
  (SELECT count(*) FROM audit.quarantine{batches}) AS quarantined,
  (SELECT coalesce(sum(last - first + 1), 0) FROM audit.gap WHERE closed_at IS NULL{numbers})::bigint AS missing,
  (SELECT coalesce(extract(epoch FROM now() - coalesce(
     (SELECT max(done_at) FROM audit.verification WHERE verdict = 0),
     (SELECT min(published_at) FROM policy_version))), 0))::float AS verified_seconds"""


def upgrade() -> None:
    batches = REVIEWED.format("'quarantine', quarantine.id")
    numbers = REVIEWED.format("'gap', gap.boot, gap.first")
    op.execute(GAUGE.format(batches=f" WHERE NOT {batches}", numbers=f" AND NOT {numbers}"))


def downgrade() -> None:
    op.execute(GAUGE.format(batches="", numbers=""))
