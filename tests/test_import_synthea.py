"""The 24 patients of Synthea, imported by the real command, read back by those who may and compared with the bundles."""

import json
from collections import Counter
from collections.abc import AsyncIterator
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path
from typing import Any
from uuid import UUID

import asyncpg
import pytest

from core.crypto.values import read
from policies.facts import Subject
from policies.vocabulary import Role
from records.access.me import Me
from records.clinic import Clinic
from records.clinical.reading import OpenRecord, list_records, read_record
from records.identity import accounts
from records.people.coverages import read_coverages
from records.people.reading import OpenPatient, read_patient
from records.people.searching import Wanted, search_patients
from records.scheduling.reading import list_patient_appointments
from tests.clinics import PASSWORD, keyring, me_as, open_clinic
from tests.outside import outside
from tests.servers import cloned, confide, lasting_rows
from tests.synthea import Bundle, read_bundles

ZONE = "America/New_York"
MRN = "http://hospital.smarthealthit.org"
KINDS = {
    "Condition": "diagnosis",
    "MedicationRequest": "prescription",
    "Observation": "observation",
    "AllergyIntolerance": "allergy",
}


@dataclass(frozen=True)
class Imported:
    """A clinic after the command ran, what the command said, and what stood in the bundles."""

    url: str
    home: Path
    folder: Path
    report: dict[str, Any]
    said: str
    bundles: list[Bundle]
    clinic: Clinic
    desk: Me


@pytest.fixture(scope="module")
async def imported(
    postgres: str, template_url: str, tmp_path_factory: pytest.TempPathFactory
) -> AsyncIterator[Imported]:
    folder, home = outside("synthea"), tmp_path_factory.mktemp("synthea")
    keyring(home)
    async with cloned(postgres, template_url) as url:
        done = confide(url, home, "import", "fhir", folder, "--json")
        assert done.returncode == 0, done.stderr
        report = json.loads(done.stdout)
        async with open_clinic(url, home) as clinic:
            desk = await _desk(clinic)
            bundles = read_bundles(folder)
            yield Imported(url, home, folder, report, done.stderr, bundles, clinic, desk)


async def _desk(clinic: Clinic) -> Me:
    async with clinic.database.transaction() as session:
        account = await accounts.create(
            session,
            clinic.indexes,
            username="desk@test",
            password=PASSWORD,
            roles=[Role.RECEPTIONIST],
        )
    return me_as(Subject(account.id, frozenset({Role.RECEPTIONIST})))


async def doctor_of(imported: Imported, bundle: Bundle, encounter: dict[str, Any]) -> Me:
    """Return the doctor of an encounter as a caller."""
    (name,) = bundle.doctor_at(encounter)["name"]
    label = f"Dr {' '.join(name['given'])} {name['family']}"
    doctor_id = next(d["id"] for d in imported.report["doctors"] if d["label"] == label)
    (account,) = await rows(
        imported.url, "SELECT id, doctor_id FROM account WHERE doctor_id = $1", doctor_id
    )
    return me_as(Subject(account["id"], frozenset({Role.DOCTOR}), account["doctor_id"]))


async def find(imported: Imported, bundle: Bundle, me: Me | None = None) -> OpenPatient:
    (found,) = await _found(imported.clinic, me or imported.desk, bundle.mrn, MRN)
    return await read_patient(imported.clinic, me or imported.desk, found.id)


async def read_by_authors(imported: Imported, patient_id: UUID) -> list[OpenRecord]:
    """Read every record of a patient as the doctor who is said to have written it."""
    query = """SELECT r.id, r.author_id, a.doctor_id FROM record r JOIN account a ON a.id = r.author_id
               WHERE r.patient_id = $1"""
    found = []
    for row in await rows(imported.url, query, patient_id):
        me = me_as(Subject(row["author_id"], frozenset({Role.DOCTOR}), row["doctor_id"]))
        found.append(await read_record(imported.clinic, me, row["id"]))
    return found


async def rows(url: str, query: str, *values: object) -> list[asyncpg.Record]:
    connection = await asyncpg.connect(url)
    try:
        return await connection.fetch(query, *values)
    finally:
        await connection.close()


async def test_every_patient_is_there_with_every_demographic_field(imported: Imported):
    assert len(imported.bundles) == 24
    for bundle in imported.bundles:
        phi, given = (await find(imported, bundle)).phi, bundle.patient
        (name, *others), (home, *_) = given["name"], given["address"]
        assert (phi["other_names"] or []) == [
            {
                "family": n["family"],
                "given": " ".join(n["given"]),
                "prefix": n["prefix"][0],
                "use": n["use"],
            }
            for n in others
        ]
        (spoken,) = given["communication"]
        assert phi["language"] == spoken["language"]["coding"][0]["code"]
        assert phi["deceased"] is None
        for part in ("state", "country"):
            assert phi["address"].get(part) == home.get(part)
        assert phi["name"]["family"] == name["family"]
        assert phi["name"]["given"] == " ".join(name["given"])
        assert phi["name"].get("prefix") == (name["prefix"][0] if "prefix" in name else None)
        assert str(phi["birth_date"]) == given["birthDate"]
        assert phi["sex"] == given["gender"]
        assert phi["phone"] == given["telecom"][0]["value"]
        assert phi["address"]["line"] == home["line"]
        assert phi["address"]["city"] == home["city"]
        assert phi["address"].get("postal_code") == home.get("postalCode")


