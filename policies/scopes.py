"""SMART v2 scopes: what a token may be used for. A scope takes away from what its owner may do, and never adds.

`user/Record.rs`: at whose level, what kind of resource, which of create, read, update, delete, search, in that order.
`.read`, `.write` and `.*` are SMART v1 for `.rs`, `.cud` and `.cruds`. A scope narrowed by a query (`?…`) is read and
grants nothing: what cannot be enforced is not granted.
"""

import re
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from enum import StrEnum
from functools import lru_cache
from typing import Final

from policies.facts import Resource, Subject
from policies.vocabulary import Action, ResourceType

EVERY: Final = "cruds"
ANY: Final = "*"

_WORD: Final = re.compile(
    r"(patient|user|system)/(\*|[A-Z][A-Za-z]{0,63})"
    r"\.(?:(?=[cruds])(c?r?u?d?s?)|(read|write|\*))(?:\?([!-~]{1,200}))?"
)
_V1: Final = {"read": "rs", "write": "cud", ANY: EVERY}
_TYPES: Final[Mapping[str, ResourceType]] = {
    "Practitioner": ResourceType.DOCTOR,
    **{"".join(part.title() for part in kind.split("_")): kind for kind in ResourceType},
}
_NAMES: Final = {kind: name for name, kind in reversed(list(_TYPES.items()))}
_NEEDS: Final[Mapping[Action, str]] = {
    Action.READ: "r",
    Action.SEARCH: "s",
    Action.EXPORT: "rs",
    Action.CREATE: "c",
    Action.BOOK: "c",
    Action.ADDEND: "c",
    Action.IMPORT: "cu",
    Action.UPDATE: "u",
    Action.REVIEW: "u",
    Action.SIGN: "u",
    Action.COSIGN: "u",
    Action.AMEND: "u",
    Action.CANCEL: "u",
    Action.ATTEND: "u",
    Action.RETRACT: "u",
    Action.PUBLISH: "u",
    Action.DELETE: "d",
}


class Level(StrEnum):
    """On whose behalf: a person about themselves, a person as far as they may, a service."""

    PATIENT = "patient"
    USER = "user"
    SYSTEM = "system"


class Reach(StrEnum):
    """How far a scope goes for one action on one kind of resource."""

    ALL = "all"
    OWN = "own"
    NONE = "none"


@dataclass(frozen=True, slots=True)
class Grant:
    """One word of a scope."""

    level: Level
    type: str
    letters: str
    query: str = ""

    def __str__(self) -> str:
        return f"{self.level}/{self.type}.{self.letters}" + (f"?{self.query}" if self.query else "")

    def covers(self, other: "Grant") -> bool:
        """Tell whether whoever has this word may be given the other."""
        return (
            self.level is other.level
            and self.type in (ANY, other.type)
            and set(self.letters) >= set(other.letters)
            and self.query in ("", other.query)
        )


@dataclass(frozen=True, slots=True)
class Need:
    """What an operation does to one kind of resource."""

    actions: frozenset[Action]
    kind: ResourceType

    def __str__(self) -> str:
        """Return the word that is enough for it, and no more, on behalf of a user."""
        letters = {c for action in self.actions for c in _NEEDS.get(action, EVERY)}
        return str(Grant(Level.USER, _NAMES[self.kind], "".join(c for c in EVERY if c in letters)))


@dataclass(frozen=True, slots=True)
class Scope:
    """What one token may be used for."""

    grants: frozenset[Grant]

    def reach(self, action: Action, kind: ResourceType) -> Reach:
        """Return how far this goes; an action that has no letter needs all of them."""
        needed = set(_NEEDS.get(action, EVERY))
        fitting = [g for g in self.grants if not g.query and _names(g.type, kind)]
        wide = {c for g in fitting if g.level is not Level.PATIENT for c in g.letters}
        if needed <= wide:
            return Reach.ALL
        own = {c for g in fitting for c in g.letters}
        return Reach.OWN if needed <= own else Reach.NONE

    def allows(self, subject: Subject, action: Action, resource: Resource) -> bool:
        """Tell whether the token may be used for this; whether its owner may do it is the policy's question."""
        match self.reach(action, resource.type):
            case Reach.ALL:
                return True
            case Reach.OWN:
                return subject.patient_id is not None and subject.patient_id == resource.patient_id
            case _:
                return False


def parse(word: str) -> Grant | None:
    """Return what a word grants; None for a word that is no resource scope."""
    found = _WORD.fullmatch(word)
    if found is None:
        return None
    level, kind, letters, old, query = found.groups()
    return Grant(Level(level), kind, letters or _V1[old], query or "")


@lru_cache(maxsize=1024)
def read(text: str) -> Scope | None:
    """Return the resource scopes of a scope string; None where there is none."""
    grants = frozenset(filter(None, map(parse, text.split())))
    return Scope(grants) if grants else None


def granted(registered: str, asked: str, plain: Iterable[str], levels: Iterable[Level]) -> str:
    """Return the words asked for that a client may have: resource scopes by cover, other ones by name."""
    have = [grant for grant in map(parse, registered.split()) if grant]
    words = set(plain).intersection(registered.split())
    given = []
    for word in dict.fromkeys(asked.split()):
        grant = parse(word)
        if word in words or (
            grant
            and not grant.query
            and grant.level in levels
            and any(g.covers(grant) for g in have)
        ):
            given.append(word)
    return " ".join(given)


def _names(word: str, kind: ResourceType) -> bool:
    return word == ANY or _TYPES.get(word) is kind
