"""Rules that a patient's numbers and addresses must keep. Imports are spared: what another system wrote stays as it was."""

import re
from collections.abc import Callable, Collection, Iterator, Mapping, Sequence
from datetime import date
from typing import Any, Final

from stdnum import luhn
from stdnum.br import cpf
from stdnum.ch import ssn as ahv
from stdnum.dk import cpr
from stdnum.fi import hetu
from stdnum.fr import nir
from stdnum.gb import nhs
from stdnum.it import codicefiscale
from stdnum.nl import bsn
from stdnum.no import fodselsnummer
from stdnum.se import personnummer
from stdnum.us import ssn

from core.clock import today
from core.crypto.blind_index import normal_code
from core.errors import FieldError, Invalid
from records.people.contact import email_address, phone_number
from records.people.details import IdentifierDetails, PatientDetails

SCHEMES: Final[Mapping[str, Callable[[str], bool]]] = {
    "http://hl7.org/fhir/sid/us-ssn": ssn.is_valid,
    "urn:oid:2.16.840.1.113883.4.1": ssn.is_valid,
    "https://fhir.nhs.uk/Id/nhs-number": nhs.is_valid,
    "urn:oid:2.16.840.1.113883.2.1.4.1": nhs.is_valid,
    "http://fhir.nl/fhir/NamingSystem/bsn": bsn.is_valid,
    "http://hl7.it/sid/codiceFiscale": codicefiscale.is_valid,
    "http://rnds.saude.gov.br/fhir/r4/NamingSystem/cpf": cpf.is_valid,
    "urn:oid:1.2.208.176.1.2": cpr.is_valid,
    "urn:oid:1.2.246.21": hetu.is_valid,
    "urn:oid:1.2.250.1.213.1.4.8": nir.is_valid,
    "urn:oid:1.2.752.129.2.1.3.1": personnummer.is_valid,
    "urn:oid:2.16.578.1.12.4.1.4.1": fodselsnummer.is_valid,
    "urn:oid:2.16.756.5.32": ahv.is_valid,
}
"""Systems of identifiers whose values can be told right from wrong by themselves."""

LUHN: Final = "#luhn"
"""A clinic's own system that ends so has Luhn's check digit (ISO/IEC 7812-1)."""

Faults = Iterator[FieldError]
_NPI: Final = re.compile(r"[0-9]{10}")


def is_npi(number: str) -> bool:
    """Tell whether a number is an NPI: ten digits, right by Luhn with 80840 before them (45 CFR 162.406)."""
    return bool(_NPI.fullmatch(number)) and luhn.is_valid(f"80840{number}")


def check(
    details: PatientDetails, identifiers: Sequence[IdentifierDetails], only: Collection[str]
) -> None:
    """Raise Invalid for what breaks a rule in the fields named."""
    faults = [*_faults(details), *faulty_identifiers(identifiers)]
    wanted = [fault for fault in faults if fault.pointer.split("/")[1] in only]
    if wanted:
        raise Invalid(errors=wanted)


def born(day: date) -> bool:
    """Tell whether somebody may have been born on a day: between 1850 and the clinic's today."""
    return date(1850, 1, 1) <= day <= today()


def faulty_identifiers(
    identifiers: Sequence[IdentifierDetails], pointer: str = "/identifiers/{}"
) -> Faults:
    """Yield what is wrong with identifiers: an empty value, a check digit, a period that ends before it begins."""
    for number, each in enumerate(identifiers):
        at = pointer.format(number)
        right = luhn.is_valid if each.system.endswith(LUHN) else SCHEMES.get(each.system)
        if not normal_code(each.value) or (right and not right(each.value)):
            yield FieldError(f"{at}/value", "identifier", "the system has no such number")
        if each.valid_from and each.valid_until and each.valid_until < each.valid_from:
            yield FieldError(f"{at}/valid_until", "period", "a period ends after it begins")


def _faults(details: PatientDetails) -> Faults:
    for at, text in _texts(details, "phone", "other_phones", "emergency_contacts"):
        if phone_number(text) is None:
            yield FieldError(at, "phone", "this cannot be dialled")
    for at, text in _texts(details, "email", "other_emails"):
        if email_address(text) is None:
            yield FieldError(at, "email", "this is no e-mail address")
    if not isinstance(details.deceased, bool | None) and not (
        details.birth_date <= details.deceased <= today()
    ):
        yield FieldError("/deceased", "date", "a death lies between the birth and today")


def _texts(details: PatientDetails, first: str, *lists: str) -> Iterator[tuple[str, str]]:
    """Yield the pointer and the text of a contact's first value, and of those in lists."""
    if text := getattr(details, first):
        yield f"/{first}", text
    for name in lists:
        points: Sequence[Mapping[str, Any]] = getattr(details, name) or ()
        for number, point in enumerate(points):
            field = "value" if "value" in point else first
            if point.get(field):
                yield f"/{name}/{number}/{field}", point[field]
