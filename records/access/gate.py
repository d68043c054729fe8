"""The gate: the one place that decides, and the only source of Permits.

Each way through it asks the policy, puts the outcome on the trail, and only then returns a Permit; the vault opens PHI
only against one. So "decrypted but not allowed" and "allowed but not noted" have no code path.
A refusal is on disk too before it is answered. What one may not see answers like what does not exist.
"""

from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import replace
from typing import Any, Final, Never
from uuid import UUID

from sqlalchemy import Select, Table

from core.database import Query, Store
from core.errors import Forbidden, NotFound
from policies.enforcer import Decision
from policies.facts import Resource
from policies.issue import issue
from policies.permit import Permit
from policies.scopes import Reach
from policies.vocabulary import Action, Outcome, ResourceType
from records.access.events import event_of
from records.access.listing import USUAL, Listing, compiled, shown
from records.access.me import Me
from records.access.policy import Policy
from records.anchors import anchor
from records.audit.event import Event, Failure
from records.audit.trail import Trail
from records.base import Executor

HIDDEN: Final = "there is no such thing, or it is not for you"
OUT_OF_SCOPE: Final = "token-scope"
"""What stands on the trail in the place of a rule, where the token's scope refused what the policy allows."""
CREATING: Final = frozenset({Action.CREATE, Action.BOOK, Action.IMPORT})


