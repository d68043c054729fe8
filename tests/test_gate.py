"""The gate: no PHI without a decision, and no decision without an event that is already on disk."""

import asyncio
from collections.abc import AsyncIterator
from contextlib import nullcontext
from dataclasses import replace
from pathlib import Path
from uuid import UUID

import asyncpg
import pytest

from core.crypto.values import read
from core.errors import Forbidden, NotFound, Unavailable
from core.ids import new_id
from policies.enforcer import PolicySnapshot
from policies.facts import Resource
from policies.rules import Rule, defaults
from policies.vocabulary import Action, ResourceType, Sensitivity
from records.access.listing import page
from records.clinic import Clinic, Erased, Unreadable
from records.clinical import reading
from records.clinical.reading import list_records, read_record
from records.people.reading import list_patients, patient_in_sight, read_patient
from records.people.registration import register
from records.people.searching import Wanted, search_patients
from tests.clinics import DETAILS, People, open_clinic, outbox, populate

APART = """
UPDATE doctor SET department = CASE family WHEN 'Adams' THEN 'Eyes' ELSE 'Ears' END;
UPDATE patient SET preferred_doctor_id = (SELECT id FROM doctor WHERE family = 'Baker');
UPDATE appointment SET status = 'cancelled';
INSERT INTO consent (id, patient_id, decision, account_id, category, valid_from, created_by, created_at)
SELECT gen_random_uuid(), patient.id, 'permit', account.id, 'PSY', now(), account.id, now()
FROM patient, account JOIN doctor ON doctor.id = doctor_id WHERE family = 'Adams';
"""
"""The doctor's only visit was cancelled, a consent is about other records, and another doctor is preferred."""


@pytest.fixture
async def clinic(database_url: str, tmp_path: Path) -> AsyncIterator[Clinic]:
    async with open_clinic(database_url, tmp_path) as clinic:
        yield clinic


@pytest.fixture
async def people(clinic: Clinic) -> People:
    return await populate(clinic)


async def test_a_record_of_another_doctors_patient_is_not_found(clinic: Clinic, people: People):
    with pytest.raises(NotFound):
        await read_record(clinic, people.baker, people.record.id)


async def test_a_hidden_record_and_an_absent_one_fail_alike(clinic: Clinic, people: People):
    failures = []
    for record_id in (people.record.id, new_id()):
        with pytest.raises(NotFound) as caught:
            await read_record(clinic, people.baker, record_id)
        failures.append((caught.value.code, caught.value.detail, caught.value.members))
    assert failures[0] == failures[1]


async def test_nobody_but_its_author_reads_a_draft(clinic: Clinic, people: People):
    for who in ["reception", "nurse", "compliance", "admin", "patient"]:
        with pytest.raises(NotFound):
            await read_record(clinic, getattr(people, who), people.record.id)


async def test_a_refusal_is_on_disk_when_it_is_answered(
    clinic: Clinic, people: People, database_url: str
):
    with pytest.raises(NotFound):
        await read_record(clinic, people.baker, people.record.id)
    event = (await outbox(database_url))[-1]
    assert event["outcome"] == "deny"
    assert event["actor"] == str(people.baker.subject.id)
    assert event["resource_ids"] == [str(people.record.id)]


async def test_a_read_of_nothing_is_on_disk_too(clinic: Clinic, people: People, database_url: str):
    nothing = new_id()
    with pytest.raises(NotFound):
        await read_record(clinic, people.adams, nothing)
    event = (await outbox(database_url))[-1]
    assert (event["outcome"], event["reason"]) == ("deny", "absent")
    assert event["resource_ids"] == [str(nothing)]


async def test_the_treating_doctor_reads_what_was_written(clinic: Clinic, people: People):
    record = await read_record(clinic, people.adams, people.record.id)
    assert record.title == "Megrims"
    assert read(record.content) == {"text": "Aura, then pain behind the left eye."}


async def test_a_read_is_on_disk_with_the_rule_that_allowed_it(
    clinic: Clinic, people: People, database_url: str
):
    await read_record(clinic, people.adams, people.record.id)
    event = (await outbox(database_url))[-1]
    assert (event["action"], event["outcome"]) == ("read", "allow")
    assert event["rule"] == "record-read-doctor"
    assert event["patient"] == str(people.patient_id)


async def test_without_the_trail_nothing_is_read(clinic: Clinic, people: People, database_url: str):
    """The outbox is locked away; the read must fail, not go on without its event."""
    connection = await asyncpg.connect(database_url)
    async with connection.transaction():
        await connection.execute("LOCK TABLE audit.outbox IN ACCESS EXCLUSIVE MODE")
        with pytest.raises(Unavailable):
            await read_record(clinic, people.adams, people.record.id)
    await connection.close()
    assert (await read_record(clinic, people.adams, people.record.id)).title == "Megrims"


