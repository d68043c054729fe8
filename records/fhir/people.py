"""People in a bundle: Patient, Practitioner, PractitionerRole, Coverage."""

import re
from collections.abc import Iterator
from datetime import date
from typing import Final

from core.crypto.blind_index import normal_code
from records.fhir.bundle import Bundle, Entry
from records.fhir.elements import address, coding, human_name, telecom, telecoms, use
from records.fhir.found import Found, FoundCoverage, FoundDoctor, FoundPatient, FoundSpecialty
from records.fhir.node import Broken, Node
from records.people.checking import born, is_npi
from records.people.details import CoverageDetails, IdentifierDetails, PatientDetails

NPI: Final = "http://hl7.org/fhir/sid/us-npi"
_SEXES: Final = frozenset({"male", "female", "other", "unknown"})
_TYPE: Final = re.compile(r"[A-Z]{1,8}")
_RELATIONSHIPS: Final = frozenset(
    {"child", "parent", "spouse", "common", "other", "self", "injured"}
)
_DAY: Final = len("2026-01-31")
_UNINSURED: Final = frozenset({"no_insurance", "NO_INSURANCE"})
_INSURANCE_IN: Final = ("Coverage", "Claim", "ExplanationOfBenefit")


def patient(entry: Entry) -> FoundPatient:
    """Understand a Patient; name, birth date, sex and an identifier must be there."""
    resource = entry.resource
    resource.need("name")
    names = resource.each("name")
    name = next((n for n in names if _use(n) == "official"), names[0])
    birth = resource.need("birthDate")
    if not born(birth.day()):
        raise birth.broken("date")
    resource.need("identifier")
    homes = resource.each("address")
    details = PatientDetails(
        name=human_name(name),
        birth_date=birth.day(),
        sex=resource.need("gender").one_of(_SEXES),
        phone=telecom(resource, "phone"),
        email=telecom(resource, "email"),
        address=address(homes[0]) if homes else None,
        emergency_contacts=list(_contacts(resource)) or None,
        other_names=[{**human_name(n), **use(n)} for n in names if n is not name] or None,
        other_phones=telecoms(resource, "phone")[1:] or None,
        other_emails=telecoms(resource, "email")[1:] or None,
        other_addresses=[{**address(a), **use(a)} for a in homes[1:]] or None,
        language=_language(resource),
        deceased=_deceased(resource),
    )
    return FoundPatient(
        resource.pointer, details, [_identifier(i) for i in resource.each("identifier")]
    )


def doctor(entry: Entry, found: Found) -> FoundDoctor:
    """Understand a Practitioner. A number that is no NPI is counted as left, and names the doctor all the same."""
    resource = entry.resource
    resource.need("name")
    name = human_name(resource.each("name")[0])
    numbers = [
        (i.need("system").uri(), i.need("value").text(80)) for i in resource.each("identifier")
    ]
    npi = next((value for system, value in numbers if system == NPI), None)
    if npi and not is_npi(npi):
        found.left["Practitioner", "identifier is no NPI (ten digits, the last one checks)"] += 1
    numbers.sort(key=lambda number: number[0] != NPI)
    identity = "|".join(numbers[0]) if numbers else entry.reference
    if not identity:
        raise Broken(f"{resource.pointer}/identifier", "required")
    email = telecom(resource, "email")
    return FoundDoctor(
        identity,
        name["family"],
        name["given"],
        str(name.get("prefix", ""))[:20] or None,
        npi if npi and is_npi(npi) else None,
        [login for login in (email, npi and f"npi{npi}@import") if login],
        languages=[
            str(c["code"]) for c in map(coding, resource.each("communication")) if "code" in c
        ],
    )


def specialties(bundle: Bundle, entry: Entry) -> Iterator[tuple[Entry | str, FoundSpecialty]]:
    """Yield whose specialty a PractitionerRole says, and which."""
    if holder := entry.resource.get("practitioner"):
        whose = bundle.practitioner(holder)
        for concept in entry.resource.each("specialty"):
            code = coding(concept)
            if "code" in code and "system" in code:
                name = str(code["display"])[:200]
                yield whose, FoundSpecialty(str(code["code"]), str(code["system"]), name)


