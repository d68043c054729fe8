"""What `confide policies …` does: what readers of the rules do over HTTP, as the command line's own account, on the trail."""

import asyncio
import sys
from collections.abc import Mapping, Sequence
from typing import Any, Final
from uuid import UUID

from api.commands.acting import at_work
from api.commands.telling import print_json, print_rows
from core.settings import Settings
from policies.vocabulary import Action, Purpose, ResourceType
from records.governance import explaining
from records.governance import versions as known
from records.governance.explaining import Answer, Question

REFUSED: Final = 3
"""The exit code of a question whose answer is no: 1 is a command that failed, 2 one that was not understood."""
PAGE: Final = 200
_RULE: Final = ("id", "tier", "subject", "resource", "action", "effect", "condition", "note")
_VERSION: Final = ("version", "published_at", "rule_count", "publisher_id", "restored", "reason")


def show(chosen: Settings, version: int | None, *, as_json: bool) -> None:
    """Print the rules of a version; NotFound if there is none."""

    async def found() -> Mapping[str, Any]:
        async with at_work(chosen, "policies show") as (clinic, me):
            if version is None:
                return await known.rules_in_force(clinic, me)
            return await known.read_version(clinic, me, version)

    told = asyncio.run(found())
    rules = [{name: getattr(rule, name) for name in _RULE} for rule in told["rules"]]
    if as_json:
        print_json({**told, "rules": rules})
        return
    sys.stdout.write(
        f"version {told['version']}, {told['published_at']:%Y-%m-%d}: {told['reason']}\n"
    )
    print_rows(rules, _RULE[:-2], as_json=False)


def versions(chosen: Settings, *, as_json: bool) -> None:
    """Print the heads of all versions."""

    async def found() -> list[Mapping[str, Any]]:
        rows: list[Mapping[str, Any]] = []
        async with at_work(chosen, "policies versions") as (clinic, me):
            before, more = None, True
            while more:
                page, before = await known.list_versions(clinic, me, limit=PAGE, before=before)
                rows += page
                more = before is not None
        return rows

    print_rows(asyncio.run(found()), _VERSION, as_json=as_json)


def check(
    chosen: Settings,
    account: UUID,
    action: Action,
    kind: ResourceType,
    thing: UUID | None,
    purpose: Purpose | None,
    *,
    as_json: bool,
) -> bool:
    """Print a decision and tell whether it allows; NotFound if there is no such account."""

    async def decided() -> Answer:
        async with at_work(chosen, "policies check") as (clinic, me):
            question = Question(account, action, kind, thing, purpose)
            return await explaining.check(clinic, me, question)

    decision = asyncio.run(decided()).explanation.decision
    told = {
        "decision": decision.outcome,
        "allowed": decision.allowed,
        "rule_id": decision.rule_id,
        "version": decision.version,
    }
    if as_json:
        print_json(told)
    else:
        rule = decision.rule_id or "no rule allows it"
        sys.stdout.write(f"{decision.outcome}: {rule} (version {decision.version})\n")
    return decision.allowed


def who_can(
    chosen: Settings,
    action: Action,
    kind: ResourceType,
    thing: UUID,
    purpose: Purpose | None,
    *,
    as_json: bool,
) -> None:
    """Print the accounts that may."""

    async def found() -> Sequence[Mapping[str, Any]]:
        async with at_work(chosen, "policies who-can") as (clinic, me):
            question = Question(me.subject.id, action, kind, thing, purpose)
            return await explaining.who_can(clinic, me, question)

    print_rows(asyncio.run(found()), ("account_id", "roles", "rule"), as_json=as_json)
