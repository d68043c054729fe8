"""Bare connections: never more than there may be, handed on in turn, and none lent that cannot be trusted."""

import asyncio

import asyncpg
import pytest

from core.pool import Pool


def pool_of(url: str, size: int) -> Pool:
    return Pool(lambda: asyncpg.connect(url), size)


async def test_no_more_are_open_than_there_may_be_and_who_waited_longest_goes_first(
    database_url: str,
):
    pool, order = pool_of(database_url, 2), list[int]()
    backends: set[int] = set()

    async def use(number: int) -> None:
        connection = await pool.take()
        order.append(number)
        backends.add(await connection.fetchval("SELECT pg_backend_pid()"))
        pool.give(connection)

    await asyncio.gather(*(use(n) for n in range(12)))
    # The first two wait for nobody: each opens a connection, and which is open sooner is PostgreSQL's business.
    waited = [number for number in order if number > 1]
    assert waited == list(range(2, 12))
    assert len(backends) <= 2
    await pool.close()


async def test_one_that_was_closed_or_left_in_mid_statement_is_not_lent_again(database_url: str):
    pool = pool_of(database_url, 1)
    first = await pool.take()
    pool.give(first, asyncio.CancelledError())
    second = await pool.take()
    assert second is not first
    pool.give(second, asyncpg.UniqueViolationError("the server said so"))
    third = await pool.take()
    assert third is second
    await third.close()
    pool.give(third)
    assert await (await pool.take()).fetchval("SELECT 1") == 1
    await pool.close()


async def test_who_stops_waiting_takes_nothing_with_them(database_url: str):
    pool = pool_of(database_url, 1)
    only = await pool.take()
    impatient = asyncio.create_task(pool.take())
    await asyncio.sleep(0)
    pool.give(only)  # it is theirs now, and they go in the same moment
    impatient.cancel()
    await asyncio.gather(impatient, return_exceptions=True)
    async with asyncio.timeout(5):
        assert await (await pool.take()).fetchval("SELECT 1") == 1
    await pool.close()


async def test_a_place_whose_connection_could_not_be_made_is_free_again(database_url: str):
    fails = [OSError("away")]

    async def connect() -> object:
        if fails:
            raise fails.pop()
        return await asyncpg.connect(database_url)

    pool = Pool(connect, 1)
    with pytest.raises(OSError, match="away"):
        await pool.take()
    assert await (await pool.take()).fetchval("SELECT 1") == 1
    await pool.close()


async def test_a_value_that_the_driver_refuses_costs_no_connection(database_url: str):
    pool = pool_of(database_url, 1)
    first = await pool.take()
    with pytest.raises(asyncpg.DataError, match="int32") as refused:
        await first.fetchval("SELECT $1::int", 2**40)
    pool.give(first, refused.value)
    second = await pool.take()
    assert second is first
    assert await second.fetchval("SELECT 1") == 1
    await pool.close()


async def test_a_closed_pool_opens_none_any_more_for_whoever_waits_asks_or_is_on_the_way(
    database_url: str,
):
    made, opening = list[asyncpg.Connection](), asyncio.Event()

    async def connect() -> asyncpg.Connection:
        made.append(await asyncpg.connect(database_url))
        if len(made) == 2:
            opening.set()
            await asyncio.sleep(0.05)
        return made[-1]

    pool = Pool(connect, 2)
    await pool.take()
    on_the_way, waiting = (asyncio.create_task(pool.take()) for _ in range(2))
    await opening.wait()
    await pool.close()
    for taking in (on_the_way, waiting, pool.take()):
        with pytest.raises(asyncpg.InterfaceError, match="closed"):
            async with asyncio.timeout(5):
                await taking
    assert len(made) == 2
    assert all(each.is_closed() for each in made)
