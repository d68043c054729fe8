"""The migrations and the models are one schema; the ledger refuses change, whoever asks."""

import asyncpg
import pytest
from alembic import command
from alembic.autogenerate import compare_metadata
from alembic.migration import MigrationContext
from sqlalchemy import Connection, make_url
from sqlalchemy.ext.asyncio import create_async_engine

from records.tables import metadata

EVENT = """INSERT INTO audit.event (id, occurred_at, recorded_at, action, outcome, purpose, resource_type,
 resource_ids, break_glass, body, request_id) VALUES (gen_random_uuid(), now(), now(), 'read', 'allow', 'TREAT', 'record',
 '{}', false, '{}', '')"""


def is_no_partition(name: str | None, kind: str, _parents: object) -> bool:
    return kind != "table" or not (name or "").startswith("event_")


def differences(connection: Connection) -> list[object]:
    context = MigrationContext.configure(
        connection,
        opts={"include_schemas": True, "compare_type": True, "include_name": is_no_partition},
    )
    return list(compare_metadata(context, metadata))


async def test_the_migrations_make_exactly_what_the_models_say(database_url: str):
    engine = create_async_engine(make_url(database_url).set(drivername="postgresql+asyncpg"))
    async with engine.connect() as connection:
        assert await connection.run_sync(differences) == []
    await engine.dispose()


async def test_going_down_and_up_again_leaves_the_same_schema(database_url: str, monkeypatch):
    import asyncio

    from api.commands.provision import alembic
    from core.settings import settings

    monkeypatch.setenv("CONFIDE_DATABASE_URL", database_url)
    settings.cache_clear()
    try:
        await asyncio.to_thread(command.downgrade, alembic(), "base")
        assert await tables(database_url) == {"alembic_version"}
        await asyncio.to_thread(command.upgrade, alembic(), "head")
    finally:
        settings.cache_clear()
    await test_the_migrations_make_exactly_what_the_models_say(database_url)


async def tables(url: str) -> set[str]:
    connection = await asyncpg.connect(url)
    rows = await connection.fetch(
        "SELECT table_name FROM information_schema.tables WHERE table_schema IN ('public', 'audit')"
    )
    await connection.close()
    return {row["table_name"] for row in rows}


@pytest.mark.parametrize(
    "statement",
    [
        "UPDATE audit.event SET action = 'none'",
        "DELETE FROM audit.event",
        "TRUNCATE audit.event",
        "TRUNCATE audit.event_rest",
        "DELETE FROM audit.event_rest",
        "SET session_replication_role = replica; UPDATE audit.event SET action = 'none'",
        "SET session_replication_role = replica; DELETE FROM audit.event",
        "SET session_replication_role = replica; TRUNCATE audit.event",
    ],
)
async def test_not_even_the_owner_changes_the_ledger_by_mistake(database_url: str, statement: str):
    connection = await asyncpg.connect(database_url)
    await connection.execute(EVENT)
    with pytest.raises(asyncpg.InsufficientPrivilegeError, match="append-only"):
        await connection.execute(statement)
    await connection.close()


@pytest.mark.parametrize(
    ("role", "statement"),
    [
        ("confide_ledger", "SELECT id FROM audit.event"),
        ("confide_ledger", "UPDATE audit.event SET action = 'none'"),
        ("confide_ledger", "DELETE FROM audit.event"),
        ("confide_ledger", "SELECT id FROM patient"),
        ("confide_ledger", "SELECT body FROM audit.outbox"),
        ("confide_ledger", "SELECT id FROM audit.quarantine"),
        ("confide_app", "SELECT audit.add_partitions(now(), now())"),
        ("confide_sealer", "DELETE FROM audit.leaf"),
        ("confide_sealer", "UPDATE audit.checkpoint SET size = 0"),
        ("confide_sealer", "SELECT actor FROM audit.event"),
        ("confide_sealer", EVENT),
        ("confide_auditor", "SELECT id FROM patient"),
        ("confide_auditor", "DELETE FROM audit.leaf"),
        ("confide_verifier", "UPDATE record SET edition = 2"),
        ("confide_verifier", "SELECT id FROM account"),
        ("confide_app", "INSERT INTO audit.checkpoint VALUES (gen_random_uuid(), 0, '', now())"),
        ("confide_app", "DELETE FROM audit.unsealed"),
        ("confide_relay", "SELECT id FROM patient"),
        ("confide_relay", "SELECT id FROM audit.event"),
        ("confide_relay", "DELETE FROM audit.outbox"),
        ("confide_relay", "UPDATE audit.outbox SET body = ''"),
        ("confide_app", EVENT),
        ("confide_app", "DELETE FROM audit.event"),
        ("confide_app", "DELETE FROM audit.outbox"),
        ("confide_app", "SELECT body FROM audit.outbox"),
        ("confide_app", "UPDATE record_version SET number = 2"),
        ("confide_app", "DELETE FROM policy_rule"),
        ("confide_app", "UPDATE alembic_version SET version_num = '0'"),
    ],
)
async def test_a_role_cannot_do_the_work_of_another(database_url: str, role: str, statement: str):
    connection = await asyncpg.connect(database_url, server_settings={"role": role})
    with pytest.raises(asyncpg.InsufficientPrivilegeError):
        await connection.execute(statement)
    await connection.close()
