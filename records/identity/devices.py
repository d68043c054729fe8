"""Devices that somebody logs in elsewhere (RFC 8628): the device polls with its code, the person types theirs."""

import secrets
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Final
from uuid import UUID

from sqlalchemy import ColumnElement, delete, select, update
from sqlalchemy.ext.asyncio import AsyncSession

from core.clock import now
from records.base import add, table_of
from records.identity.models import OAuthDevice
from records.identity.sessions import affected, hashed

LIFE: Final = timedelta(minutes=10)
INTERVAL: Final = 5
"""Seconds between two questions of a device at least."""
LETTERS: Final = "BCDFGHJKLMNPQRSTVWXZ"
"""No vowels, so no words; 20^8 codes, of which a person tries ten a minute."""

_device = table_of(OAuthDevice).c


@dataclass(frozen=True, slots=True)
class Codes:
    """What the device keeps, and what it shows."""

    device: str
    user: str


async def begin(session: AsyncSession, client_id: str, scope: str) -> Codes:
    """Let a device wait."""
    letters = [secrets.choice(LETTERS) for _ in range(8)]
    codes = Codes(secrets.token_urlsafe(32), "".join([*letters[:4], "-", *letters[4:]]))
    await session.execute(delete(OAuthDevice).where(_device.expires_at < now()))
    row = OAuthDevice(
        device_hash=hashed(codes.device),
        user_hash=_typed(codes.user),
        client_id=client_id,
        scope=scope,
        expires_at=now() + LIFE,
    )
    await add(session, row)
    return codes


async def waiting(session: AsyncSession, user_code: str) -> OAuthDevice | None:
    """Return the device that shows a code and waits for a decision."""
    shown = select(OAuthDevice).where(*_undecided(user_code))
    found: OAuthDevice | None = (await session.execute(shown)).scalar()
    return found


async def decide(
    session: AsyncSession,
    user_code: str,
    account_id: UUID,
    *,
    allowed: bool,
    auth_time: datetime,
    amr: Sequence[str],
) -> bool:
    """Let the device in, or not; tell whether it was still waiting."""
    deciding = (
        update(OAuthDevice)
        .where(*_undecided(user_code))
        .values(account_id=account_id, allowed=allowed, auth_time=auth_time, amr=list(amr))
    )
    return bool(await affected(session, deciding))


async def asking(session: AsyncSession, device_code: str) -> OAuthDevice | None:
    """Return the device of a code, locked; None when there is none, or it has its tokens."""
    found = await session.get(OAuthDevice, hashed(device_code), with_for_update=True)
    return found if found and found.used_at is None else None


def too_soon(device: OAuthDevice) -> bool:
    """Tell whether a device asks more often than it was told; note that it asked."""
    last, device.polled_at = device.polled_at, now()
    return last is not None and (device.polled_at - last).total_seconds() < INTERVAL - 1


def _undecided(user_code: str) -> tuple[ColumnElement[bool], ...]:
    its = _device.user_hash == _typed(user_code)
    return its, _device.allowed.is_(None), _device.expires_at > now()


def _typed(user_code: str) -> bytes:
    return hashed("".join(sign for sign in user_code.upper() if sign in LETTERS))
