"""The demo's doctors and patients, made of the tables: the same at each load, but for the day it starts from."""

from collections.abc import Iterator
from datetime import date, datetime, time, timedelta
from random import Random
from typing import Any, Final
from uuid import UUID
from zoneinfo import ZoneInfo

from records.clinical.models import RecordKind
from records.demo.people import DOCTORS, PATIENTS
from records.demo.stories import ALLERGIES, DRUGS, MEASURES, STORIES
from records.fhir.found import (
    FoundCoverage,
    FoundDoctor,
    FoundPatient,
    FoundRecord,
    FoundSpecialty,
    FoundVisit,
)
from records.people.details import CoverageDetails, IdentifierDetails, PatientDetails
from records.scheduling.models import AppointmentStatus
from records.scheduling.supply import Schedule

SEED: Final = 20260701
MRN: Final = "https://clinic.example/mrn"
SSN: Final = "http://hl7.org/fhir/sid/us-ssn"
LICENCE: Final = "urn:oid:2.16.840.1.113883.4.3.25"
LENGTH: Final = timedelta(minutes=30)
ICD10: Final = "http://hl7.org/fhir/sid/icd-10-cm"
LOINC: Final = "http://loinc.org"
RXNORM: Final = "http://www.nlm.nih.gov/research/umls/rxnorm"
SNOMED: Final = "http://snomed.info/sct"


def doctors() -> Iterator[FoundDoctor]:
    """Yield the doctors; a doctor's identity is the part of the login before the @."""
    for login, family, given, npi, specialty, languages, *_ in DOCTORS:
        code, _, name = specialty.partition(" ")
        taught = FoundSpecialty(code, "http://nucc.org/provider-taxonomy", name)
        logins = [f"{login}@demo"]
        yield FoundDoctor(login, family, given, "Dr", npi, logins, [taught], languages.split())


def windows(login: str) -> Iterator[tuple[int, time, time]]:
    """Yield a doctor's weekly windows: ISO weekday, start, end, in the clinic's time."""
    *_, weekdays, hours = next(row for row in DOCTORS if row[0] == login)
    for weekday in map(int, weekdays.split()):
        for window in hours.split():
            first, last = (time.fromisoformat(end) for end in window.split("-"))
            yield weekday, first, last


def schedules(login: str, doctor_id: UUID, zone: str, today: date) -> Iterator[Schedule]:
    """Yield a doctor's windows as rows, without an end."""
    for weekday, first, last in windows(login):
        yield Schedule(
            doctor_id=doctor_id,
            weekday=weekday,
            start_time=first,
            end_time=last,
            time_zone=zone,
            valid_from=today - timedelta(days=730),
        )


def patients(zone: str, today: date) -> Iterator[FoundPatient]:
    """Yield the patients with insurance, past visits and the records of these, and the visits to come."""
    random = Random(SEED)  # noqa: S311 - made-up data, the same at each load
    free = {login: _slots(login, ZoneInfo(zone), today) for login, *_ in DOCTORS}
    for number, row in enumerate(PATIENTS):
        *_, payor, seen_by, stories = row
        treating = [f"dr.{name}" for name in seen_by.replace("*", "").split()]
        patient = _patient(number, row)
        member = f"{payor[:3].upper()}{random.randrange(10**8):08d}"
        insurance = CoverageDetails(payor, "Standard", member, f"G{100 + number % 7}")
        patient.coverages[payor, member] = FoundCoverage(insurance, today)
        patient.team = set(treating)
        for i, story in enumerate(stories.split()):
            doctor = treating[i % len(treating)]
            patient.visits += _past(random, number, doctor, story, ZoneInfo(zone), today)
        patient.visits.sort(key=lambda visit: visit.start)
        if number % 5 == 0:
            patient.visits[0].records.append(_allergy(number, patient.visits[0]))
        if number % 4 != 3:  # noqa: PLR2004 - three of four come again
            start, reason = next(free[treating[0]]), STORIES[stories.split()[0]].reason
            patient.visits.append(
                _visit(f"{number}/next", treating[0], start, reason, AppointmentStatus.BOOKED)
            )
        yield patient


def in_nurses_team(number: int) -> bool:
    """Tell whether the nurse is in the care team of the patient with this number."""
    return "*" in PATIENTS[number][7]


