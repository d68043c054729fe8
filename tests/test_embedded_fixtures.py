"""The fixtures everything else stands on."""

import asyncpg

from tests.servers import execute


async def test_each_test_has_a_migrated_database_of_its_own(database_url: str, template_url: str):
    await execute(database_url, "CREATE TABLE only_here ()")
    for url, there in ((database_url, True), (template_url, False)):
        connection = await asyncpg.connect(url)
        try:
            found = await connection.fetchval("SELECT to_regclass('only_here') IS NOT NULL")
            assert found is there
            assert await connection.fetchval("SELECT count(*) FROM alembic_version") == 1
        finally:
            await connection.close()
