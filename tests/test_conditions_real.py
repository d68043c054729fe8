"""Random policies over the clinic's own tables, care teams, consents, emergencies and proxies dealt out at random.

Casbin judges facts that are worked out by hand in Python; PostgreSQL answers with the columns that lists use.
"""

import random
from collections import Counter
from collections.abc import AsyncIterator, Callable, Sequence
from dataclasses import dataclass, replace
from datetime import datetime, timedelta
from itertools import product
from pathlib import Path
from typing import Any
from uuid import UUID

import asyncpg
import pytest
from sqlalchemy import select

from core.clock import now
from core.ids import new_id
from policies.enforcer import PolicySnapshot
from policies.facts import Environment, Resource
from policies.rules import Rule
from policies.vocabulary import Action, Category, Purpose, ResourceType, Role
from records.access import relations
from records.access.me import Me
from records.access.models import CareTeam, Consent, Decision, Proxy
from records.clinic import Clinic
from records.governance import sight
from records.people.registration import register
from records.scheduling.booking import book
from tests.clinics import DETAILS, _account, open_clinic, populate, slip_in
from tests.random_policies import OBJ
from tests.test_conditions_many import a_condition

POLICIES = 600
BATCH = 20
PERIODS = [(-1, 1), (-1, None), (-1, 1), (-2, -1), (1, 2)]
RELATIONS = {
    "in_care_team", "own_appointment", "consent_granted", "consent_denied", "break_glass", "proxied"
}  # fmt: skip


@dataclass
class Place:
    """Tables as they are, read back by the owner, and everybody who may look."""

    clinic: Clinic
    everybody: list[Me]
    tables: dict[str, list[Any]]

    def facts(self, me: Me, kind: ResourceType) -> dict[UUID, Resource]:
        """Work out by hand what a rule may ask of each row."""
        return {row["id"]: self._fact(me, kind, row) for row in self.tables[kind]}

    def _fact(self, me: Me, kind: ResourceType, row: Any) -> Resource:
        patient = row["id"] if kind is ResourceType.PATIENT else row["patient_id"]
        visits = {v["id"]: v for v in self.tables["appointment"]}
        of_kind: dict[str, Any] = {}
        about: frozenset[str] | None = None
        own = self._has(me, "appointment", patient, _own)
        if kind is ResourceType.APPOINTMENT:
            of_kind = {"doctor_id": row["doctor_id"], "status": row["status"]}
        if kind is ResourceType.RECORD:
            names = ("author_id", "status", "kind", "sensitivity")
            about = frozenset(row["categories"])
            doctor = visits[row["appointment_id"]]["doctor_id"]
            of_kind = {name: row[name] for name in names}
            of_kind |= {"doctor_id": doctor, "categories": about}
            of_kind |= {"consent_denied": self._denied(me, patient, about)}
            own = own or doctor == me.subject.doctor_id
        return Resource(
            kind,
            id=row["id"],
            patient_id=patient,
            in_care_team=self._has(me, "care_team", patient, _mine),
            own_appointment=own,
            consent_granted=self._says(me, patient, about, "permit", _mine),
            break_glass=self._has(me, "break_glass", patient, _running),
            proxied=self._has(me, "proxy", patient, _mine),
            **of_kind,
        )

    def _has(self, me: Me, table: str, patient: UUID, test: Callable[[Me, Any], bool]) -> bool:
        return any(test(me, r) for r in self.tables[table] if r["patient_id"] == patient)

    def _denied(self, me: Me, patient: UUID, about: frozenset[str]) -> bool:
        forbidden = self._says(me, patient, about, "deny", _addressed)
        return forbidden and not self._says(me, patient, about, "permit", _mine)

    def _says(
        self,
        me: Me,
        patient: UUID,
        about: frozenset[str] | None,
        decision: str,
        test: Callable[[Me, Any], bool],
    ) -> bool:
        return any(
            test(me, c)
            for c in self.tables["consent"]
            if c["patient_id"] == patient
            and c["decision"] == decision
            and c["revoked_at"] is None
            and c["purpose"] in (None, me.environment.purpose)
            and (about is None or c["category"] is None or c["category"] in about)
        )


def _current(row: Any) -> bool:
    return row["valid_from"] <= now() and (row["valid_until"] is None or row["valid_until"] > now())


