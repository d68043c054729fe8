"""What no set of rules may take away: that an administrator reads the rules, drafts others and puts them in force."""

from typing import Final
from uuid import UUID

from core.errors import Invalid
from policies.enforcer import PolicySnapshot
from policies.facts import Environment, Resource, Subject
from policies.vocabulary import Action, Purpose, ResourceType, Role

_ADMIN: Final = Subject(UUID(int=1), frozenset({Role.ADMIN}))
_OWN: Final = Resource(ResourceType.POLICY, UUID(int=3), author_id=UUID(int=1), status="draft")
_OTHERS: Final = Resource(ResourceType.POLICY, UUID(int=3), author_id=UUID(int=2), status="draft")
_NEEDED: Final = (
    (Action.READ, _OTHERS),
    (Action.CREATE, _OWN),
    (Action.UPDATE, _OWN),
    (Action.PUBLISH, _OTHERS),
)


class Lockout(Invalid):
    """With these rules nobody could ever change the rules again."""

    code = "policy-lockout"


def keep_open(snapshot: PolicySnapshot) -> None:
    """Raise Lockout unless an administrator, for whatever purpose, can still change the rules."""
    for action, resource in _NEEDED:
        for purpose in Purpose:
            decision = snapshot.decide(_ADMIN, action, resource, Environment(purpose))
            if not decision.allowed:
                raise Lockout(f"an administrator must be able to {action} policies", action=action)
