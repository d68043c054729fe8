"""Doctors of a bundle: each with a public profile, and an account that their records are written by."""

from collections.abc import Iterable, Iterator, Mapping, Sequence
from typing import Any, Final, TypeVar
from uuid import UUID

from sqlalchemy import or_, select

from policies.facts import Resource
from policies.vocabulary import Action, ResourceType, Role
from records.access.me import Me
from records.base import Executor, add, table_of
from records.clinic import Clinic
from records.fhir.found import FoundDoctor
from records.fhir.node import Broken
from records.fhir.tally import KnownDoctor, Tally
from records.identity.models import Account
from records.people.models import Doctor, DoctorSpecialty

Item = TypeVar("Item")

IN_ONE_EVENT: Final = 100
"""Ids that one audit event holds at most."""

_doctor, _account = table_of(Doctor).c, table_of(Account).c


def chunks(items: Sequence[Item]) -> Iterator[Sequence[Item]]:
    """Yield the items in pieces that one audit event can name."""
    return (items[i : i + IN_ONE_EVENT] for i in range(0, len(items), IN_ONE_EVENT))


async def keep_doctors(
    session: Executor,
    clinic: Clinic,
    me: Me,
    doctors: Iterable[FoundDoctor],
    password_hash: str,
    tally: Tally,
) -> Mapping[str, KnownDoctor]:
    """Return the bundle's doctors by identity, with those new to the clinic added."""
    found = {clinic.indexes.source(f"Practitioner|{d.identity}"): d for d in doctors}
    ids = await _known(session, found)
    new = {source: d for source, d in found.items() if source not in ids}
    for doctor in new.values():
        if doctor.elsewhere:
            raise Broken(doctor.elsewhere, "dangling-reference")
    rows = {source: _profile(source, d) for source, d in new.items()}
    await _write(session, clinic, me, ResourceType.DOCTOR, list(rows.values()))
    await add(session, *(s for source, d in new.items() for s in _specialties(rows[source].id, d)))
    ids |= {source: row.id for source, row in rows.items()}
    tally.created["doctor"] += len(new)
    known = await _accounts(session, clinic, me, ids, found, password_hash, tally)
    tally.doctors |= {doctor.id: doctor for doctor in known.values()}
    return known


async def _known(session: Executor, found: Mapping[str, FoundDoctor]) -> dict[str, UUID]:
    """Return the ids of doctors who are here, found by where they came from or by their NPI."""
    npis = {d.npi: source for source, d in found.items() if d.npi}
    here = select(_doctor.id, _doctor.source, _doctor.npi).where(
        or_(_doctor.source.in_(found), _doctor.npi.in_(npis))
    )
    rows = (await session.execute(here)).all()
    by_npi = {npis[row.npi]: row.id for row in rows if row.npi in npis}
    return by_npi | {row.source: row.id for row in rows if row.source in found}


async def _accounts(
    session: Executor,
    clinic: Clinic,
    me: Me,
    ids: Mapping[str, UUID],
    found: Mapping[str, FoundDoctor],
    password_hash: str,
    tally: Tally,
) -> Mapping[str, KnownDoctor]:
    logins = {source: _logins(source, d) for source, d in found.items()}
    tokens = {clinic.indexes.login(name): name for names in logins.values() for name in names}
    taken = select(_account.id, _account.login, _account.doctor_id).where(
        or_(_account.doctor_id.in_(ids.values()), _account.login.in_(tokens))
    )
    rows: Sequence[Any] = (await session.execute(taken.order_by(_account.id))).all()
    owner = {row.doctor_id: row for row in reversed(rows) if row.doctor_id}
    used = {tokens[row.login] for row in rows if row.login in tokens}
    known, new = {}, []
    for source, doctor in found.items():
        label = f"Dr {doctor.given} {doctor.family}".strip()
        if account := owner.get(ids[source]):
            login = tokens.get(account.login)
            known[doctor.identity] = KnownDoctor(ids[source], account.id, label, login)
            continue
        login = next(name for name in logins[source] if name not in used)
        used.add(login)
        row = _account_of(clinic, ids[source], login, label, password_hash)
        new.append(row)
        known[doctor.identity] = KnownDoctor(ids[source], row.id, label, login)
    await _write(session, clinic, me, ResourceType.ACCOUNT, new)
    tally.created["account"] += len(new)
    return known


def _account_of(clinic: Clinic, doctor: UUID, login: str, label: str, password: str) -> Account:
    return Account(
        login=clinic.indexes.login(login),
        password_hash=password,
        roles=[Role.DOCTOR],
        doctor_id=doctor,
        label=label,
    )


async def _write(
    session: Executor,
    clinic: Clinic,
    me: Me,
    kind: ResourceType,
    rows: Sequence[Doctor] | Sequence[Account],
) -> None:
    for some in chunks(rows):
        resources = [Resource(kind, id=row.id) for row in some]
        await clinic.gate.write(session, me, Action.IMPORT, *resources)
        await add(session, *some)


def _profile(source: str, found: FoundDoctor) -> Doctor:
    return Doctor(
        family=found.family,
        given=found.given,
        prefix=found.prefix,
        npi=found.npi,
        languages=list(found.languages),
        source=source,
    )


def _specialties(doctor_id: UUID, found: FoundDoctor) -> Iterator[DoctorSpecialty]:
    for each in {s.code: s for s in found.specialties}.values():
        yield DoctorSpecialty(
            doctor_id=doctor_id, code=each.code, system=each.system, display=each.display
        )


def _logins(source: str, found: FoundDoctor) -> Sequence[str]:
    """Return the login names a doctor may get, the best one first, the last one surely free."""
    return (*found.logins, f"{source[:16]}@import")
