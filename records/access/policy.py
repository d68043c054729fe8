"""The policy in force: loaded from the database, watched for a newer version, refused when it grows stale."""

import asyncio
from collections.abc import Sequence
from contextlib import suppress
from datetime import timedelta
from time import monotonic
from typing import Any, Final

import structlog
from sqlalchemy import UUID as PGUUID
from sqlalchemy import Integer, bindparam, delete, func, or_, select
from sqlalchemy.dialects.postgresql import insert

from core.database import Database, Query
from core.database_errors import DatabaseError
from core.errors import DomainError, Unavailable
from core.ids import new_id
from policies.enforcer import PolicySnapshot
from policies.rules import checksum
from records.access import listing
from records.access.models import PolicyHead, PolicyProcess, PolicyRule, PolicyVersion
from records.access.versions import CHANNEL, rule_of
from records.base import table_of

POLL: Final = 2.0
"""Seconds between looks at the head. An announcement shortens the wait to milliseconds; the head is the truth."""
STALE: Final = 300.0
"""Seconds without a look after which nothing is decided any more."""

_rule, _head, _version = table_of(PolicyRule).c, table_of(PolicyHead).c, table_of(PolicyVersion).c
_HEAD = Query(select(_head.version, _version.checksum).join_from(PolicyHead, PolicyVersion))
_RULES = Query(select(*_rule).where(_rule.version == bindparam("version", type_=Integer())))

_process = table_of(PolicyProcess)
_SEEN = Query(
    insert(_process)
    .values(
        process=bindparam("process", type_=PGUUID()),
        version=bindparam("version", type_=Integer()),
        seen_at=func.now(),
    )
    .on_conflict_do_update(
        index_elements=["process"],
        set_={"version": bindparam("version", type_=Integer()), "seen_at": func.now()},
    )
)
_GONE = Query(
    delete(_process).where(
        or_(
            _process.c.process == bindparam("process", type_=PGUUID()),
            _process.c.seen_at < func.now() - timedelta(days=1),
        )
    )
)

log = structlog.get_logger()


class Policy:
    """The snapshot every decision of this process is made with."""

    def __init__(self, database: Database) -> None:
        self._database = database
        self._snapshot: PolicySnapshot | None = None
        self._seen = 0.0
        self._watcher: asyncio.Task[None] | None = None
        self._woken = asyncio.Event()
        self._process = new_id()

    @property
    def snapshot(self) -> PolicySnapshot:
        """The policy in force; Unavailable when it could not be confirmed for five minutes."""
        if self._snapshot is None or monotonic() - self._seen > STALE:
            raise Unavailable("the policy in force is not known", code="policy-unavailable")
        return self._snapshot

    async def start(self) -> None:
        """Load the policy, then keep an eye on its head."""
        await self.refresh()
        self._watcher = asyncio.create_task(self._watch(), name="policy watch")

    async def stop(self) -> None:
        """Stop watching, and be counted no more."""
        if self._watcher:
            self._watcher.cancel()
            await asyncio.gather(self._watcher, return_exceptions=True)
            with suppress(DomainError, DatabaseError):
                await self._database.one(_GONE, process=self._process)

    async def refresh(self) -> None:
        """Load the version in force if it is another than the one at hand."""
        head = await self._database.one(_HEAD)
        if head is None:
            raise Unavailable(
                "no policy is published; run `confide migrate`", code="policy-unavailable"
            )
        if self._snapshot is None or self._snapshot.version != head["version"]:
            rows = await self._database.all(_RULES, version=head["version"])
            self._snapshot = _build(head, rows, self._snapshot)
            listing.compiled.cache_clear()  # or they would keep the rules that were replaced
            log.info("policy in force", version=head["version"])
        self._seen = monotonic()

    async def _watch(self) -> None:
        """Look for a newer version whenever one is announced, and every `POLL` seconds in any case."""
        while True:
            try:
                async with self._database.listening(CHANNEL, self._woken.set) as connection:
                    while not connection.is_closed():
                        await self._look()
            except (DomainError, DatabaseError):
                log.warning("policy is not announced, only polled")
                await self._look()

    async def _look(self) -> None:
        try:
            await self.refresh()
            await self._database.one(_SEEN, process=self._process, version=self.snapshot.version)
        except (DomainError, DatabaseError, ValueError) as error:
            log.error("policy not refreshed", error=type(error).__name__)
        with suppress(TimeoutError):
            async with asyncio.timeout(POLL):
                await self._woken.wait()
        self._woken.clear()


def _build(head: Any, rows: Sequence[Any], since: PolicySnapshot | None) -> PolicySnapshot:
    rules = [rule_of(row) for row in rows]
    if checksum(rules) != head["checksum"]:
        raise Unavailable("the stored policy is not what was published", code="policy-tampered")
    return PolicySnapshot.build(head["version"], rules, since)
