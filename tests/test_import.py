"""`confide import fhir` on a bundle made by hand: what it keeps, what it refuses, what it says and does not say."""

import json
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import pytest

from api.commands.importing import MISUSED, import_bundles
from core.crypto.values import read
from core.settings import Settings
from policies.facts import Subject
from policies.vocabulary import Role
from records.access.me import Me
from records.clinic import Clinic
from records.clinical.reading import list_records
from records.fhir.importing import Wishes, import_bundle
from records.fhir.report import display_name
from records.fhir.tally import KnownDoctor, Tally
from records.fhir.understanding import Rejected, understand
from records.identity.commands import command_line
from records.people.coverages import read_coverages
from records.people.merging import merge
from records.people.reading import read_patient
from records.people.searching import Wanted, search_patients
from records.scheduling.reading import list_patient_appointments
from tests.bundles import SECRET, resource, save, small_bundle
from tests.clinics import MRN, keyring, me_as, open_clinic, populate
from tests.servers import confide, lasting_rows

PHI = (SECRET, "M-77-Q", "999-12-3456", "555-010", "Doyle", "Migraine", "penicillin", "HM-5521")
ZONE = "America/New_York"


@pytest.fixture
async def clinic(database_url: str, tmp_path: Path) -> AsyncIterator[Clinic]:
    async with open_clinic(database_url, tmp_path) as clinic:
        yield clinic


@pytest.fixture
async def operator(clinic: Clinic) -> Me:
    return await command_line(clinic, "confide import fhir")


async def imported(clinic: Clinic, operator: Me, bundle: dict[str, Any]) -> Tally:
    _, tally = await import_bundle(clinic, operator, json.dumps(bundle).encode(), Wishes())
    return tally


def doctor_of(tally: Tally) -> tuple[KnownDoctor, Me]:
    (known,) = tally.doctors.values()
    return known, me_as(Subject(known.account_id, frozenset({Role.DOCTOR}), known.id))


def refused(bundle: dict[str, Any]) -> list[tuple[str, str]]:
    with pytest.raises(Rejected) as rejected:
        understand(json.dumps(bundle).encode())
    assert not any(phi in str(rejected.value) for phi in PHI)
    return [(fault.pointer, fault.rule) for fault in rejected.value.faults]


def _drop(name: str, element: str) -> Any:
    return lambda b: resource(b, name).pop(element)


def _set(name: str, element: str, value: Any) -> Any:
    return lambda b: resource(b, name).__setitem__(element, value)


@pytest.mark.parametrize(
    ("spoil", "pointer", "rule"),
    [
        (_drop("p1", "birthDate"), "/entry/0/resource/birthDate", "required"),
        (_set("p1", "birthDate", SECRET), "/entry/0/resource/birthDate", "date"),
        (_set("p1", "birthDate", "2984-01-01"), "/entry/0/resource/birthDate", "date"),
        (_set("p1", "gender", SECRET), "/entry/0/resource/gender", "code"),
        (_set("p1", "identifier", []), "/entry/0/resource/identifier", "required"),
        (_set("p1", "name", SECRET), "/entry/0/resource/name", "array"),
        (_set("p1", "resourceType", SECRET), "/entry/0/resource/resourceType", "code"),
        (_drop("d1", "name"), "/entry/1/resource/name", "required"),
        (_set("c1", "beneficiary", {"reference": "urn:uuid:d1"}), "/entry/3/resource/beneficiary/reference", "reference-type"),
        (_set("e1", "status", SECRET), "/entry/4/resource/status", "code"),
        (_set("e1", "subject", {"reference": f"urn:uuid:{SECRET}"}), "/entry/4/resource/subject/reference", "dangling-reference"),
        (_set("e1", "period", {"start": "2018-09-17T15:00:00Z", "end": "2018-09-17T14:00:00Z"}), "/entry/4/resource/period/end", "order"),
        (_set("e1", "period", {"start": SECRET, "end": SECRET}), "/entry/4/resource/period/start", "instant"),
        (_set("k1", "onsetDateTime", SECRET), "/entry/6/resource/onsetDateTime", "date"),
        (_set("m1", "status", SECRET), "/entry/7/resource/status", "code"),
        (_set("o1", "code", {"text": "\x00"}), "/entry/8/resource/code/text", "string"),
    ],
)  # fmt: skip
def test_a_broken_bundle_is_refused_with_the_place_and_the_rule_and_no_value(
    spoil: Any, pointer: str, rule: str
):
    bundle = small_bundle()
    spoil(bundle)
    assert (pointer, rule) in refused(bundle)


