"""Every table, gathered: import this where the whole schema is meant (migrations, diagrams, tests)."""

import records.access.models
import records.audit.models
import records.audit.troubles
import records.clinical.models
import records.compliance.models
import records.custody.models
import records.governance.models
import records.identity.models
import records.identity.presence
import records.identity.tallies
import records.once
import records.people.models
import records.scheduling.feeds
import records.scheduling.models
import records.scheduling.notices
import records.scheduling.reminding
import records.scheduling.supply
import records.scheduling.waitlist
import records.vault.models  # noqa: F401
from records.base import metadata

__all__ = ["metadata"]
