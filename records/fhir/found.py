"""What was understood of a bundle: checked values, before anything of it is stored."""

from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from datetime import date, datetime
from typing import Any

from policies.vocabulary import Category, Sensitivity
from records.clinical.models import RecordKind
from records.people.details import CoverageDetails, IdentifierDetails, PatientDetails
from records.scheduling.models import AppointmentStatus


@dataclass(frozen=True, slots=True)
class FoundSpecialty:
    """A specialty as its code, its code system and its name."""

    code: str
    system: str
    display: str


@dataclass(slots=True, repr=False)
class FoundDoctor:
    """A Practitioner. `identity` is `system|value` of the first identifier: the same in every bundle."""

    identity: str
    family: str = ""
    given: str = ""
    prefix: str | None = None
    npi: str | None = None
    logins: Sequence[str] = ()
    specialties: list[FoundSpecialty] = field(default_factory=list)
    languages: Sequence[str] = ()
    elsewhere: str | None = None
    """Of one that another bundle brought: the pointer of the reference that needs it."""


@dataclass(frozen=True, slots=True, repr=False)
class FoundRecord:
    """One medical record; `reference` names the resource it was made of, `pointer` where that stands."""

    pointer: str
    reference: str
    kind: RecordKind
    title: str
    content: Mapping[str, Any]
    sensitivity: Sensitivity
    categories: frozenset[Category] = frozenset()


@dataclass(slots=True, repr=False)
class FoundVisit:
    """A visit, with what was written at it: a finished ambulatory Encounter. `doctor` is an identity."""

    reference: str
    doctor: str
    start: datetime
    end: datetime
    reason: str
    status: AppointmentStatus = AppointmentStatus.FULFILLED
    records: list[FoundRecord] = field(default_factory=list)


@dataclass(frozen=True, slots=True, repr=False)
class FoundCoverage:
    """An insurance, and the last day a bill named it: the latest is the primary one."""

    details: CoverageDetails
    billed: date


@dataclass(slots=True, repr=False)
class FoundPatient:
    """A Patient with everything that is theirs. `team` holds the identities of doctors."""

    pointer: str
    details: PatientDetails
    identifiers: Sequence[IdentifierDetails]
    coverages: dict[tuple[str | None, ...], FoundCoverage] = field(default_factory=dict)
    visits: list[FoundVisit] = field(default_factory=list)
    team: set[str] = field(default_factory=set)


@dataclass(slots=True, repr=False)
class Found:
    """Everything of one bundle. `doctors` by identity; `by_entry` and `patients` by index; `left` counts what is not kept, by resource type and reason."""

    doctors: dict[str, FoundDoctor] = field(default_factory=dict)
    by_entry: dict[int, FoundDoctor] = field(default_factory=dict)
    patients: dict[int, FoundPatient] = field(default_factory=dict)
    left: Counter[tuple[str, str]] = field(default_factory=Counter)
