"""What the trail keeps of the life of a session, in the transaction that changes it."""

from api.oauth.request import Setting, wait
from policies.vocabulary import Outcome, Purpose, ResourceType
from records.audit.event import Act, Event
from records.identity.models import OAuthSession


def replayed(setting: Setting, family: OAuthSession, reason: str) -> None:
    """Note that a used code or refresh token was shown again. Who showed it is not known."""
    event = Event(
        actor=None,
        action=Act.TOKEN,
        outcome=Outcome.DENY,
        reason=reason,
        purpose=Purpose.OPERATIONS,
        resource_type=ResourceType.ACCOUNT,
        resource_ids=(family.account_id,),
        session=family.id,
        origin=setting.origin,
    )
    wait(setting.clinic.trail.note_within, setting.writing, event)


def began(setting: Setting, family: OAuthSession) -> None:
    """Note that a client got a token for itself."""
    _own(setting, family, Act.TOKEN)


def logged_out(setting: Setting, family: OAuthSession) -> None:
    """Note that a session was ended by its client."""
    _own(setting, family, Act.LOGOUT)


async def note_logout(setting: Setting, family: OAuthSession) -> None:
    """Note that a session was ended by its owner."""
    await setting.clinic.trail.note_within(setting.writing, _event(setting, family, Act.LOGOUT))


def _own(setting: Setting, family: OAuthSession, act: Act) -> None:
    wait(setting.clinic.trail.note_within, setting.writing, _event(setting, family, act))


def _event(setting: Setting, family: OAuthSession, act: Act) -> Event:
    return Event(
        actor=family.account_id,
        action=act,
        outcome=Outcome.ALLOW,
        purpose=Purpose.OPERATIONS,
        resource_type=ResourceType.ACCOUNT,
        resource_ids=(family.account_id,),
        session=family.id,
        origin=setting.origin,
    )