def coverages(bundle: Bundle, found: Found) -> None:
    """Give every patient the insurances that Coverages, claims and bills name, each once."""
    for entry in bundle.of(*_INSURANCE_IN):
        billed = _billed(entry.resource)
        for covered in (entry.resource, *entry.resource.each("contained")):
            if covered.need("resourceType").value == "Coverage":
                status = covered.get("status")
                if status and status.value != "active":
                    found.left["Coverage", "is not active"] += 1
                    continue
                whose = found.patients[bundle.find(covered.need("beneficiary"), "Patient").index]
                for payor in covered.each("payor"):
                    _cover(found, whose, _coverage(payor, covered), billed)
        for claimed in entry.resource.each("insurance"):
            payor = claimed.need("coverage")
            if payor.get("display") and not payor.get("reference"):
                whose = found.patients[bundle.find(entry.resource.need("patient"), "Patient").index]
                _cover(found, whose, _coverage(payor, None), billed)


def _cover(found: Found, whose: FoundPatient, details: CoverageDetails, billed: date) -> None:
    if details.payor in _UNINSURED:
        found.left["Coverage", "says that there is no insurance"] += 1
        return
    key = details.payor, details.plan, details.member_id, details.group_number
    known = whose.coverages.get(key)
    if known is None or known.billed < billed:
        whose.coverages[key] = FoundCoverage(details, billed)


def _coverage(payor: Node, covered: Node | None) -> CoverageDetails:
    name = payor.need("display").text(200)
    if covered is None:
        return CoverageDetails(name)
    relationship = covered.get("relationship")
    first, last = _days(covered)
    return CoverageDetails(
        payor=name,
        plan=_class(covered, "plan"),
        member_id=covered.optional("subscriberId", 100),
        group_number=_class(covered, "group"),
        relationship=_relationship(relationship) if relationship else "self",
        valid_from=first,
        valid_until=last,
    )


def _class(covered: Node, kind: str) -> str | None:
    for each in covered.each("class"):
        if coding(each.need("type")).get("code") == kind:
            return each.need("value").text(200)
    return None


def _relationship(concept: Node) -> str:
    code = coding(concept).get("code")
    return str(code) if code in _RELATIONSHIPS else "other"


def _days(node: Node) -> tuple[date | None, date | None]:
    """Return the days on which an element's period starts and ends, as far as it says."""
    period = node.get("period")
    first, last = [period and period.get(end) for end in ("start", "end")]
    return _start_of(first), _start_of(last)


def _start_of(moment: Node | None) -> date | None:
    return Node(moment.moment()[:10], moment.pointer).day() if moment else None


def _billed(resource: Node) -> date:
    period = resource.get("billablePeriod")
    return _start_of(period.get("start") if period else None) or date.min


def _identifier(node: Node) -> IdentifierDetails:
    value = node.need("value")
    if not normal_code(value.text(100)):
        raise value.broken("identifier")
    kind = node.get("type")
    code = coding(kind).get("code") if kind else None
    known = code if isinstance(code, str) and _TYPE.fullmatch(code) else "RI"
    system = node.need("system").uri()
    return IdentifierDetails(known, system, value.text(100), use(node).get("use"), *_days(node))


def _contacts(resource: Node) -> Iterator[dict[str, str]]:
    for contact in resource.each("contact"):
        if name := contact.get("name"):
            words = [*(g.text(100) for g in name.each("given")), name.optional("family", 100)]
            whom = {
                "name": " ".join(word for word in words if word),
                "phone": telecom(contact, "phone"),
            }
            yield {key: value for key, value in whom.items() if value}


def _language(resource: Node) -> str | None:
    """Return the code of the language a patient prefers, else of the first one."""
    spoken = resource.each("communication")
    preferred = [s for s in spoken if (said := s.get("preferred")) and said.truth()]
    code = coding((preferred or spoken)[0].need("language")).get("code") if spoken else None
    return str(code)[:35] if code else None


def _deceased(resource: Node) -> date | bool | None:
    """Return the day of death; true where only a year or nothing more is said."""
    if at := resource.get("deceasedDateTime"):
        moment = at.moment()
        return Node(moment[:10], at.pointer).day() if len(moment) >= _DAY else True
    said = resource.get("deceasedBoolean")
    return said.truth() if said else None


def _use(node: Node) -> object:
    use = node.get("use")
    return use.value if use else None