async def test_what_the_trail_refuses_at_once_is_not_read_either(
    clinic: Clinic, people: People, database_url: str
):
    connection = await asyncpg.connect(database_url)
    await connection.execute("REVOKE INSERT ON audit.outbox FROM confide_app")
    with pytest.raises(Unavailable):
        await read_record(clinic, people.adams, people.record.id)
    await connection.execute("GRANT INSERT ON audit.outbox TO confide_app")
    await connection.close()


async def test_a_write_is_decided_on_what_stands_and_on_what_would(clinic: Clinic, people: People):
    draft = Resource(
        ResourceType.RECORD,
        id=new_id(),
        patient_id=people.patient_id,
        author_id=people.adams.subject.id,
        status="draft",
        kind="note",
        sensitivity=Sensitivity.NORMAL,
        categories=frozenset(),
        consent_denied=False,
    )
    final = replace(draft, status="final")
    for given, refused in (((draft, draft), 0), ((draft, final), 1), ((final, draft), 1)):
        with pytest.raises(Forbidden) if refused else nullcontext():
            async with clinic.database.transaction() as session:
                await clinic.gate.write(session, people.adams, Action.UPDATE, *given)


async def test_one_who_may_see_a_patient_but_not_register_is_told_so(
    clinic: Clinic, people: People
):
    with pytest.raises(Forbidden):
        async with clinic.database.transaction() as session:
            await register(session, clinic, people.compliance, DETAILS)


async def test_a_write_that_rolls_back_leaves_no_event(
    clinic: Clinic, people: People, database_url: str
):
    before = await outbox(database_url)
    with pytest.raises(RuntimeError):
        async with clinic.database.transaction() as session:
            await register(session, clinic, people.reception, DETAILS)
            raise RuntimeError
    assert await outbox(database_url) == before


async def test_a_list_shows_what_single_reads_allow_and_no_more(clinic: Clinic, people: People):
    async with clinic.database.transaction() as session:
        await register(session, clinic, people.reception, DETAILS)
    everyone = [me for name, me in vars(people).items() if hasattr(me, "subject")]
    all_ids = {p.id for p in (await list_patients(clinic, people.reception, limit=100))[0]}
    for me in everyone:
        listed = {p.id for p in (await list_patients(clinic, me, limit=100))[0]}
        readable = {i for i in all_ids if await _reads(clinic, me, i)}
        assert listed == readable


async def _reads(clinic: Clinic, me: object, patient_id: UUID) -> bool:
    try:
        await read_patient(clinic, me, patient_id)  # type: ignore[arg-type]
    except NotFound:
        return False
    return True


async def test_what_a_list_or_a_search_found_is_decided_once_more(clinic: Clinic, people: People):
    hidden = Resource(
        ResourceType.RECORD,
        id=people.record.id,
        patient_id=people.patient_id,
        author_id=people.adams.subject.id,
        status="final",
        kind="note",
        sensitivity=Sensitivity.NORMAL,
        categories=frozenset(),
        own_appointment=False,
        consent_granted=False,
        consent_denied=False,
        break_glass=False,
        proxied=False,
        in_care_team=False,
    )
    treated = replace(hidden, id=new_id(), in_care_team=True)
    gate, found = clinic.gate, [hidden, treated]
    shown = await gate.disclose(people.baker, ResourceType.RECORD, found)
    compared = await gate.screen(people.baker, ResourceType.RECORD, found, "by code")
    assert shown.keys() == compared.keys() == {treated.id}


async def test_a_list_is_one_event_for_each_patient(
    clinic: Clinic, people: People, database_url: str
):
    async with clinic.database.transaction() as session:
        other = await register(session, clinic, people.reception, DETAILS)
    before = len(await outbox(database_url))
    await list_patients(clinic, people.reception, limit=100)
    events = (await outbox(database_url))[before:]
    assert {e["patient"] for e in events} == {str(people.patient_id), str(other.patient_id)}


async def test_a_search_that_finds_nothing_is_an_event(
    clinic: Clinic, people: People, database_url: str
):
    wanted = Wanted(identifier="no such number")
    assert await search_patients(clinic, people.reception, wanted, limit=20) == ([], None)
    event = (await outbox(database_url))[-1]
    assert (event["action"], event["resource_ids"]) == ("search", [])


async def test_an_identifier_is_found_however_it_is_spelt(clinic: Clinic, people: People):
    wanted = Wanted(identifier="mrn 4711 qx")
    found, _ = await search_patients(clinic, people.reception, wanted, limit=20)
    assert [p.id for p in found] == [people.patient_id]


async def test_a_search_does_not_find_a_patient_whom_the_caller_may_not_see(
    clinic: Clinic, people: People
):
    wanted = Wanted(identifier="MRN-4711-QX")
    assert await search_patients(clinic, people.baker, wanted, limit=20) == ([], None)


