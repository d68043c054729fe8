"""The name of a session is worked out without functions in SQL, which PostgreSQL parses anew at every INSERT of a visit."""

from alembic import op

revision = "0049"
down_revision = "0048"
branch_labels = depends_on = None

NAME = "ck_appointment_session_name"
CHECK = """ALTER TABLE appointment DROP CONSTRAINT {name}, ADD CONSTRAINT {name} CHECK (
  session_id IS NULL OR service_id IS NOT NULL AND session_id = substring(encode(sha256(convert_to(
    doctor_id{text} || ' ' || service_id{text} || ' ' || (extract(epoch FROM starts_at) * 1000000)::bigint{text}, 'UTF8'
  )), 'hex') FOR 32)::uuid) NOT VALID"""


def upgrade() -> None:
    _check("::text")


def downgrade() -> None:
    _check("")


def _check(text: str) -> None:
    """Replace the constraint: whoever writes meets the one or the other, and nobody waits while all rows are looked at."""
    op.execute(CHECK.format(name=NAME, text=text))
    with op.get_context().autocommit_block():
        op.execute(f"ALTER TABLE appointment VALIDATE CONSTRAINT {NAME}")