async def test_every_patient_has_all_identifiers(imported: Imported):
    for bundle in imported.bundles:
        found = (await find(imported, bundle)).identifiers
        given = bundle.patient["identifier"]
        assert Counter((i.system, i.value) for i in found) == Counter(
            (i["system"], i["value"]) for i in given
        )
    ours = await rows(imported.url, "SELECT count(*) FROM identifier")
    assert ours[0][0] == sum(len(b.patient["identifier"]) for b in imported.bundles)


async def test_every_insurance_that_was_billed_is_a_coverage_and_the_last_one_comes_first(
    imported: Imported,
):
    for bundle in imported.bundles:
        patient = await find(imported, bundle)
        found = await read_coverages(imported.clinic, imported.desk, patient.id)
        assert {c["payor"] for c in found} == bundle.payors()
        assert [c["position"] for c in found] == list(range(1, len(found) + 1))
        billed = sorted(bundle.resources["Claim"], key=lambda c: c["created"])
        last = billed[-1]["insurance"][0]["coverage"]["display"]
        if last != "no_insurance":
            assert found[0]["payor"] == last


async def test_every_doctor_is_there_once(imported: Imported):
    there = await rows(imported.url, "SELECT given, family FROM doctor")
    named = Counter((row["given"], row["family"]) for row in there)
    assert len(there) == imported.report["created"]["doctor"] == 102
    for bundle in imported.bundles:
        for doctor in bundle.resources["Practitioner"]:
            (name, *_) = doctor["name"]
            assert named[" ".join(name["given"]), name["family"]] == 1


async def test_each_ambulatory_encounter_is_one_fulfilled_appointment_with_its_doctor(
    imported: Imported,
):
    total = 0
    for bundle in imported.bundles:
        patient = await find(imported, bundle)
        found, _ = await list_patient_appointments(
            imported.clinic, imported.desk, patient.id, ZONE, limit=100
        )
        visits = sorted(found, key=lambda visit: visit.start)
        given = bundle.ambulatory()
        assert [(v.start, v.end) for v in visits] == [
            tuple(datetime.fromisoformat(e["period"][end]) for end in ("start", "end"))
            for e in given
        ]
        assert {v.status for v in visits} <= {"fulfilled"}
        assert [v.reason for v in visits] == [e["type"][0]["text"] for e in given]
        for visit, encounter in zip(visits, given, strict=True):
            me = await doctor_of(imported, bundle, encounter)
            assert visit.doctor_id == me.subject.doctor_id
        total += len(visits)
    assert total == imported.report["created"]["appointment"] == 164


async def test_the_doctor_of_an_encounter_reads_back_every_record_of_it_field_by_field(
    imported: Imported,
):
    for bundle in imported.bundles:
        patient = await find(imported, bundle)
        found = await read_by_authors(imported, patient.id)
        told = Counter(_as_told(record) for record in found if record.kind != "note")
        assert told == Counter(_as_given(kind, given) for kind, given, _ in bundle.written())
        notes = Counter(record.title for record in found if record.kind == "note")
        assert notes == Counter(e["type"][0]["text"] for e in bundle.ambulatory())
        doctors = [await doctor_of(imported, bundle, e) for e in bundle.ambulatory()]
        assert {r.author_id for r in found} == {me.subject.id for me in doctors}


async def test_the_doctor_of_the_latest_visit_sees_the_patient_and_lists_the_records(
    imported: Imported,
):
    for bundle in imported.bundles:
        me = await doctor_of(imported, bundle, bundle.ambulatory()[-1])
        patient = await find(imported, bundle, me)
        listed, _ = await list_records(imported.clinic, me, patient.id, limit=100)
        assert listed


async def test_each_record_hangs_on_the_visit_it_was_written_at(imported: Imported):
    at_visits = await rows(
        imported.url,
        "SELECT a.starts_at, r.kind, count(*) FROM record r JOIN appointment a ON a.id = r.appointment_id "
        "AND a.patient_id = r.patient_id GROUP BY 1, 2",
    )
    given: Counter[tuple[datetime, str]] = Counter()
    for bundle in imported.bundles:
        for encounter in bundle.ambulatory():
            given[datetime.fromisoformat(encounter["period"]["start"]), "note"] += 1
        for kind, _, encounter in bundle.written():
            given[datetime.fromisoformat(encounter["period"]["start"]), KINDS[kind]] += 1
    assert {(row["starts_at"], row["kind"]): row["count"] for row in at_visits} == given


