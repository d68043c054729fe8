"""Who a patient is, as plain values: what is registered, imported, amended, and kept as history."""

from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass, field, fields
from datetime import date, datetime
from typing import Any
from uuid import UUID

from core.clock import now
from core.crypto.envelope import DataKey
from policies.permit import Permit


@dataclass(frozen=True, slots=True)
class PatientDetails:
    """Who a patient is. `name` has `family` and `given`; nearly everything here is PHI.

    `other_phones` and `other_emails` have a `value`, `other_names` and `other_addresses` are like the first one;
    each may have a `use`. `deceased` is the date of death, or that the date is not known.
    """

    name: Mapping[str, Any]
    birth_date: date
    sex: str
    phone: str | None = None
    email: str | None = None
    address: Mapping[str, Any] | None = None
    emergency_contacts: Sequence[Mapping[str, Any]] | None = None
    other_names: Sequence[Mapping[str, Any]] | None = None
    other_phones: Sequence[Mapping[str, Any]] | None = None
    other_emails: Sequence[Mapping[str, Any]] | None = None
    other_addresses: Sequence[Mapping[str, Any]] | None = None
    language: str | None = None
    deceased: bool | date | None = None
    preferred_doctor_id: UUID | None = None
    active: bool = True

    @classmethod
    def of(cls, values: Mapping[str, Any]) -> "PatientDetails":
        """Return the details among other values, say of an opened row."""
        return cls(**{f.name: values[f.name] for f in fields(cls) if f.name in values})


@dataclass(frozen=True, slots=True)
class IdentifierDetails:
    """A number that names a patient: HL7 v2-0203 type code, the system's URI, the value, FHIR's use, a period."""

    type: str
    system: str
    value: str
    use: str | None = None
    valid_from: date | None = None
    valid_until: date | None = None

    def known(self) -> dict[str, Any]:
        """Return what is known of it, by name."""
        return {name: value for name, value in asdict(self).items() if value is not None}


@dataclass(frozen=True, slots=True)
class CoverageDetails:
    """An insurance; `position` 1 is the primary one. `eligibility` is what the payor last said, None: not asked."""

    payor: str
    plan: str | None = None
    member_id: str | None = None
    group_number: str | None = None
    relationship: str = "self"
    position: int = 1
    valid_from: date | None = None
    valid_until: date | None = None
    status: str = "active"
    eligibility: str | None = None


@dataclass(frozen=True, slots=True)
class Chart:
    """A patient at hand for writing: the permit to write, the key to seal with, and when it is."""

    patient_id: UUID
    permit: Permit
    key: DataKey
    at: datetime = field(default_factory=now)


def image(details: PatientDetails, identifiers: Sequence[IdentifierDetails]) -> dict[str, Any]:
    """Return a patient as JSON, without what is not known: what history keeps, and what a patch is merged into."""
    known = {name: value for name, value in asdict(details).items() if value not in (None, [], ())}
    plain: dict[str, Any] = _plain({**known, "identifiers": [i.known() for i in identifiers]})
    return plain


def _plain(value: Any) -> Any:
    match value:
        case Mapping():
            return {name: _plain(item) for name, item in value.items()}
        case list() | tuple():
            return [_plain(item) for item in value]
        case date() | UUID():
            return str(value)
        case _:
            return value
