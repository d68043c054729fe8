"""The cap that a token's scope puts on an operation, before it is known which thing it is about."""

from collections.abc import Iterable

from core.errors import Forbidden
from policies.enforcer import Decision
from policies.facts import Resource
from policies.scopes import Need, Reach
from policies.vocabulary import Outcome
from records.access.events import event_of
from records.access.gate import OUT_OF_SCOPE
from records.access.me import Me
from records.clinic import Clinic


async def capped(clinic: Clinic, me: Me, needs: Iterable[Need]) -> None:
    """Refuse, on the trail, a token whose scope reaches nothing that the operation is for, and say which would."""
    needs = tuple(needs)
    for need in needs:
        for action in sorted(need.actions):
            if me.scope and me.scope.reach(action, need.kind) is Reach.NONE:
                version = clinic.policy.snapshot.version
                decision = Decision(allowed=False, rule_id=OUT_OF_SCOPE, version=version)
                event = event_of(me, action, [Resource(need.kind)], decision, Outcome.DENY)
                await clinic.trail.note(event)
                raise Forbidden(
                    "the token is not for this",
                    code="insufficient-scope",
                    scope=" ".join(map(str, needs)),
                )
