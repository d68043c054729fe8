"""What a new installation needs before it can serve: keys, the schema, the first policy, the OAuth clients."""

import asyncio
from pathlib import Path

from alembic import command
from alembic.config import Config

import migrations
from core.crypto.keyring import create_keys
from core.crypto.signing import SigningKeys
from core.database import Database
from core.settings import Settings
from records.access.versions import publish_defaults
from records.identity.clients import ensure_clients
from records.identity.tokens import KEYS


def provision(chosen: Settings) -> None:
    """Bring the database to the newest schema and complete it. Running it again changes nothing."""
    if chosen.development:
        make_keys(chosen)
    command.upgrade(alembic(), "head")
    asyncio.run(_complete(chosen))


def make_keys(chosen: Settings) -> list[str]:
    """Make what is missing of the key-encryption keys and the signing keys; return what was made."""
    chosen.home.mkdir(parents=True, exist_ok=True)
    made, signing = create_keys(chosen.kms), chosen.home / KEYS
    if not signing.exists():
        SigningKeys.open_or_create(signing)
        made.append(str(signing))
    return made


async def _complete(chosen: Settings) -> None:
    async with (
        Database(chosen.postgres_url, size=1) as database,
        database.transaction() as session,
    ):
        await publish_defaults(session)
        await ensure_clients(session, chosen.issuer)


def alembic() -> Config:
    """Return where the migrations are."""
    config = Config()
    config.set_main_option("script_location", str(Path(migrations.__file__).parent))
    return config
