"""Passwords: Argon2id, at the cost the settings say, in threads of their own.

Each check takes memory and a core for some 30 ms, so that only a few run at once; the rest wait in line.
"""

import os
import unicodedata
from functools import cache
from typing import Final

from anyio import CapacityLimiter, to_thread
from pwdlib import PasswordHash
from pwdlib.exceptions import UnknownHashError
from pwdlib.hashers.argon2 import Argon2Hasher

from core.settings import settings

LONGEST: Final = 1024
"""Characters of a password at most."""


class Passwords:
    """Hashes and checks of one cost. The dummy is what unknown users are checked against."""

    def __init__(self, memory_kib: int, time: int) -> None:
        self._hash = PasswordHash(
            [Argon2Hasher(memory_cost=memory_kib, time_cost=time, parallelism=1)]
        )
        self._limiter = CapacityLimiter(max(1, os.cpu_count() or 1))
        self._dummy = self._hash.hash(os.urandom(16))

    async def hash(self, password: str) -> str:
        """Return what is stored of a password."""
        return await to_thread.run_sync(self._hash.hash, _normal(password), limiter=self._limiter)

    async def verify(self, password: str, stored: str | None) -> tuple[bool, str | None]:
        """Tell whether it is the password, and what to store instead if the cost has changed since.

        `None` is an unknown user's: as much work, and never right.
        """
        against = stored or self._dummy
        right, renewed = await to_thread.run_sync(
            self._check, _normal(password), against, limiter=self._limiter
        )
        return (right, renewed) if stored else (False, None)

    def _check(self, password: bytes, stored: str) -> tuple[bool, str | None]:
        try:
            return self._hash.verify_and_update(password, stored)
        except UnknownHashError:
            return False, None


@cache
def passwords() -> Passwords:
    """Return this process's passwords, at the cost of its settings."""
    return Passwords(settings().argon2_memory_kib, settings().argon2_time)


def _normal(password: str) -> bytes:
    """The same password, however a keyboard composes its accents (NIST SP 800-63B §3.1.1.2)."""
    return unicodedata.normalize("NFKC", password[: LONGEST + 1]).encode(errors="surrogatepass")