def _patient(number: int, row: list[str]) -> FoundPatient:
    family, given, sex, born, street, place, *_ = row
    city, state, postal_code = place.rsplit(" ", 2)
    handle = f"{given.split()[0]}.{family}".replace(" ", "").replace("'", "").lower()
    details = PatientDetails(
        name={"family": family, "given": given},
        birth_date=date.fromisoformat(born),
        sex=sex,
        phone=f"+1 617 555 {100 + number:04d}",
        email=f"{handle}@mail.example",
        address={
            "line": [street],
            "city": city,
            "state": state,
            "postal_code": postal_code,
            "country": "US",
        },
        emergency_contacts=[
            {"name": f"Kin of {given.split()[0]}", "phone": f"+1 617 555 {150 + number:04d}"}
        ],
    )
    identifiers = [
        IdentifierDetails("MR", MRN, f"MRN-{104_729 + 7_919 * number}"),
        IdentifierDetails("SS", SSN, f"9{10 + number}-{20 + number}-{1000 + 137 * number}"),
    ]
    if number % 3 == 0:
        identifiers.append(IdentifierDetails("DL", LICENCE, f"S9{7_000_000 + 104_729 * number}"))
    return FoundPatient("", details, identifiers)


def _past(
    random: Random, number: int, doctor: str, story: str, zone: ZoneInfo, today: date
) -> Iterator[FoundVisit]:
    """Yield one to three finished visits for one reason, of the last two years."""
    for i in range(random.randint(1, 3)):
        day = today - timedelta(days=random.randint(7 + 200 * i, 200 + 200 * i))
        hours = {weekday: first for weekday, first, _ in reversed(list(windows(doctor)))}
        while day.isoweekday() not in hours:
            day -= timedelta(days=1)
        first = datetime.combine(day, hours[day.isoweekday()], zone)
        start = first + LENGTH * random.randint(0, 5)
        visit = _visit(f"{number}/{story}/{i}", doctor, start, STORIES[story].reason)
        visit.records += _records(random, story, visit)
        yield visit


def _visit(
    reference: str,
    doctor: str,
    start: datetime,
    reason: str,
    status: AppointmentStatus = AppointmentStatus.FULFILLED,
) -> FoundVisit:
    return FoundVisit(f"demo/{reference}", doctor, start, start + LENGTH, reason, status)


def _records(random: Random, story: str, visit: FoundVisit) -> Iterator[FoundRecord]:
    told, when = STORIES[story], visit.start.isoformat()
    yield _record(visit, story, "note", told.reason, {"text": told.note, "period": {"start": when}})
    diagnosis = {"clinicalStatus": "active", "verificationStatus": "confirmed", "recorded": when}
    yield _coded(visit, story, "diagnosis", ICD10, told.icd10, told.diagnosis, diagnosis)
    for name, code, display, unit, low, high, decimals in MEASURES:
        if name == story:
            value = round(random.uniform(float(low), float(high)), int(decimals))
            content = {"status": "final", "effective": when, "value": value, "unit": unit}
            yield _coded(visit, story, "observation", LOINC, code, display, content)
    for name, code, drug, how in DRUGS:
        if name == story:
            dosage = {"status": "active", "intent": "order", "dosageInstruction": [{"text": how}]}
            yield _coded(
                visit, story, "prescription", RXNORM, code, drug, dosage | {"authoredOn": when}
            )


def _allergy(number: int, visit: FoundVisit) -> FoundRecord:
    code, display, criticality = ALLERGIES[number // 5 % len(ALLERGIES)]
    content = {"clinicalStatus": "active", "criticality": criticality}
    return _coded(visit, "checkup", "allergy", SNOMED, code, display, content)


def _coded(
    visit: FoundVisit,
    story: str,
    kind: str,
    system: str,
    code: str,
    display: str,
    content: dict[str, Any],
) -> FoundRecord:
    named = {"system": system, "code": code, "display": display}
    return _record(visit, story, kind, display, {"code": named, **content}, code)


def _record(
    visit: FoundVisit, story: str, kind: str, title: str, content: dict[str, Any], code: str = ""
) -> FoundRecord:
    reference = f"{visit.reference}/{kind}/{code}"
    return FoundRecord("", reference, RecordKind(kind), title, content, STORIES[story].sensitivity)


def _slots(login: str, zone: ZoneInfo, today: date) -> Iterator[datetime]:
    """Yield every third half hour of a doctor's windows, from tomorrow on: most of the time stays free."""
    for days in range(1, 60):
        day = today + timedelta(days=days)
        for weekday, first, last in windows(login):
            start = datetime.combine(day, first, zone)
            while weekday == day.isoweekday() and start + LENGTH <= datetime.combine(
                day, last, zone
            ):
                yield start
                start += 3 * LENGTH
