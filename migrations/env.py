"""Alembic's environment: an asyncpg engine, the owner's URL, and every table of `records`."""

import asyncio

from alembic import context
from sqlalchemy import Connection, make_url, pool
from sqlalchemy.ext.asyncio import create_async_engine

from core.settings import settings
from records.tables import metadata


def configure_and_run(connection: Connection) -> None:
    context.configure(
        connection=connection,
        target_metadata=metadata,
        include_schemas=True,
        compare_type=True,
        transaction_per_migration=True,
    )
    with context.begin_transaction():
        context.run_migrations()


async def migrate() -> None:
    url = make_url(settings().postgres_url).set(drivername="postgresql+asyncpg")
    # Who waits for a lock on a table holds up all who come later: rather fail, whole, and be run again.
    patience = {"server_settings": {"lock_timeout": "10s"}}
    engine = create_async_engine(
        url, poolclass=pool.NullPool, hide_parameters=True, connect_args=patience
    )
    async with engine.connect() as connection:
        await connection.run_sync(configure_and_run)
    await engine.dispose()


if context.is_offline_mode():
    raise SystemExit("migrations run against a live database; set CONFIDE_DATABASE_URL")
asyncio.run(migrate())