async def test_a_permit_for_one_record_opens_no_other(clinic: Clinic, people: People):
    resource = Resource(
        ResourceType.RECORD,
        id=new_id(),
        patient_id=people.patient_id,
        author_id=people.adams.subject.id,
        status="final",
        sensitivity="N",
    )
    permit = await clinic.gate.read(people.adams, Action.READ, resource)
    from records.clinical.models import RecordVersion

    row = {"resource_id": people.record.id, "patient_id": people.patient_id, "row_id": new_id()}
    with pytest.raises(PermissionError):
        clinic.vault.open(permit, RecordVersion, row)


SWAP = """
UPDATE record_version a SET content = b.title FROM record_version b
WHERE a.id = b.id AND a.record_id = $1
"""


async def test_swapped_ciphertexts_fail_clearly_and_on_the_trail(
    clinic: Clinic, people: People, database_url: str
):
    connection = await asyncpg.connect(database_url)
    await connection.execute(SWAP, people.record.id)
    await connection.close()
    with pytest.raises(Unreadable, match="does not open"):
        await read_record(clinic, people.adams, people.record.id)
    event = (await outbox(database_url))[-1]
    assert (event["outcome"], event["reason"]) == ("error", "auth")


async def test_a_destroyed_key_opens_nothing_although_it_was_cached(
    clinic: Clinic, people: People, database_url: str
):
    await read_record(clinic, people.adams, people.record.id)
    connection = await asyncpg.connect(database_url)
    await connection.execute("UPDATE patient_key SET state = 'destroyed', wrapped = NULL")
    await connection.close()
    with pytest.raises(Erased):
        await read_record(clinic, people.adams, people.record.id)


async def test_concurrent_reads_share_their_commits(
    clinic: Clinic, people: People, database_url: str
):
    before = len(await outbox(database_url))
    reads = [read_record(clinic, people.adams, people.record.id) for _ in range(50)]
    await asyncio.gather(*reads)
    connection = await asyncpg.connect(database_url)
    commits = await connection.fetchval("SELECT count(DISTINCT xmin::text) FROM audit.outbox")
    await connection.close()
    assert len(await outbox(database_url)) == before + 50
    assert commits < before + 50


async def test_a_read_and_a_page_of_records_are_two_statements_each(clinic: Clinic, people: People):
    said: list[str] = []
    async with clinic.database.bare() as connection:
        connection.add_query_logger(lambda statement: said.append(statement.query.split()[0]))
    for _ in range(2):
        said.clear()  # at first, the driver asks what types are
        await read_record(clinic, people.adams, people.record.id)
        await list_records(clinic, people.adams, people.patient_id, limit=20)
    assert said == ["SELECT", "INSERT"] * 2


async def test_a_page_of_records_says_of_the_patient_what_the_patients_own_row_says(
    clinic: Clinic, people: People, database_url: str
):
    """Three facts are others of a patient than of a record: here each has another value."""
    connection = await asyncpg.connect(database_url)
    await connection.execute(APART)
    await connection.close()
    span = page(people.adams, 20, None)
    query = clinic.gate.listed(people.adams, reading._OF_PATIENT, span["limit"])
    (row,) = await clinic.database.all(query, patient_id=people.patient_id, **span)
    record, patient = reading.resource_of(row), reading._patient_of(row)
    assert patient == await patient_in_sight(clinic, people.adams, people.patient_id)
    assert (record.own_appointment, record.consent_granted, record.department) == (1, 0, "Eyes")
    assert (patient.own_appointment, patient.consent_granted, patient.department) == (0, 1, "Ears")


async def test_whoever_may_read_records_but_not_their_patient_is_shown_none(
    clinic: Clinic, people: People, database_url: str
):
    barred = Rule("barred", 1, "doctor", "patient", "read", "deny", "True")
    clinic.policy._snapshot = PolicySnapshot.build(1, [*defaults(), barred])
    with pytest.raises(NotFound):
        await list_records(clinic, people.adams, people.patient_id, limit=20)
    event = (await outbox(database_url))[-1]
    assert (event["resource_type"], event["outcome"], event["rule"]) == (
        "patient",
        "deny",
        "barred",
    )


async def test_a_list_of_records_hides_what_a_read_hides(clinic: Clinic, people: People):
    mine, _ = await list_records(clinic, people.adams, people.patient_id, limit=20)
    theirs, _ = await list_records(clinic, people.reception, people.patient_id, limit=20)
    assert [r.id for r in mine] == [people.record.id]
    assert theirs == []


async def test_the_records_of_a_patient_out_of_sight_are_not_found(clinic: Clinic, people: People):
    with pytest.raises(NotFound):
        await list_records(clinic, people.baker, people.patient_id, limit=20)