@pytest.mark.parametrize("raw", [b"", b"{", b"[]", b"null", b'{"resourceType": "Patient"}'])
def test_what_is_no_bundle_is_refused(raw: bytes):
    with pytest.raises(Rejected):
        understand(raw)


def test_every_fault_of_a_stage_is_told_at_once():
    bundle = small_bundle()
    resource(bundle, "p1").pop("birthDate")
    resource(bundle, "d1").pop("name")
    assert {pointer for pointer, _ in refused(bundle)} == {
        "/entry/0/resource/birthDate",
        "/entry/1/resource/name",
    }


def test_what_is_written_of_one_patient_at_a_visit_of_another_is_refused():
    bundle = small_bundle()
    other = json.loads(json.dumps(bundle["entry"][0]).replace('"p1"', '"p2"'))
    other["fullUrl"] = "urn:uuid:p2"
    other["resource"]["identifier"] = [{"system": "http://h.example/mrn", "value": "M-78"}]
    bundle["entry"].append(other)
    resource(bundle, "k1")["subject"] = {"reference": "urn:uuid:p2"}
    assert refused(bundle) == [("/entry/6/resource/encounter", "another-patient")]


def test_who_takes_part_and_is_no_practitioner_is_left_out():
    bundle = small_bundle()
    others = [{"reference": "urn:uuid:r1"}, {"reference": "http://h.example/RelatedPerson/7"}, {}]
    resource(bundle, "e1")["participant"] += [{"individual": other} for other in others]
    team = {"resourceType": "CareTeam", "id": "t1", "subject": {"reference": "urn:uuid:p1"}}
    team |= {"participant": [{"member": other} for other in others]}
    bundle["entry"].append({"fullUrl": "urn:uuid:t1", "resource": team})
    (patient,) = understand(json.dumps(bundle).encode()).patients.values()
    assert len(patient.visits) == 1
    assert patient.team == {patient.visits[0].doctor}


async def test_a_bundle_whose_number_is_another_persons_changes_nothing(
    clinic: Clinic, operator: Me, database_url: str
):
    await imported(clinic, operator, small_bundle())
    before = await lasting_rows(database_url)
    second = small_bundle()
    second["entry"].insert(0, second["entry"].pop())  # other places, the same person
    resource(second, "p1")["identifier"][0]["value"] = "M-99-OTHER"
    with pytest.raises(Rejected, match="identifier-of-another-patient"):
        await imported(clinic, operator, second)
    assert await lasting_rows(database_url) == before


async def test_a_second_import_changes_no_row(clinic: Clinic, operator: Me, database_url: str):
    first = await imported(clinic, operator, small_bundle())
    before = await lasting_rows(database_url)
    again = await imported(clinic, operator, small_bundle())
    assert await lasting_rows(database_url) == before
    assert not +again.created
    assert again.present["patient"] == first.created["patient"] == 1


async def test_what_is_new_in_a_later_bundle_is_added(clinic: Clinic, operator: Me):
    await imported(clinic, operator, small_bundle())
    later = small_bundle()
    number = {"system": "http://passports.example", "value": "X-1"}
    resource(later, "p1")["identifier"].append(number)
    resource(later, "e2")["class"] = {"code": "VR"}
    created = +(await imported(clinic, operator, later)).created
    assert created == {"identifier": 1, "appointment": 1, "note": 1}


async def test_the_doctor_of_a_visit_reads_back_all_that_was_imported(clinic: Clinic, operator: Me):
    doctor, me = doctor_of(await imported(clinic, operator, small_bundle()))
    (found,) = await _found(clinic, me, "m77q", "http://h.example/mrn")
    patient = await read_patient(clinic, me, found.id)
    assert {name: value for name, value in patient.phi.items() if value is not None} == {
        "name": {"family": SECRET, "given": "Ada May", "prefix": "Ms."},
        "birth_date": found.phi["birth_date"],
        "sex": "female",
        "phone": "555-010-4477",
        "email": "ada@zyz.example",
        "address": {
            "line": ["9 Doyle Corner"],
            "city": "Wilmington",
            "state": "MA",
            "postal_code": "01887",
        },
        "emergency_contacts": [{"name": "Kami Strosin", "phone": "555-010-4478"}],
    }
    assert str(patient.phi["birth_date"]) == "1984-07-02"
    assert [(i.type, i.value) for i in patient.identifiers] == [
        ("MR", "M-77-Q"),
        ("SS", "999-12-3456"),
    ]
    (coverage,) = await read_coverages(clinic, me, found.id)
    told = ("payor", "plan", "member_id", "group_number", "relationship", "position")
    assert [coverage[name] for name in told] == [
        "Harbor Mutual",
        "Silver 40",
        "HM-5521",
        "G-9",
        "spouse",
        1,
    ]
    assert str(coverage["valid_until"]) == "2018-12-31"
    (visit,), _ = await list_patient_appointments(clinic, me, found.id, ZONE, limit=9)
    assert (visit.status, visit.doctor_id, visit.reason) == (
        "fulfilled",
        doctor.id,
        "Encounter for check up",
    )
    assert visit.start.isoformat() == "2018-09-17T13:00:00+00:00"


