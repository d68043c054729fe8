"""The demo clinic: loaded once, and a quick look whether it is there ever after."""

from typing import Final

from sqlalchemy import text

from core.database import Database, Query
from core.errors import Forbidden
from core.settings import Settings
from records.demo.people import DOCTORS

_LOADED: Final = Query(text("SELECT 1 FROM doctor WHERE npi = :npi"))


async def load(chosen: Settings) -> str:
    """Load the demo clinic unless it is there; return one sentence that says what was done."""
    if not chosen.development:
        raise Forbidden("the demo clinic is for development only", code="development-only")
    if await _loaded(chosen):
        return "The demo clinic is there already."
    from records.demo.loading import load_all  # most of Confide: too much for a quick look

    return await load_all(chosen)


async def _loaded(chosen: Settings) -> bool:
    """Tell whether the first doctor is there: all of the demo came in one transaction."""
    async with Database(chosen.postgres_url, size=1) as database:
        return await database.one(_LOADED, npi=DOCTORS[0][3]) is not None