def _named(me: Me, row: Any) -> bool:
    doctor = row.get("doctor_id")
    return row["account_id"] == me.subject.id or (
        doctor is not None and doctor == me.subject.doctor_id
    )


def _mine(me: Me, row: Any) -> bool:
    return _current(row) and _named(me, row)


def _addressed(me: Me, row: Any) -> bool:
    to_all = row["account_id"] is None and row["doctor_id"] is None
    return _current(row) and (
        _named(me, row) or (to_all and (row["role"] is None or row["role"] in me.subject.roles))
    )


def _own(me: Me, row: Any) -> bool:
    real = row["status"] not in ("proposed", "pending", "waitlist", "cancelled", "entered-in-error")
    near = abs(row["starts_at"] - now()) < timedelta(days=90)
    return (
        row["doctor_id"] is not None and row["doctor_id"] == me.subject.doctor_id and real and near
    )


def _running(me: Me, row: Any) -> bool:
    return row["account_id"] == me.subject.id and row["expires_at"] > now()


@pytest.fixture
async def place(database_url: str, tmp_path: Path) -> AsyncIterator[Place]:
    async with open_clinic(database_url, tmp_path) as clinic:
        people = await populate(clinic)
        other = await _account(clinic, "other.nurse", Role.NURSE)
        dice, patients = random.Random(11), [people.patient_id]
        async with clinic.database.transaction() as session:
            patients += [
                (await register(session, clinic, people.reception, DETAILS)).patient_id
                for _ in range(5)
            ]
        for n, (patient, days) in enumerate(product(patients[1:], (2, 200))):
            doctor = (people.adams, people.baker)[n % 3 == 0]
            at = (now() + timedelta(days=days, hours=n)).replace(minute=0, second=0, microsecond=0)
            async with clinic.database.transaction() as session:
                await book(session, clinic, people.reception, patient_id=patient,
                           doctor_id=doctor.subject.doctor_id, start=at)  # fmt: skip
        named = [people.adams, people.baker, people.nurse, people.patient, people.reception, other]
        await slip_in(clinic, *(row for p in patients for row in _dealt(dice, p, named)))
        yield Place(clinic, named, await _more(database_url, dice, named))


def _dealt(dice: random.Random, patient: UUID, named: Sequence[Me]) -> list[Any]:
    """Deal out memberships, consents and proxies: some hold, some did, some will."""
    rows: list[Any] = []
    for me in named:
        account = {"patient_id": patient, "account_id": me.subject.id}
        if dice.random() < 0.4:
            rows.append(CareTeam(**account, **_period(dice)))
        if dice.random() < 0.3:
            made = me.subject.id
            rows.append(Proxy(**account, **_period(dice), relationship="parent", created_by=made))
    for _ in range(4):
        me = dice.choice(named)
        whom: dict[str, Any] = dice.choice(
            [
                {"account_id": me.subject.id},
                {"doctor_id": me.subject.doctor_id} if me.subject.doctor_id else {},
                {"role": dice.choice([Role.NURSE, Role.DOCTOR])},
                {},
            ]
        )
        by_name = "role" not in whom and whom
        revoked = {"revoked_by": me.subject.id, "revoked_at": now()} if dice.random() < 0.2 else {}
        rows.append(
            Consent(
                patient_id=patient,
                decision=dice.choice(list(Decision)) if by_name else Decision.DENY,
                category=dice.choice([None, *list(Category)[:2]]),
                purpose=dice.choice([None, None, Purpose.TREATMENT, Purpose.OPERATIONS]),
                created_by=me.subject.id,
                **whom,
                **revoked,
                **_period(dice),
            )
        )
    return rows


def _period(dice: random.Random) -> dict[str, datetime | None]:
    begins, ends = dice.choice(PERIODS)
    until = None if ends is None else now() + timedelta(hours=ends)
    return {"valid_from": now() + timedelta(hours=begins), "valid_until": until}