async def test_everything_else_that_a_patient_says_is_kept(clinic: Clinic, operator: Me):
    bundle = small_bundle()
    person = resource(bundle, "p1")
    person["name"].append({"use": "maiden", "family": "Byron", "given": ["Ada"]})
    person["telecom"] += [
        {"system": "phone", "value": "555-010-9911", "use": "work"},
        {"system": "email", "value": "ada@old.example", "use": "anonymous"},
    ]
    person["address"].append({"use": "work", "line": ["1 Engine Row"], "city": "Lowell"})
    person["communication"] = [
        {"language": {"coding": [{"code": "en"}], "text": "English"}},
        {"language": {"coding": [{"code": "fr-CA"}], "text": "French"}, "preferred": True},
    ]
    person["deceasedDateTime"] = "2019-11-27T04:00:00Z"
    person["identifier"][0] |= {"use": "usual", "period": {"start": "2001-02-03"}}
    _, me = doctor_of(await imported(clinic, operator, bundle))
    (found,) = await _found(clinic, me, "M-77-Q")
    patient = await read_patient(clinic, me, found.id)
    phi = patient.phi
    assert phi["other_names"] == [{"family": "Byron", "given": "Ada", "use": "maiden"}]
    assert phi["other_phones"] == [{"value": "555-010-9911", "use": "work"}]
    assert phi["other_emails"] == [{"value": "ada@old.example"}]
    work = {"line": ["1 Engine Row"], "city": "Lowell", "use": "work"}
    assert phi["other_addresses"] == [work]
    assert (phi["language"], str(phi["deceased"])) == ("fr-CA", "2019-11-27")
    number = patient.identifiers[0]
    assert (number.use, str(number.valid_from), number.valid_until) == ("usual", "2001-02-03", None)


@pytest.mark.parametrize(
    ("said", "kept"), [({"deceasedDateTime": "2019"}, True), ({"deceasedBoolean": True}, True)]
)
async def test_a_death_without_a_day_is_kept_as_a_death(
    clinic: Clinic, operator: Me, said: dict[str, Any], kept: object
):
    bundle = small_bundle()
    resource(bundle, "p1").update(said)
    _, me = doctor_of(await imported(clinic, operator, bundle))
    (found,) = await _found(clinic, me, "M-77-Q")
    assert found.phi["deceased"] is kept


async def test_a_patient_who_was_joined_to_another_is_imported_once(
    clinic: Clinic, operator: Me, database_url: str
):
    """Neither file gets anything twice, and a number of the survivor's in the bundle names the same person."""
    people = await populate(clinic)
    await imported(clinic, operator, small_bundle())
    (found,) = await _found(clinic, people.reception, "M-77-Q")
    async with clinic.database.transaction() as session:
        await merge(session, clinic, people.reception, found.id, people.patient_id)
    before = await lasting_rows(database_url)
    again = small_bundle()
    resource(again, "p1")["identifier"].append({"system": MRN, "value": "MRN-4711-QX"})
    tally = await imported(clinic, operator, again)
    assert not +tally.created
    assert await lasting_rows(database_url) == before
    resource(again, "e2")["class"] = {"code": "VR"}
    assert +(await imported(clinic, operator, again)).created == {"appointment": 1, "note": 1}
    visits, _ = await list_patient_appointments(
        clinic, people.reception, people.patient_id, ZONE, limit=9
    )
    assert len(visits) == 3  # one of the survivor's own


