"""Which passwords are too easy: short ones, and common ones with a year or an exclamation mark around them."""

from functools import cache
from importlib.resources import files
from string import digits, punctuation, whitespace
from typing import Final

from core.errors import FieldError, Invalid
from records.identity.passwords import LONGEST

SHORTEST: Final = 12
"""Characters of a password at least (NIST SP 800-63B asks for 8 beside a second factor, and for 15 alone)."""
FEWEST: Final = 5
"""Different characters at least."""

_AROUND: Final = digits + punctuation + whitespace
_FAULTS: Final = {
    "too-short": f"a password has {SHORTEST} characters or more",
    "too-long": f"a password has {LONGEST} characters at most",
    "too-common": "this password is among those that are tried first",
}


def require_strong(password: str, pointer: str, username: str = "") -> None:
    """Raise Invalid, pointing at the field, for a password that guessing would find."""
    fault = _fault(password, username)
    if fault:
        raise Invalid(errors=[FieldError(pointer, fault, _FAULTS[fault])])


def _fault(password: str, username: str) -> str | None:
    if len(password) < SHORTEST:
        return "too-short"
    if len(password) > LONGEST:
        return "too-long"
    core = _core(password)
    half = core[: len(core) // 2]
    common = core in _common() or (half * 2 == core and half in _common())
    if common or len(core) < FEWEST or len(set(core)) < FEWEST or core == _core(username):
        return "too-common"
    return None


def _core(text: str) -> str:
    """Return the letters and what is between them: `Password2026!` is `password`."""
    return text.casefold().strip(_AROUND)


@cache
def _common() -> frozenset[str]:
    lines = (files("records.identity") / "common_passwords.txt").read_text().splitlines()
    return frozenset(line for line in lines if not line.startswith("#"))
