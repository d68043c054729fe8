"""A FHIR transaction bundle made by hand: one patient, one doctor, two visits and what was written at the first."""

from copy import deepcopy
from pathlib import Path
from typing import Any

import orjson

NPI = "http://hl7.org/fhir/sid/us-npi"
SNOMED, LOINC = "http://snomed.info/sct", "http://loinc.org"
V2, V3 = "http://terminology.hl7.org/CodeSystem/v2-0203", "http://terminology.hl7.org/CodeSystem/v3"
SECRET = "Zyzzyvara"
"""A family name that must not get out of a bundle."""


def concept(system: str, code: str, display: str) -> dict[str, Any]:
    return {"coding": [{"system": system, "code": code, "display": display}], "text": display}


def _entry(resource: dict[str, Any]) -> dict[str, Any]:
    kind, name = resource["resourceType"], resource["id"]
    request = {"method": "POST", "url": kind}
    return {"fullUrl": f"urn:uuid:{name}", "resource": resource, "request": request}


def _to(name: str) -> dict[str, str]:
    return {"reference": f"urn:uuid:{name}"}


PATIENT = {
    "resourceType": "Patient",
    "id": "p1",
    "identifier": [
        {"type": concept(V2, "MR", "MRN"), "system": "http://h.example/mrn", "value": "M-77-Q"},
        {"type": concept(V2, "SS", "SSN"), "system": "http://hl7.org/fhir/sid/us-ssn", "value": "999-12-3456"},
    ],
    "name": [{"use": "official", "family": SECRET, "given": ["Ada", "May"], "prefix": ["Ms."]}],
    "telecom": [{"system": "phone", "value": "555-010-4477"}, {"system": "email", "value": "ada@zyz.example"}],
    "gender": "female",
    "birthDate": "1984-07-02",
    "address": [{"line": ["9 Doyle Corner"], "city": "Wilmington", "state": "MA", "postalCode": "01887"}],
    "contact": [{"name": {"family": "Strosin", "given": ["Kami"]}, "telecom": [{"system": "phone", "value": "555-010-4478"}]}],
    "maritalStatus": concept(V3, "M", "Married"),
}  # fmt: skip
DOCTOR = {
    "resourceType": "Practitioner",
    "id": "d1",
    "identifier": [{"system": NPI, "value": "2900001019"}],
    "name": [{"family": "Kassulke", "given": ["June"], "prefix": ["Dr."]}],
    "telecom": [{"system": "email", "value": "june@h.example"}],
}
ROLE = {
    "resourceType": "PractitionerRole",
    "id": "r1",
    "practitioner": _to("d1"),
    "specialty": [concept("http://nucc.org/provider-taxonomy", "207Q00000X", "Family Medicine")],
}
COVERAGE = {
    "resourceType": "Coverage",
    "id": "c1",
    "status": "active",
    "beneficiary": _to("p1"),
    "payor": [{"display": "Harbor Mutual"}],
    "subscriberId": "HM-5521",
    "relationship": {"coding": [{"code": "spouse"}]},
    "class": [{"type": {"coding": [{"code": "plan"}]}, "value": "Silver 40"}, {"type": {"coding": [{"code": "group"}]}, "value": "G-9"}],
    "period": {"start": "2018-01-01", "end": "2018-12-31"},
}  # fmt: skip


def _visit(name: str, kind: str, day: str, status: str = "finished") -> dict[str, Any]:
    return {
        "resourceType": "Encounter",
        "id": name,
        "status": status,
        "class": {"code": kind},
        "type": [concept(SNOMED, "185349003", "Encounter for check up")],
        "reasonCode": [concept(SNOMED, "25064002", "Headache behind one eye")],
        "subject": _to("p1"),
        "participant": [{"individual": _to("d1")}],
        "period": {"start": f"{day}T15:00:00+02:00", "end": f"{day}T15:20:00+02:00"},
    }


def _written(kind: str, name: str, **elements: Any) -> dict[str, Any]:
    who = "patient" if kind == "AllergyIntolerance" else "subject"
    return {"resourceType": kind, "id": name, who: _to("p1"), "encounter": _to("e1"), **elements}


RESOURCES = [
    PATIENT,
    DOCTOR,
    ROLE,
    COVERAGE,
    _visit("e1", "AMB", "2018-09-17"),
    _visit("e2", "EMER", "2018-10-01"),
    _written(
        "Condition",
        "k1",
        clinicalStatus=concept(V3, "active", "Active"),
        verificationStatus=concept(V3, "confirmed", "Confirmed"),
        code=concept(SNOMED, "37796009", "Migraine (disorder)"),
        onsetDateTime="2018-09-17T15:00:00+02:00",
        meta={
            "security": [
                {
                    "system": "http://terminology.hl7.org/CodeSystem/v3-Confidentiality",
                    "code": "R",
                }
            ]
        },
    ),
    _written(
        "MedicationRequest",
        "m1",
        status="active",
        intent="order",
        medicationCodeableConcept=concept(
            "http://www.nlm.nih.gov/research/umls/rxnorm", "313782", "Acetaminophen 325 MG"
        ),
        authoredOn="2018-09-17",
        dosageInstruction=[{"text": "one tablet when needed", "asNeededBoolean": True}],
        reasonReference=[_to("k1")],
    ),
    _written(
        "Observation",
        "o1",
        status="final",
        code=concept(LOINC, "55284-4", "Blood Pressure"),
        effectiveDateTime="2018-09-17T15:00:00+02:00",
        component=[
            {
                "code": concept(LOINC, "8480-6", "Systolic"),
                "valueQuantity": {"value": 139.5, "unit": "mm[Hg]"},
            }
        ],
    ),
    _written("AllergyIntolerance", "a1", code=concept(SNOMED, "91936005", "Allergy to penicillin")),
    _written("Procedure", "x1", status="completed"),
]


def small_bundle() -> dict[str, Any]:
    """Return the bundle anew: a test may break it."""
    return {
        "resourceType": "Bundle",
        "type": "transaction",
        "entry": [_entry(deepcopy(resource)) for resource in RESOURCES],
    }


def resource(bundle: dict[str, Any], name: str) -> dict[str, Any]:
    """Return a resource of a bundle by its id."""
    return next(e["resource"] for e in bundle["entry"] if e["resource"]["id"] == name)


def save(bundle: dict[str, Any], file: Path) -> Path:
    file.write_bytes(orjson.dumps(bundle))
    return file
