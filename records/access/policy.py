"""The policy in force: loaded from the database, watched for a newer version, refused when it grows stale."""

import asyncio
from collections.abc import Sequence
from time import monotonic
from typing import Any, Final

import structlog
from sqlalchemy import select

from core.database import Database, Query
from core.errors import DomainError, Unavailable
from policies.enforcer import PolicySnapshot
from policies.rules import checksum
from records.access.models import PolicyHead, PolicyRule, PolicyVersion
from records.access.versions import rule_of
from records.base import table_of

POLL: Final = 2.0
"""Seconds between looks at the head."""
STALE: Final = 300.0
"""Seconds without a look after which nothing is decided any more."""

_rule, _head, _version = table_of(PolicyRule).c, table_of(PolicyHead).c, table_of(PolicyVersion).c
_HEAD = Query(select(_head.version, _version.checksum).join_from(PolicyHead, PolicyVersion))
_RULES = Query(
    select(*_rule)
    .join_from(PolicyRule, PolicyHead, _rule.version == _head.version)
    .order_by(_rule.id)
)

log = structlog.get_logger()


class Policy:
    """The snapshot every decision of this process is made with."""

    def __init__(self, database: Database) -> None:
        self._database = database
        self._snapshot: PolicySnapshot | None = None
        self._seen = 0.0
        self._watcher: asyncio.Task[None] | None = None

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
        """Stop watching."""
        if self._watcher:
            self._watcher.cancel()
            await asyncio.gather(self._watcher, return_exceptions=True)

    async def refresh(self) -> None:
        """Load the version in force if it is another than the one at hand."""
        head = await self._database.one(_HEAD)
        if head is None:
            raise Unavailable(
                "no policy is published; run `confide migrate`", code="policy-unavailable"
            )
        if self._snapshot is None or self._snapshot.version != head["version"]:
            self._snapshot = _build(head, await self._database.all(_RULES))
            log.info("policy in force", version=head["version"])
        self._seen = monotonic()

    async def _watch(self) -> None:
        while True:
            await asyncio.sleep(POLL)
            try:
                await self.refresh()
            except (DomainError, ValueError) as error:
                log.error("policy not refreshed", error=type(error).__name__)


def _build(head: Any, rows: Sequence[Any]) -> PolicySnapshot:
    rules = [rule_of(row) for row in rows]
    if checksum(rules) != head["checksum"]:
        raise Unavailable("the stored policy is not what was published", code="policy-tampered")
    return PolicySnapshot.build(head["version"], rules)
