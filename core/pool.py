"""A pool of bare asyncpg connections, for statements that leave nothing behind.

asyncpg's own pool makes a task, two timers and a proxy for each loan, for safety that such statements do not need: as much
work as the statement. This one lends the connection used last, replaces one that was closed, and throws away one whose
statement did not come to its end.
"""

import asyncio
from collections import deque
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from typing import Any, Final

import asyncpg

from core.database_errors import translated

PATIENCE: Final = 30.0
"""Seconds to wait for a free connection: a rush is answered late rather than refused."""


class Pool:
    """At most `size` connections, each made by `connect` when first needed."""

    def __init__(self, connect: Callable[[], Awaitable[Any]], size: int) -> None:
        self._connect = connect
        self._room = size
        self._free: list[Any] = []
        self._waiting: deque[asyncio.Future[None]] = deque()
        self._open: set[Any] = set()
        self._closed = False

    async def take(self) -> Any:
        """Return a connection of one's own until it is given back; TimeoutError when there is none for long."""
        if self._closed:
            raise _ended()
        while self._free:
            connection = self._free.pop()
            if not connection.is_closed():
                return connection
            self._drop(connection)
        if self._room:
            self._room -= 1
            return await self._new()
        return await self._turn() or await self._new()

    def give(self, connection: Any, error: BaseException | None = None) -> None:
        """Take a connection back; after an error that is not the server's word, it is not to be trusted."""
        if error is not None and not isinstance(error, asyncpg.PostgresError):
            connection.terminate()
        if connection.is_closed():
            self._drop(connection)
        elif not self._pass_on(connection):
            self._free.append(connection)

    async def close(self) -> None:
        """Close those that are free, cut those that are not; who waits for one, or asks later, gets none."""
        self._closed = True
        while self._waiting:
            turn = self._waiting.popleft()
            if not turn.done():
                turn.set_exception(_ended())
        free, self._free = self._free, []
        for connection in self._open - set(free):
            connection.terminate()
        await asyncio.gather(*(each.close() for each in free), return_exceptions=True)

    async def _new(self) -> Any:
        """Make a connection in a place that was taken for it."""
        try:
            connection = await self._connect()
        except BaseException:
            self._make_room()
            raise
        if self._closed:
            connection.terminate()
            raise _ended()
        self._open.add(connection)
        return connection

    def _drop(self, connection: Any) -> None:
        self._open.discard(connection)
        self._make_room()

    def _make_room(self) -> None:
        if not self._pass_on(None):
            self._room += 1

    async def _turn(self) -> Any:
        """Wait for a connection, or for None: a place for a new one."""
        loop = asyncio.get_running_loop()
        turn: asyncio.Future[Any] = loop.create_future()
        self._waiting.append(turn)
        # A timer of its own costs a tenth of what `asyncio.timeout` does.
        patience = loop.call_later(PATIENCE, _give_up, turn)
        try:
            return await turn
        except BaseException:
            if turn.done() and not turn.cancelled() and not turn.exception():  # it came too late
                self.give(turn.result()) if turn.result() else self._make_room()
            raise
        finally:
            patience.cancel()

    def _pass_on(self, connection: Any) -> bool:
        """Hand a connection, or a place for one, to who has waited longest; tell whether anybody does."""
        while self._waiting:
            turn = self._waiting.popleft()
            if not turn.done():
                turn.set_result(connection)
                return True
        return False


def _give_up(turn: asyncio.Future[Any]) -> None:
    if not turn.done():
        turn.set_exception(TimeoutError())


def _ended() -> asyncpg.InterfaceError:
    return asyncpg.InterfaceError("the pool is closed")


class Loan:
    """A connection for the time of an `async with`; what the driver raises meanwhile leaves as an error of ours."""

    __slots__ = ("_connection", "_pool")

    def __init__(self, pool: Pool) -> None:
        self._pool = pool

    async def __aenter__(self) -> Any:
        """Take a connection, at the latest when somebody gives one back."""
        with translated():
            self._connection = await self._pool.take()
        return self._connection

    async def __aexit__(self, kind: object, error: BaseException | None, where: object) -> None:
        """Give it back."""
        self._pool.give(self._connection, error)
        translated().__exit__(kind, error, where)


@asynccontextmanager
async def alone(url: str) -> AsyncIterator[Any]:
    """Yield one connection as the URL's user, in no pool, and close it: for who looks once."""
    connection = await asyncpg.connect(url)
    try:
        yield connection
    finally:
        await connection.close()
