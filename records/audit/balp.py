"""An event as FHIR R4 AuditEvent in the IHE BALP profiles: what other systems' auditors read. Ids and codes only, as ever."""

import base64
from collections.abc import Mapping
from typing import Any, Final

Json = dict[str, Any]

_DICOM: Final = "http://dicom.nema.org/resources/ontology/DCM"
_TYPE: Final = "http://terminology.hl7.org/CodeSystem/audit-event-type"
_ENTITY: Final = "http://terminology.hl7.org/CodeSystem/audit-entity-type"
_ROLE: Final = "http://terminology.hl7.org/CodeSystem/object-role"
_INTERACTION: Final = "http://hl7.org/fhir/restful-interaction"
_REASON: Final = "http://terminology.hl7.org/CodeSystem/v3-ActReason"
_PARTICIPATION: Final = "http://terminology.hl7.org/CodeSystem/v3-ParticipationType"
_CUSTODIAN: Final = "http://terminology.hl7.org/CodeSystem/provenance-participant-type"
_SOURCE: Final = "http://terminology.hl7.org/CodeSystem/security-source-type"
_BALP: Final = "https://profiles.ihe.net/ITI/BALP"

_INTERACTIONS: Final[Mapping[str, tuple[str, str, str]]] = {
    "read": ("read", "R", "Read"),
    "search": ("search", "E", "Query"),
    "create": ("create", "C", "Create"),
    "book": ("create", "C", "Create"),
    "import": ("create", "C", "Create"),
    "delete": ("delete", "D", "Delete"),
}
"""FHIR interaction, audit action and BALP profile by what was done; everything else changes something."""
_UPDATE: Final = ("update", "U", "Update")
_LOGINS: Final = {
    "login": ("110122", "Login"),
    "logout": ("110123", "Logout"),
    "token": ("110122", "Login"),
}
_OUTCOMES: Final = {"allow": "0", "deny": "4", "error": "8"}
_KINDS: Final = {
    "patient": "Patient",
    "coverage": "Coverage",
    "appointment": "Appointment",
    "record": "DocumentReference",
    "doctor": "Practitioner",
    "audit_event": "AuditEvent",
    "location": "Location",
    "service": "HealthcareService",
    "schedule": "Schedule",
    "slot": "Slot",
}


def audit_event(event: Mapping[str, Any], issuer: str) -> Json:
    """Return an event as AuditEvent; `issuer` is this service's address."""
    login = _LOGINS.get(event["action"])
    interaction, action, profile = _INTERACTIONS.get(event["action"], _UPDATE)
    found: Json = {
        "resourceType": "AuditEvent",
        "id": event["id"],
        "type": _code(_DICOM, "110114", "User Authentication") if login else _code(_TYPE, "rest"),
        "subtype": [_code(_DICOM, *login) if login else _code(_INTERACTION, interaction)],
        "action": "E" if login else action,
        "recorded": event["occurred_at"],
        "outcome": _OUTCOMES[event["outcome"]],
        "purposeOfEvent": [{"coding": [_code(_REASON, event["purpose"])]}],
        "agent": [*_machines(event, action, issuer), *_user(event, issuer)],
        "source": {
            "observer": _named(issuer, issuer),
            "type": [_code(_SOURCE, "4", "Application Server")],
        },
        "entity": _entities(event, action),
    }
    if not login:
        found["meta"] = {"profile": [_profile(profile, event)]}
    if event["reason"]:
        found["outcomeDesc"] = event["reason"]
    return found


def _profile(name: str, event: Mapping[str, Any]) -> str:
    whose = "Patient" if event["patient"] else ""
    return f"{_BALP}/StructureDefinition/IHE.BasicAudit.{whose}{name}"


def _machines(event: Mapping[str, Any], action: str, issuer: str) -> list[Json]:
    """The client and the server. Data flow from source to destination, so a read turns them round."""
    source, destination = (
        _code(_DICOM, "110153", "Source Role ID"),
        _code(_DICOM, "110152", "Destination Role ID"),
    )
    client, server = (destination, source) if action == "R" else (source, destination)
    if action == "D":
        client, server = _code(_DICOM, "110150", "Application"), _code(_CUSTODIAN, "custodian")
    network = {"network": {"address": event["network"], "type": "2"}} if event["network"] else {}
    return [
        {
            "type": {"coding": [client]},
            "who": _named(issuer, event["client"] or "unknown"),
            "requestor": False,
            **network,
        },
        {
            "type": {"coding": [server]},
            "who": _named(issuer, issuer),
            "requestor": False,
            "network": {"address": issuer, "type": "5"},
        },
    ]


def _user(event: Mapping[str, Any], issuer: str) -> list[Json]:
    if not event["actor"]:
        return []
    session = {"policy": [f"urn:uuid:{event['session']}"]} if event["session"] else {}
    return [
        {
            "type": {"coding": [_code(_PARTICIPATION, "IRCP", "information recipient")]},
            "who": _named(issuer, event["actor"]),
            "requestor": True,
            "role": [{"text": role} for role in event["roles"]],
            "purposeOfUse": [{"coding": [_code(_REASON, event["purpose"])]}],
            **session,
        }
    ]


def _entities(event: Mapping[str, Any], action: str) -> list[Json]:
    kind = _KINDS.get(event["resource_type"], "Basic")
    data = [
        {
            "what": {"reference": f"{kind}/{each}"},
            "type": _code(_ENTITY, "2", "System Object"),
            "role": _code(_ROLE, "4", "Domain Resource"),
        }
        for each in event["resource_ids"]
    ]
    found = data if action != "E" else [_query(event), *data]
    if event["patient"]:
        found.append(
            {
                "what": {"reference": f"Patient/{event['patient']}"},
                "type": _code(_ENTITY, "1", "Person"),
                "role": _code(_ROLE, "1", "Patient"),
            }
        )
    if event["request_id"]:
        found.append(
            {
                "what": {"identifier": {"value": event["request_id"]}},
                "type": _code(f"{_BALP}/CodeSystem/BasicAuditEntityType", "XrequestId"),
            }
        )
    return found


def _query(event: Mapping[str, Any]) -> Json:
    """What was asked: the route's template. The words asked for are PHI and are not kept."""
    return {
        "type": _code(_ENTITY, "2", "System Object"),
        "role": _code(_ROLE, "24", "Query"),
        "query": base64.b64encode(event["endpoint"].encode()).decode(),
    }


def _named(system: str, value: str) -> Json:
    return {"identifier": {"system": system, "value": value}}


def _code(system: str, code: str, display: str = "") -> Json:
    return {"system": system, "code": code, **({"display": display} if display else {})}
