"""What the trail is told of a decision: who asked for what, of whom, why, and by which rule."""

from collections.abc import Sequence

from policies.enforcer import Decision
from policies.facts import Resource
from policies.vocabulary import Action, Outcome
from records.access.me import Me
from records.audit.event import Event, Failure


def event_of(
    me: Me,
    action: Action,
    resources: Sequence[Resource],
    decision: Decision,
    outcome: Outcome | Failure = Outcome.ALLOW,
    reason: str | None = None,
) -> Event:
    """Return the event of one act on rows of one patient."""
    return Event(
        actor=me.subject.id,
        roles=tuple(me.subject.roles),
        session=me.session,
        origin=me.origin,
        action=action,
        outcome=outcome,
        reason=reason,
        purpose=me.environment.purpose,
        patient=resources[0].patient_id,
        resource_type=resources[0].type,
        resource_ids=tuple(dict.fromkeys(r.id for r in resources if r.id)),
        rule=decision.rule_id,
        policy_version=decision.version,
        break_glass=decision.emergency,
    )