async def _more(url: str, dice: random.Random, named: Sequence[Me]) -> dict[str, list[Any]]:
    """Add records of every kind and label, and emergencies, as nobody but the owner can; return every table."""
    owner = await asyncpg.connect(url)
    visits = await owner.fetch("SELECT id, patient_id, key_id FROM appointment ORDER BY id")
    for visit, _ in product(visits, range(3)):
        labels = dice.sample(list(Category)[:3], dice.randint(0, 2))
        await owner.execute(
            "INSERT INTO record SELECT (r).* FROM (SELECT jsonb_populate_record(r, $1::jsonb) AS r FROM record r LIMIT 1) x",
            _json(
                id=new_id(), patient_id=visit["patient_id"], key_id=visit["key_id"], appointment_id=visit["id"],
                author_id=dice.choice(named).subject.id, status=dice.choice(["draft", "final", "amended"]),
                kind=dice.choice(["note", "diagnosis"]), sensitivity=dice.choice("NRV"), categories=labels,
            ),
        )  # fmt: skip
        begun = now() - timedelta(hours=dice.choice([1, 5]))
        await owner.execute(
            "INSERT INTO break_glass (id, patient_id, key_id, account_id, reason_code, explanation, granted_at, expires_at) "
            "VALUES ($1, $2, $3, $4, 'cover', '', $5, $6)",
            new_id(), visit["patient_id"], visit["key_id"], dice.choice(named).subject.id, begun, begun + timedelta(hours=4),
        )  # fmt: skip
    names = ("patient", "appointment", "record", "care_team", "consent", "proxy", "break_glass")
    found = {name: await owner.fetch(f"SELECT * FROM {name} ORDER BY id") for name in names}
    await owner.close()
    return found


def _json(**given: Any) -> str:
    import orjson

    return orjson.dumps(given, default=str).decode()


def a_policy(dice: random.Random, kind: ResourceType) -> list[Rule]:
    """Return rules about a kind, nearly all of which name a relation."""
    known = [n for n in RELATIONS if kind in OBJ[n].types]

    def rule(n: int) -> Rule:
        asks = f"{dice.choice(['', 'not '])}r.obj.{dice.choice(sorted(known))}"
        more = a_condition(dice) if kind is ResourceType.RECORD else "r.obj.patient_id is not None"
        text = f"{asks} {dice.choice(['and', 'or'])} ({more})"
        who, effect = (
            dice.choice(["anyone", "clinician", "nurse", "staff"]),
            dice.choice(["allow", "deny"]),
        )
        return Rule(f"r{n}", dice.randint(1, 4), who, kind, "read", effect, text)

    base = f"r.obj.{dice.choice(sorted(known))} or r.obj.{dice.choice(sorted(known))}"
    rules = [rule(n) for n in range(dice.randint(1, 4))]
    return [*rules, Rule("base", 4, "anyone", kind, "read", "allow", base)]


async def test_lists_over_the_clinics_tables_are_what_casbin_says_of_facts_by_hand(place: Place):
    kinds = (ResourceType.RECORD, ResourceType.PATIENT, ResourceType.APPOINTMENT)
    wrong, seen, held = 0, Counter[str](), Counter[tuple[str, bool]]()
    for first in range(0, POLICIES, BATCH):
        dice = random.Random(first)
        kind, me = kinds[dice.choice([0, 0, 1, 2])], dice.choice(place.everybody)
        me = replace(me, environment=Environment(dice.choice(list(Purpose))))
        facts = place.facts(me, kind)
        held.update((n, getattr(f, n)) for f in facts.values() for n in RELATIONS)
        snapshots = [PolicySnapshot.build(1, a_policy(dice, kind)) for _ in range(BATCH)]
        found = sight.found(kind)
        terms = [sight.visible(s, me, Action.READ, kind, found) for s in snapshots]
        labelled = [term.label(f"p{n}") for n, term in enumerate(terms)]
        statement = select(found.c.id, *labelled)
        rows = await place.clinic.database.select(statement, relations.asking(me))
        assert {row["id"] for row in rows} == facts.keys()
        for n, snapshot in enumerate(snapshots):
            listed = {row["id"] for row in rows if row[f"p{n}"]}
            decided = {
                row_id
                for row_id, fact in facts.items()
                if snapshot.decide(me.subject, Action.READ, fact, me.environment).allowed
            }
            wrong += listed != decided
            seen["mixed" if 0 < len(decided) < len(facts) else "uniform"] += 1
    assert wrong == 0
    assert seen["mixed"] > 0.3 * POLICIES, "policies that treat all rows alike prove little"
    assert all(held[n, value] for n in RELATIONS for value in (True, False)), (
        "each is met both ways"
    )
