"""A place in a JSON document: its value, and the JSON Pointer that names the place without showing the value.

What is not as it must be raises Broken with the pointer and a rule. Neither ever holds anything of the document but
the names of FHIR's own elements.
"""

import re
from collections.abc import Collection, Sequence
from dataclasses import dataclass
from datetime import UTC, date, datetime
from typing import Any, Final

from core.canonical import EXACT

_ELEMENT: Final = re.compile(r"[A-Za-z_][A-Za-z0-9]{0,63}")
_CODE: Final = re.compile(r"[!-~]{1,64}")
_URI: Final = re.compile(r"[A-Za-z][A-Za-z0-9+.-]*:[!-~]{1,180}")
_DATE: Final = re.compile(r"[0-9]{4}-[0-9]{2}-[0-9]{2}")
_TIME: Final = r"T[0-9]{2}:[0-9]{2}:[0-9]{2}(\.[0-9]+)?(Z|[+-][0-9]{2}:[0-9]{2})"
_MOMENT: Final = re.compile(rf"[0-9]{{4}}(-[0-9]{{2}}(-[0-9]{{2}}({_TIME})?)?)?")
_INSTANT: Final = re.compile(rf"[0-9]{{4}}-[0-9]{{2}}-[0-9]{{2}}{_TIME}")
_CONTROL: Final = re.compile(r"[\x00-\x08\x0b\x0c\x0e-\x1f]")


class Broken(Exception):
    """A rule is broken: `pointer` (RFC 6901, from the bundle's root) says where, `rule` which."""

    def __init__(self, pointer: str, rule: str) -> None:
        super().__init__(f"{pointer or '/'}: {rule}")
        self.pointer = pointer
        self.rule = rule


@dataclass(frozen=True, slots=True, repr=False)
class Node:
    """One value of a document. Every accessor but `get` and `each` raises Broken for what is not there."""

    value: Any
    pointer: str = ""

    def __repr__(self) -> str:
        return f"<node {self.pointer}>"

    def get(self, key: str) -> "Node | None":
        """Return a member, if there is one."""
        if not isinstance(self.value, dict):
            raise self.broken("object")
        return Node(self.value[key], f"{self.pointer}/{key}") if key in self.value else None

    def need(self, key: str) -> "Node":
        """Return a member that must be there."""
        found = self.get(key)
        if found is None or found.value in (None, "", [], {}):
            raise Broken(f"{self.pointer}/{key}", "required")
        return found

    def each(self, key: str) -> Sequence["Node"]:
        """Return the items of an array member; none if there is no such member."""
        array = self.get(key)
        if array is None:
            return ()
        if not isinstance(array.value, list):
            raise array.broken("array")
        return [Node(item, f"{array.pointer}/{i}") for i, item in enumerate(array.value)]

    def first(self, key: str) -> "Node | None":
        """Return the first item of an array member, if there is one."""
        return next(iter(self.each(key)), None)

    def text(self, longest: int = 4000) -> str:
        """Return a string with something in it."""
        if not isinstance(self.value, str) or not self.value.strip() or _CONTROL.search(self.value):
            raise self.broken("string")
        if len(self.value) > longest:
            raise self.broken("too-long")
        return self.value.strip()

    def optional(self, key: str, longest: int = 4000) -> str | None:
        """Return a member's text, if there is such a member."""
        found = self.get(key)
        return found.text(longest) if found else None

    def code(self) -> str:
        """Return a code: up to 64 characters without blanks."""
        return self._matching(_CODE, "code")

    def uri(self) -> str:
        """Return an absolute URI."""
        return self._matching(_URI, "uri")

    def one_of(self, allowed: Collection[str]) -> str:
        """Return a code of a closed set."""
        if not isinstance(self.value, str) or self.value not in allowed:
            raise self.broken("code")
        return self.value

    def number(self) -> float | int:
        """Return a number that canonical JSON can hold."""
        if isinstance(self.value, bool) or not isinstance(self.value, int | float):
            raise self.broken("number")
        return float(self.value) if abs(self.value) >= EXACT else self.value

    def truth(self) -> bool:
        """Return true or false."""
        if not isinstance(self.value, bool):
            raise self.broken("boolean")
        return self.value

    def day(self) -> date:
        """Return a whole date."""
        try:
            return date.fromisoformat(self._matching(_DATE, "date"))
        except ValueError:
            raise self.broken("date") from None

    def instant(self) -> datetime:
        """Return a time with its offset, in UTC."""
        try:
            at = datetime.fromisoformat(self._matching(_INSTANT, "instant"))
            return at.astimezone(UTC)
        except (ValueError, OverflowError):
            raise self.broken("instant") from None

    def moment(self) -> str:
        """Return a FHIR dateTime as it is written: a year, a month, a day or an instant."""
        return self._matching(_MOMENT, "date")

    def broken(self, rule: str) -> Broken:
        """Return what to raise when this value breaks a rule."""
        return Broken(self.pointer, rule)

    def _matching(self, pattern: re.Pattern[str], rule: str) -> str:
        if not isinstance(self.value, str) or not pattern.fullmatch(self.value):
            raise self.broken(rule)
        return self.value


def step(key: str | int) -> str:
    """Return one step of a pointer; a key that is no FHIR element's name is not repeated."""
    return f"/{key}" if isinstance(key, int) or _ELEMENT.fullmatch(key) else "/*"
