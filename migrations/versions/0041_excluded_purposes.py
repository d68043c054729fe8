"""Disclosures that need no accounting (45 CFR 164.528(a)(1)) can be written down as well."""

from alembic import op

revision = "0041"
down_revision = "0040"

ACCOUNTED = (
    "'required-by-law', 'public-health', 'abuse-report', 'health-oversight', 'judicial', 'law-enforcement', "
    "'decedent', 'organ-donation', 'research', 'serious-threat', 'government-function', 'workers-compensation', "
    "'by-mistake'"
)
EXCLUDED = "'treatment', 'payment', 'operations', 'individual', 'authorization', 'limited-data-set'"


def upgrade() -> None:
    _allow(f"{EXCLUDED}, {ACCOUNTED}")


def downgrade() -> None:
    op.execute(f"DELETE FROM disclosure WHERE purpose IN ({EXCLUDED})")
    _allow(ACCOUNTED)


def _allow(purposes: str) -> None:
    op.execute("ALTER TABLE disclosure DROP CONSTRAINT ck_disclosure_purpose")
    op.execute(
        f"ALTER TABLE disclosure ADD CONSTRAINT ck_disclosure_purpose CHECK (purpose IN ({purposes}))"
    )