class Gate:
    """Decisions of one process: the policy in force, and the trail they are kept on."""

    def __init__(self, policy: Policy, trail: Trail) -> None:
        self._policy = policy
        self._trail = trail

    async def read(
        self, me: Me, action: Action, resource: Resource, reason: str | None = None
    ) -> Permit:
        """Let one thing be read: decide, wait until the event is durable, return the Permit. `reason`: see `write`."""
        decision = await self.require(me, action, resource)
        event = event_of(me, action, [resource], decision, reason=reason)
        await self._trail.note(event)
        return _permit(me, action, [resource], decision, event)

    async def require(
        self, me: Me, action: Action, resource: Resource, within: Resource | None = None
    ) -> Decision:
        """Refuse, on the trail, what may not be; for a check that shows nothing itself. `within`: see `write`."""
        decision = self._decide(me, action, resource)
        if not decision.allowed:
            await self._refuse(me, action, resource, decision, within)
        return decision

    def may(self, me: Me, action: Action, resource: Resource) -> bool:
        """Tell whether the policy would allow this: for a choice inside an act that is decided and noted itself."""
        return self._decide(me, action, resource).allowed

    async def misclaimed(self, me: Me) -> Never:
        """Refuse, on the trail, a purpose of use that no role of the caller may claim."""
        nothing = Decision(allowed=False, rule_id=None, version=self._policy.snapshot.version)
        own = Resource(ResourceType.ACCOUNT, id=me.subject.id)
        await self._trail.note(event_of(me, Action.READ, [own], nothing, Outcome.DENY, "purpose"))
        raise Forbidden("no role of yours may claim this purpose", code="purpose-not-yours")

    async def absent(self, me: Me, action: Action, kind: ResourceType, row_id: UUID) -> Never:
        """Refuse what does not exist, at the cost and with the answer of what may not be seen."""
        nothing = Decision(allowed=False, rule_id=None, version=self._policy.snapshot.version)
        absent = Resource(kind, id=row_id)
        await self._trail.note(event_of(me, action, [absent], nothing, Outcome.DENY, "absent"))
        raise NotFound(HIDDEN)

    async def disclose(
        self, me: Me, kind: ResourceType, found: Iterable[Resource]
    ) -> Mapping[UUID, Permit]:
        """Let the rows of a list be read: one decision a row, one event a patient; Permits by row id.

        A row that the policy does not allow has no Permit. Nothing found is an event as well.
        """
        groups: dict[tuple[UUID | None, UUID | None, str | None], list[Resource]] = {}
        decisions: dict[str | None, Decision] = {}
        for resource in found:
            decision = self._decide(me, Action.READ, resource)
            if decision.allowed:
                decisions[decision.rule_id] = decision
                whose = resource.patient_id, resource.chart_id, decision.rule_id
                groups.setdefault(whose, []).append(resource)
        if not groups:
            empty = Resource(kind)
            await self._trail.note(event_of(me, Action.SEARCH, [empty], self._nothing()))
            return {}
        noted = [
            (rows, decisions[rule], event_of(me, Action.SEARCH, rows, decisions[rule]))
            for (_, _, rule), rows in groups.items()
        ]
        await self._trail.note(*(event for _, _, event in noted))
        return {
            row.id: permit
            for rows, decision, event in noted
            for permit in [_permit(me, Action.SEARCH, rows, decision, event)]
            for row in rows
            if row.id
        }

    async def screen(
        self, me: Me, kind: ResourceType, found: Iterable[Resource], reason: str
    ) -> Mapping[UUID, Permit]:
        """Let rows be compared with what is searched for, unseen: one event, of no patient, names them all.

        Whatever matches has still to be disclosed.
        """
        decided = [(row, self._decide(me, Action.READ, row)) for row in found]
        named = [Resource(kind, id=row.id) for row, decision in decided if decision.allowed]
        event = event_of(
            me, Action.SEARCH, named or [Resource(kind)], self._nothing(), reason=reason
        )
        await self._trail.note(event)
        return {
            row.id: _permit(me, Action.SEARCH, [row], decision, event)
            for row, decision in decided
            if decision.allowed and row.id
        }

    async def write(
        self,
        session: Executor,
        me: Me,
        action: Action,
        *resources: Resource,
        within: Resource | None = None,
        reason: str | None = None,
    ) -> Permit:
        """Let rows of one patient be written; the event commits, or rolls back, with the transaction.

        `within` is what a new row hangs on: if the caller may not see that, the answer is NotFound. `reason` tells apart, on
        the trail, what the policy decides as one action.
        """
        for resource in resources:
            decision = await self.require(me, action, resource, within)
        event = event_of(me, action, resources, decision, reason=reason)
        await self._trail.note_within(session, event)
        return _permit(me, action, resources, decision, event)

    async def make(
        self,
        store: Store,
        me: Me,
        action: Action,
        resource: Resource,
        making: Query,
        table: Table,
        values: Callable[[Permit], Mapping[str, Any]],
    ) -> Any | None:
        """Let one statement write a row of a table, and its event (`trail.noting`); return what it returns, None for no row."""
        decision = await self.require(me, action, resource)
        event = event_of(me, action, [resource], decision)
        permit = _permit(me, action, [resource], decision, event)
        given = values(permit)
        event = replace(event, rows=(anchor(table, given),))
        return await self._trail.note_by(store, event, making, **given)

    async def failed(self, me: Me, permit: Permit, reason: str) -> None:
        """Note that what was allowed could not be done: a cell that does not open, above all."""
        resources = [
            Resource(permit.resource_type, id=i, patient_id=permit.patient_id)
            for i in permit.row_ids
        ]
        decision = Decision(True, permit.rule_id, permit.policy_version)
        event = event_of(me, permit.action, resources, decision, Failure.ERROR, reason)
        await self._trail.note(event)

    def listed(self, me: Me, listing: Listing, limit: int | None = None) -> Query:
        """Return the query of the first, `limit` of them, of what single reads would allow of a listing."""
        reach = _reach(me, listing.kind)
        who = self._policy.snapshot, me.subject, me.environment
        return compiled(*who, reach, listing, usual=limit == USUAL)

    def shown(self, me: Me, listing: Listing, limit: int | None = None) -> Select[Any]:
        """Return what `listed` does as a SELECT, for a listing of this one request."""
        reach = _reach(me, listing.kind)
        who = self._policy.snapshot, me.subject, me.environment
        return shown(*who, reach, listing, limit)

    def _decide(self, me: Me, action: Action, resource: Resource) -> Decision:
        """Ask the policy; what it allows, the token must be good for as well."""
        decision = self._policy.snapshot.decide(me.subject, action, resource, me.environment)
        if decision.allowed and me.scope and not me.scope.allows(me.subject, action, resource):
            return Decision(allowed=False, rule_id=OUT_OF_SCOPE, version=decision.version)
        return decision

    def _nothing(self) -> Decision:
        return Decision(True, None, self._policy.snapshot.version)

    async def _refuse(
        self,
        me: Me,
        action: Action,
        resource: Resource,
        decision: Decision,
        within: Resource | None = None,
    ) -> Never:
        await self._trail.note(event_of(me, action, [resource], decision, Outcome.DENY))
        if self._may_know(me, action, resource, within):
            if decision.rule_id == OUT_OF_SCOPE:
                raise Forbidden("the token is not for this", code="insufficient-scope")
            raise Forbidden("the policy in force does not allow this")
        raise NotFound(HIDDEN)

    def _may_know(
        self, me: Me, action: Action, resource: Resource, within: Resource | None
    ) -> bool:
        """Tell whether the caller may learn that the thing exists."""
        shown = within or resource
        if shown.patient_id is None or (within is None and action in CREATING):
            return True
        if within is None and action is Action.READ:
            return False
        return self._decide(me, Action.READ, shown).allowed


def _reach(me: Me, kind: ResourceType) -> Reach:
    """Return how far the caller's token reaches for reads."""
    return me.scope.reach(Action.READ, kind) if me.scope else Reach.ALL


def _permit(
    me: Me, action: Action, resources: Sequence[Resource], decision: Decision, event: Event
) -> Permit:
    return issue(
        subject_id=me.subject.id,
        action=action,
        resource_type=resources[0].type,
        patient_id=resources[0].chart_id or resources[0].patient_id,
        row_ids=frozenset(r.id for r in resources if r.id),
        event_id=event.id,
        policy_version=decision.version,
        rule_id=decision.rule_id or "",
    )
