"""Passkeys on the pages of a login: what a page offers to a browser's script, and what comes back in its form."""

from collections.abc import Mapping
from dataclasses import dataclass
from uuid import UUID

from api.oauth.progress import digest
from api.oauth.request import Setting
from core.errors import Throttled
from records.identity import attempts, passkeys
from records.identity.accounts import welcome
from records.identity.challenges import challenge, spent
from records.identity.events import refused
from records.identity.passkeys import Proof, Site
from records.identity.sessions import hashed


@dataclass(frozen=True, slots=True)
class Offer:
    """What the script hands to the browser, and the challenge as the form carries it."""

    options: str
    challenge: str


def any_passkey(here: Setting, carried: Mapping[str, str]) -> Offer:
    """Offer a login by whatever passkey the browser has for us: it says whose it is."""
    asked = challenge(here.tokens, _purpose(carried))
    return Offer(passkeys.request(Site.of(here.tokens.issuer), asked.signed), asked.text)


async def passkey_of(here: Setting, carried: Mapping[str, str], account: UUID) -> Offer | None:
    """Offer the passkeys of an account as its second factor, if it has any."""
    known = await passkeys.credentials(here.clinic, account)
    if not known:
        return None
    asked = challenge(here.tokens, _purpose(carried))
    return Offer(passkeys.request(Site.of(here.tokens.issuer), asked.signed, known), asked.text)


async def proven(
    here: Setting, carried: Mapping[str, str], typed: Mapping[str, str], account: UUID | None = None
) -> Proof | None:
    """Return whose passkey answered this request's challenge; tries are counted, and one that fails is kept."""
    # Nobody guesses a signature: where no account is named yet, the network's tries alone are limited.
    counter = b"passkey" + (account.bytes if account else hashed(typed["passkey"]))
    try:
        await attempts.count(here.clinic.database, counter, here.origin.network)
    except Throttled:
        await here.clinic.trail.note(refused(None, here.origin, "throttled"))
        raise
    async with here.clinic.database.transaction() as session:
        asked = await spent(session, here.tokens, typed["challenge"], _purpose(carried))
        site = Site.of(here.tokens.issuer)
        proof = asked and await passkeys.prove(
            session, site, asked.signed, typed["passkey"], account
        )
    if not proof:
        aimed = await welcome(here.clinic, account) if account else None
        await here.clinic.trail.note(refused(aimed, here.origin, "passkey"))
        return None
    await attempts.forget(here.clinic.database, counter, here.origin.network)
    return proof


def _purpose(carried: Mapping[str, str]) -> str:
    return f"login {digest(carried)}"