async def test_records_keep_codes_values_author_and_sensitivity(clinic: Clinic, operator: Me):
    doctor, me = doctor_of(await imported(clinic, operator, small_bundle()))
    (patient,) = await _found(clinic, me, "M-77-Q")
    found, _ = await list_records(clinic, me, patient.id, limit=20)
    by_kind = {record.kind: record for record in found}
    content: dict[str, Any] = {record.kind: read(record.content) for record in found}
    assert len(found) == len(by_kind) == 5
    assert {r.author_id for r in found} == {doctor.account_id}
    assert {r.status for r in found} == {"final"}
    assert {k for k, r in by_kind.items() if r.sensitivity == "R"} == {"diagnosis"}
    assert by_kind["diagnosis"].title == "Migraine (disorder)"
    assert content["diagnosis"]["code"]["code"] == "37796009"
    assert content["prescription"]["dosageInstruction"] == [
        {"text": "one tablet when needed", "asNeeded": True}
    ]
    assert content["prescription"]["reason"][0]["display"] == "Migraine (disorder)"
    (systolic,) = content["observation"]["component"]
    assert (systolic["value"], systolic["unit"]) == (139.5, "mm[Hg]")
    assert by_kind["allergy"].title == "Allergy to penicillin"
    assert content["note"]["reason"][0]["display"] == "Headache behind one eye"


def test_the_command_reports_as_json_and_rejects_a_broken_bundle_by_exit_code(
    database_url: str, tmp_path: Path
):
    keyring(tmp_path)
    good = save(small_bundle(), tmp_path / "good.json")
    spoilt = small_bundle()
    resource(spoilt, "p1")["birthDate"] = SECRET
    bad = save(spoilt, tmp_path / f"{SECRET}.json")
    done = confide(database_url, tmp_path, "import", "fhir", good, bad, "--json")
    assert done.returncode == 1
    report = json.loads(done.stdout)
    assert report["bundles"] == {"read": 2, "imported": 1, "rejected": 1}
    assert report["created"] == {
        "account": 1, "allergy": 1, "appointment": 1, "care team member": 1, "coverage": 1,
        "diagnosis": 1, "doctor": 1, "identifier": 2, "note": 1, "observation": 1, "patient": 1,
        "prescription": 1,
    }  # fmt: skip
    (rejected,) = report["rejected"]
    assert rejected["file"].startswith("sha256:")
    assert rejected["errors"] == [
        {"entry": 0, "pointer": "/entry/0/resource/birthDate", "rule": "date"}
    ]
    left = {(each["resource_type"], each["reason"]) for each in report["not_imported"]}
    assert ("Procedure", "this type is not kept") in left
    assert ("Encounter", "class EMER is not ambulatory") in left
    assert not any(phi in done.stdout + done.stderr for phi in PHI)


def test_the_command_says_in_words_what_it_did(database_url: str, tmp_path: Path):
    keyring(tmp_path)
    save(small_bundle(), tmp_path / "good.json")
    (tmp_path / "bundles").mkdir()
    save(small_bundle(), tmp_path / "bundles" / "good.json")
    done = confide(database_url, tmp_path, "import", "fhir", tmp_path / "bundles")
    assert done.returncode == 0, done.stderr
    assert "1 bundles read, 1 imported, 0 rejected" in done.stdout
    assert "Dr June Kassulke" in done.stdout
    assert not any(phi in done.stdout + done.stderr for phi in PHI)


def test_a_command_that_cannot_be_meant_is_exit_code_2(database_url: str, tmp_path: Path):
    keyring(tmp_path)
    here = Settings(home=tmp_path, environment="development", database_url=database_url)
    (tmp_path / "empty").mkdir()
    good = save(small_bundle(), tmp_path / "good.json")
    for paths, team in (([tmp_path / "empty"], []), ([good], ["nobody@here"])):
        assert import_bundles(here, paths, team, as_json=False) == MISUSED, team
    assert confide(database_url, tmp_path, "import", "fhir", "nowhere").returncode == MISUSED == 2


async def test_members_of_a_care_team_can_be_named(clinic: Clinic, operator: Me):
    from records.fhir.tally import Member

    tally = await imported(clinic, operator, small_bundle())
    nurse = Member(account_id=next(iter(tally.doctors.values())).account_id)
    raw = json.dumps(small_bundle()).encode()
    _, again = await import_bundle(clinic, operator, raw, Wishes([nurse]))
    assert again.created["care team member"] == 1


def test_a_file_named_after_its_patient_is_reported_by_digest(tmp_path: Path):
    raw = json.dumps(small_bundle()).encode()
    assert display_name(tmp_path / f"Ada_{SECRET}_1.json", raw).startswith("sha256:")
    assert display_name(tmp_path / "zyzzyvara.json", raw).startswith("sha256:")
    assert display_name(tmp_path / "bundle-1.json", raw) == "bundle-1.json"


async def _found(clinic: Clinic, me: Me, value: str, system: str | None = None):
    """Return the patients with an identifier."""
    wanted = Wanted(identifier=value, system=system)
    return (await search_patients(clinic, me, wanted, limit=20))[0]
