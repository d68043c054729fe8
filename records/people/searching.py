"""Finding patients by what is sealed: tokens give candidates, and what they were opened to is compared again.

The policy stands in the WHERE, before the limit: whom the caller may not see is no candidate, so that a search that hits
a hidden patient does what a search that hits nobody does. How long it takes does not tell either: each waits for a while that is left to chance.
"""

import asyncio
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from datetime import date
from functools import cache
from random import SystemRandom
from typing import Any, Final
from uuid import UUID

from sqlalchemy import (
    ColumnElement,
    Integer,
    LargeBinary,
    Select,
    Text,
    and_,
    bindparam,
    or_,
    select,
)

from core.crypto.blind_index import normal_code, normal_text
from core.errors import FieldError, Invalid
from policies.vocabulary import ResourceType
from records.access.listing import BEFORE, Listing, cut, page
from records.access.me import Me
from records.base import Searchable, table_of
from records.clinic import Clinic
from records.people.contact import (
    comparable_email,
    comparable_phone,
    emails_of,
    given_names,
    names_of,
    phones_of,
    sound,
)
from records.people.finding import (
    BORN,
    EMAIL,
    FAMILY,
    PHONE,
    SEARCHABLE,
    SOUND,
    family_born,
    sound_born,
)
from records.people.models import Identifier, Patient, PatientToken
from records.people.reading import OpenPatient, disclosed, everybody, facts_of, resource_of, visible

CANDIDATES: Final = 64
"""Patients fetched and compared at once, however many a token fits."""
PAUSE: Final = 0.01
"""Seconds that a search waits at most. PostgreSQL is longer, by some 30 µs, over a patient whom it then leaves out than over nobody:
to tell that from this takes, by reckoning, some 150,000 searches, and `CONFIDE_SEARCH_LIMIT` lets an account make 30 a minute."""
_CHANCE: Final = SystemRandom()

_patient, _token = table_of(Patient).c, table_of(PatientToken).c
_identifier = table_of(Identifier).c


@dataclass(frozen=True, slots=True, repr=False)
class Wanted:
    """What a patient is searched by; everything that is given must fit. `sounds_like` compares family names by sound."""

    identifier: str | None = None
    system: str | None = None
    family: str | None = None
    given: str | None = None
    birth_date: date | None = None
    phone: str | None = None
    email: str | None = None
    sounds_like: bool = False


async def search_patients(
    clinic: Clinic, me: Me, wanted: Wanted, *, limit: int, after: UUID | None = None
) -> tuple[Sequence[OpenPatient], UUID | None]:
    """Return the patients who fit, among those the caller may see, and where the next page starts.

    A page may be short, or even empty, and yet have a next one: then all candidates so far only looked alike to
    the index. Raises Invalid(`search-too-broad`) for what no index is for.
    """
    first, last = cut(await _candidates(clinic, me, wanted, after), CANDIDATES)
    fits = await _fitting(clinic, me, wanted, first)
    shown = await disclosed(clinic, me, await _survivors(clinic, me, fits[:limit])) if fits else []
    await asyncio.sleep(_CHANCE.uniform(0, PAUSE))
    return shown, fits[limit - 1]["resource_id"] if len(fits) > limit else last


def matches(values: Mapping[str, Any], wanted: Wanted) -> bool:
    """Tell whether an opened patient is one who is wanted; identifiers are left to their own, unique index."""
    return (
        any(_named(name, wanted) for name in names_of(values))
        and (wanted.birth_date is None or _born(values["birth_date"], wanted))
        and (wanted.phone is None or comparable_phone(wanted.phone) in phones_of(values))
        and (wanted.email is None or comparable_email(wanted.email) in emails_of(values))
    )


async def _candidates(
    clinic: Clinic, me: Me, wanted: Wanted, after: UUID | None
) -> Sequence[Mapping[str, Any]]:
    """Search by the root keys that are known, and once more if there is a newer one: tokens may have gone over to it meanwhile."""
    rows: Sequence[Mapping[str, Any]] = ()
    searched, span = None, page(me, CANDIDATES, after)
    while searched != clinic.indexes.version:
        searched = clinic.indexes.version
        by, given = _narrowing(clinic, wanted)
        query = clinic.gate.listed(me, _listing(by, len(clinic.indexes.living)), span["limit"])
        rows = await clinic.database.all(query, **given, **span)
        await clinic.indexes.look(clinic.database)
    return rows


async def _fitting(
    clinic: Clinic, me: Me, wanted: Wanted, rows: Sequence[Mapping[str, Any]]
) -> Sequence[Mapping[str, Any]]:
    reason = "by " + " ".join(name for name in Wanted.__slots__ if getattr(wanted, name))
    found = map(resource_of, rows)
    permits = await clinic.gate.screen(me, ResourceType.PATIENT, found, reason)
    return [
        row
        for row in rows
        if (permit := permits.get(row["resource_id"]))
        and matches(await clinic.reveal(me, permit, Patient, row), wanted)
    ]


