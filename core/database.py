"""PostgreSQL: sessions for writes, compiled queries for reads, and the only commit in Confide.

Two ways in, because they cost differently. `transaction()` is SQLAlchemy's session: BEGIN, work, COMMIT. A
`Query` is a SELECT compiled once to SQL text and run on a bare asyncpg connection outside any transaction:
one round trip, no ORM.
"""

from collections.abc import AsyncIterator, Awaitable, Callable, Mapping, Sequence
from contextlib import AbstractAsyncContextManager, asynccontextmanager
from sys import intern
from typing import Any, Protocol, Self

import asyncpg
from sqlalchemy import make_url
from sqlalchemy.dialects.postgresql.asyncpg import dialect
from sqlalchemy.ext.asyncio import AsyncSession, create_async_engine
from sqlalchemy.sql import Executable
from sqlalchemy.sql.elements import ClauseElement

from core import tracing
from core.crypto.sealed import Sealed
from core.database_errors import lost, translated
from core.pool import PATIENCE, Loan, Pool
from core.spelling import spelled_out

_dialect: Any = dialect
TIMEOUT = 5.0
"""Seconds to reach the server."""
_UNDO = "undo"
_PLANNER = {"jit": "off", "enable_seqscan": "off"}
"""A plan lives as long as its connection: one made while a table is small must not read all of it when it is large."""
_LAST = "last"
_PENDING = "pending"


class Query:
    """A statement compiled once; its parameters are bound by the names of its `bindparam`s."""

    def __init__(self, statement: Executable) -> None:
        assert isinstance(statement, ClauseElement)
        compiled: Any = spelled_out(statement).compile(dialect=_dialect())
        self.sql = intern(str(compiled))  # many a caller's list is the same text
        assert "POSTCOMPILE" not in self.sql, "a Query cannot hold an IN list: use ANY(array)"
        self._names: tuple[str, ...] = tuple(map(intern, compiled.positiontup or ()))
        self._fixed = {k: v for k, v in compiled.params.items() if v is not None}
        self._sealed = {k: b.type for k, b in compiled.binds.items() if isinstance(b.type, Sealed)}

    def arguments(self, given: dict[str, Any]) -> list[Any]:
        """Return the positional arguments; a missing name is a KeyError, not a NULL, and plain text is no Cell."""
        for name, kind in self._sealed.items():
            kind.process_bind_param(given[name], _dialect)
        return [given[n] if n in given else self._fixed[n] for n in self._names]


class Store(Protocol):
    """Where a query runs: the `Database`, each in a transaction of its own, or a `Session`, all in one."""

    async def one(self, query: Query, **given: Any) -> Any | None:
        """Return the first row, or None."""
        ...

    async def all(self, query: Query, **given: Any) -> Sequence[Any]:
        """Return every row."""
        ...

    def transaction(self) -> AbstractAsyncContextManager["Session"]:
        """Return what several statements run in together."""
        ...


class Session(AsyncSession):
    """A transaction: SQLAlchemy's session, in which a Query runs too."""

    async def one(self, query: Query, **given: Any) -> Any | None:
        """Return the first row of a query, or None."""
        return next(iter(await self.all(query, **given)), None)

    async def all(self, query: Query, **given: Any) -> Sequence[Any]:
        """Return every row of a query."""
        with translated():
            connection = await self.connection()
            found = await connection.exec_driver_sql(query.sql, tuple(query.arguments(given)))
            return found.mappings().all()

    @asynccontextmanager
    async def transaction(self) -> AsyncIterator["Session"]:
        """Yield this very transaction: what is done in it stands or falls with the rest."""
        yield self