async def test_a_doctor_who_saw_the_patient_at_no_visit_finds_nobody(imported: Imported):
    bundle, other = imported.bundles[0], imported.bundles[1]
    seen_by = {id(bundle.doctor_at(e)) for e in bundle.ambulatory()}
    assert seen_by
    stranger = await doctor_of(imported, other, other.ambulatory()[-1])
    assert await _found(imported.clinic, stranger, bundle.mrn, MRN) == []


async def test_the_report_tells_what_was_not_kept_and_why(imported: Imported):
    left = {
        (each["resource_type"], each["reason"]): each["count"]
        for each in imported.report["not_imported"]
    }
    emergencies = sum(
        e["class"]["code"] == "EMER" for b in imported.bundles for e in b.resources["Encounter"]
    )
    assert left["Encounter", "class EMER is not ambulatory"] == emergencies == 16
    for kind in ("Immunization", "Procedure", "DiagnosticReport"):
        given = sum(len(b.resources.get(kind, [])) for b in imported.bundles)
        assert left[kind, "this type is not kept"] == given
    assert imported.report["bundles"] == {"read": 26, "imported": 26, "rejected": 0}


async def test_what_was_created_and_what_the_report_counts_as_left_are_all_there_was(
    imported: Imported,
):
    created, left, given = imported.report["created"], Counter[str](), Counter[str]()
    for each in imported.report["not_imported"]:
        left[each["resource_type"]] += each["count"]
    for bundle in imported.bundles:
        given.update({kind: len(found) for kind, found in bundle.resources.items()})
    for theirs, ours in {**KINDS, "Encounter": "appointment"}.items():
        assert created.get(ours, 0) + left[theirs] == given[theirs], theirs


async def test_a_second_run_changes_nothing(imported: Imported):
    before = await lasting_rows(imported.url)
    done = confide(imported.url, imported.home, "import", "fhir", imported.folder, "--json")
    report = json.loads(done.stdout)
    assert (done.returncode, report["created"]) == (0, {})
    assert report["already_there"]["patient"] == 24
    assert await lasting_rows(imported.url) == before


async def test_the_command_says_no_name_and_no_number_of_a_patient(imported: Imported):
    said = json.dumps(imported.report) + imported.said
    for bundle in imported.bundles:
        (name, *_) = bundle.patient["name"]
        values = [i["value"] for i in bundle.patient["identifier"]]
        assert not [v for v in (*values, bundle.patient["telecom"][0]["value"]) if v in said]
        assert f"{name['given'][0]}_{name['family']}" not in said


def _as_told(record: OpenRecord) -> tuple[str, ...]:
    content = read(record.content)
    assert isinstance(content, dict)
    return (record.kind, str(record.title), content["code"]["code"], _value(content))


def _value(content: dict[str, Any]) -> str:
    kept = {
        k: v
        for k, v in content.items()
        if k in ("value", "unit", "status", "onset", "authoredOn", "effective")
    }
    parts = [
        (p["code"]["code"], p.get("value"), p.get("unit")) for p in content.get("component", ())
    ]
    return json.dumps([kept, parts, content.get("clinicalStatus")], sort_keys=True)


def _as_given(kind: str, given: dict[str, Any]) -> tuple[str, ...]:
    code = given.get("code") or given.get("medicationCodeableConcept")
    content: dict[str, Any] = {"component": [], **_measured(given)}
    names = {
        "status": "status",
        "onset": "onsetDateTime",
        "authoredOn": "authoredOn",
        "effective": "effectiveDateTime",
    }
    content |= {ours: given[theirs] for ours, theirs in names.items() if theirs in given}
    content["component"] = [
        {"code": {"code": p["code"]["coding"][0]["code"]}, **_measured(p)}
        for p in given.get("component", ())
    ]
    if "clinicalStatus" in given:
        content["clinicalStatus"] = given["clinicalStatus"]["coding"][0]["code"]
    return (KINDS[kind], code["text"], code["coding"][0]["code"], _value(content))


def _measured(given: dict[str, Any]) -> dict[str, Any]:
    if "valueQuantity" in given:
        return {"value": given["valueQuantity"]["value"], "unit": given["valueQuantity"]["unit"]}
    if "valueCodeableConcept" in given:
        coded = given["valueCodeableConcept"]
        first = coded["coding"][0]
        return {
            "value": {"system": first["system"], "code": first["code"], "display": coded["text"]}
        }
    return {"value": given["valueString"]} if "valueString" in given else {}


async def _found(clinic: Clinic, me: Me, value: str, system: str | None = None):
    """Return the patients with an identifier."""
    wanted = Wanted(identifier=value, system=system)
    return (await search_patients(clinic, me, wanted, limit=20))[0]