async def _survivors(
    clinic: Clinic, me: Me, fits: Sequence[Mapping[str, Any]]
) -> Sequence[Mapping[str, Any]]:
    """Return, for those who were joined to another patient, that one; each once."""
    kept = {row["resource_id"]: row for row in fits if not row["replaced_by"]}
    missing = {row["replaced_by"] for row in fits} - {None, *kept}
    if not missing:
        return list(kept.values())
    others = await visible(clinic, me, everybody().where(_patient.id.in_(missing)))
    return [*kept.values(), *others]


def _narrowing(clinic: Clinic, wanted: Wanted) -> tuple[frozenset[str], Mapping[str, Any]]:
    """Return by what a search is narrowed, and with which parameters: a token of each under each living root key."""
    asked = list(_asked(wanted))
    for _, parts in asked:
        _refuse_nothing(parts)
    versions = enumerate(clinic.indexes.living)
    tokens = {index.name: clinic.indexes.asked(Patient, index.name, p) for index, p in asked}
    if wanted.identifier is not None:
        _refuse_nothing((normal_code(wanted.identifier),))
        tokens["identifier"] = clinic.indexes.identifiers(wanted.identifier)
    if wanted.given is not None:
        _refuse_nothing(tuple(given_names({"given": wanted.given})) or ("",))
    if not tokens or (wanted.sounds_like and not (wanted.family and wanted.birth_date)):
        raise Invalid(
            "search by identifier, phone, e-mail or family name; by sound with a birth date",
            code="search-too-broad",
        )
    given: dict[str, Any] = {f"version_{n}": version for n, version in versions}
    given |= {f"{by}_{n}": token for by, each in tokens.items() for n, token in enumerate(each)}
    if wanted.identifier is None or not wanted.system:
        return frozenset(tokens), given
    return frozenset({*tokens, "system"}), given | {"system": wanted.system}


@cache
def _listing(by: frozenset[str], keys: int) -> Listing:
    """Return the listing of who has a token of each of these, under one of so many root keys: compiled once a shape."""
    narrow = [_holders(index.name, keys) for index in SEARCHABLE if index.name in by]
    if "identifier" in by:
        tokens = (_identifier.token == _token_of("identifier", n) for n in range(keys))
        having = select(_identifier.patient_id).where(or_(*tokens), _identifier.active)
        if "system" in by:
            having = having.where(_identifier.system == bindparam("system", type_=Text()))
        narrow.append(having)
    found = everybody().where(_patient.id < BEFORE, *(_patient.id.in_(each) for each in narrow))
    return Listing(ResourceType.PATIENT, found.order_by(_patient.id.desc()), facts_of)


def _holders(index: str, keys: int) -> Select[Any]:
    """Select who has the token that is asked for in an index, under one of the root keys."""
    under = (
        and_(
            _token.key_version == bindparam(f"version_{n}", type_=Integer()),
            _token.token == _token_of(index, n),
        )
        for n in range(keys)
    )
    return select(_token.patient_id).where(_token.index == index, or_(*under))


def _token_of(index: str, n: int) -> ColumnElement[bytes]:
    return bindparam(f"{index}_{n}", type_=LargeBinary())


def _asked(wanted: Wanted) -> Iterator[tuple[Searchable, tuple[str, ...]]]:
    """Yield the indexes to ask: of those of the family name, the one that tells most."""
    match wanted.family, wanted.birth_date, wanted.sounds_like:
        case str(family), date() as born, True:
            yield SOUND, sound_born(family, born)
        case str(family), date() as born, False:
            yield BORN, family_born(family, born)
        case str(family), None, _:
            yield FAMILY, (normal_text(family),)
    if wanted.phone is not None:
        yield PHONE, (comparable_phone(wanted.phone),)
    if wanted.email is not None:
        yield EMAIL, (comparable_email(wanted.email),)


def _refuse_nothing(parts: tuple[str, ...]) -> None:
    if not all(parts):
        raise Invalid(errors=[FieldError("", "nothing", "of this nothing is left to search for")])


def _named(name: Mapping[str, Any], wanted: Wanted) -> bool:
    alike = sound if wanted.sounds_like else normal_text
    if wanted.family is not None and alike(name["family"]) != alike(wanted.family):
        return False
    asked = given_names({"given": wanted.given}) if wanted.given else []
    return given_names(name)[: len(asked)] == asked


def _born(born: date, wanted: Wanted) -> bool:
    assert wanted.birth_date is not None
    return born.year == wanted.birth_date.year if wanted.sounds_like else born == wanted.birth_date