class Database:
    """The way to one PostgreSQL database under one role; `open()` before use, `close()` after, or `async with`."""

    def __init__(
        self, url: str, *, role: str | None = None, size: int = 10, patience: float | None = None
    ) -> None:
        """Name the server. With `patience` no statement may take more seconds: a server can be silent and not gone."""
        settings = {"application_name": f"confide-{role or 'owner'}", **_PLANNER}
        self._connect: dict[str, Any] = {
            "server_settings": settings | ({"role": role} if role else {}),
            "timeout": TIMEOUT,
            "command_timeout": patience,
        }
        self._url = url
        self._pool = Pool(self._connected, size)
        self.engine = create_async_engine(
            make_url(url).set(drivername="postgresql+asyncpg"),
            pool_size=size,
            max_overflow=0,
            pool_timeout=PATIENCE,
            hide_parameters=True,
            connect_args=self._connect,
        )
        tracing.watch_engine(self.engine)
        self._autocommit = self.engine.execution_options(isolation_level="AUTOCOMMIT")

    async def _connected(self) -> Any:
        # A list under many rules is long: its plan is kept too.
        made = await asyncpg.connect(self._url, max_cacheable_statement_size=0, **self._connect)
        tracing.watch(made)
        return made

    async def open(self) -> None:
        """Make the first connection; raise Unavailable when the server is away."""
        async with self.bare():
            pass

    async def close(self) -> None:
        """Let every connection go."""
        await self._pool.close()
        await self.engine.dispose()

    async def __aenter__(self) -> Self:
        await self.open()
        return self

    async def __aexit__(self, *_error: object) -> None:
        await self.close()

    @asynccontextmanager
    async def transaction(self) -> AsyncIterator[Session]:
        """Yield a session; commit when the block ends well, roll back when it raises."""
        with translated():
            async with Session(self.engine, expire_on_commit=False) as session:
                try:
                    yield session
                    for act in session.info.get(_LAST, ()):
                        await act()
                    left = session.info.get(_PENDING, {}).values()
                    assert not any(left), "rows were written that no event names"
                    await session.commit()
                except BaseException as error:
                    for undo in session.info.get(_UNDO, ()):
                        undo()
                    if lost(error):
                        await session.invalidate()  # a silent server would not hear a ROLLBACK
                    raise

    def bare(self) -> Loan:
        """Lend an asyncpg connection outside any transaction; leave nothing behind on it."""
        return Loan(self._pool)

    @asynccontextmanager
    async def listening(self, channel: str, heard: Callable[[], None]) -> AsyncIterator[Any]:
        """Yield a connection of its own that calls `heard` at each NOTIFY on a channel, and when it is cut."""
        with translated():
            connection = await asyncpg.connect(self._url, **self._connect)
            try:
                connection.add_termination_listener(lambda _: heard())
                await connection.add_listener(channel, lambda *_: heard())
                yield connection
            finally:
                connection.terminate()

    async def one(self, query: Query, **given: Any) -> Any | None:
        """Return the first row of a query (an asyncpg Record), or None: one round trip."""
        async with self.bare() as connection:
            return await connection.fetchrow(query.sql, *query.arguments(given))

    async def all(self, query: Query, **given: Any) -> Sequence[Any]:
        """Return every row of a query: one round trip."""
        async with self.bare() as connection:
            rows: Sequence[Any] = await connection.fetch(query.sql, *query.arguments(given))
            return rows

    async def select(
        self, statement: Executable, given: Mapping[str, Any] | None = None
    ) -> Sequence[Mapping[str, Any]]:
        """Return the rows of a SELECT whose text varies (filters, policy): autocommit, one round trip."""
        with translated():
            async with self._autocommit.connect() as connection:
                found = await connection.execute(statement, given)
                rows: Any = found.mappings().all()
                return list(rows)


def when_undone(session: Any, undo: Callable[[], None]) -> None:
    """Have `undo` called if the session's transaction does not commit, as far as we know."""
    if isinstance(session, AsyncSession):
        session.info.setdefault(_UNDO, []).append(undo)


def before_commit(session: Any, act: Callable[[], Awaitable[None]]) -> None:
    """Have `act` called as the last thing in the session's transaction."""
    session.info.setdefault(_LAST, []).append(act)


def pending(session: Any, name: str) -> list[Any]:
    """Return a list of that name that lives as long as the session's transaction."""
    if not isinstance(session, AsyncSession):
        return []
    lists: dict[str, list[Any]] = session.info.setdefault(_PENDING, {})
    return lists.setdefault(name, [])


@asynccontextmanager
async def attempt(session: AsyncSession) -> AsyncIterator[None]:
    """A savepoint: of what raises inside nothing stays, neither in the database nor among what is pending."""
    lists: dict[str, list[Any]] = session.info.setdefault(_PENDING, {})
    before = {name: len(items) for name, items in lists.items()}
    try:
        async with session.begin_nested():
            yield
    except BaseException:
        for name, items in lists.items():
            del items[before.get(name, 0) :]
        raise
