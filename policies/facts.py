"""What a decision may look at: plain values, loaded beforehand, with no way back to the database.

`SCHEMA` is the one table of the attributes a rule may name (`r.sub.id`, `r.obj.author_id`, …). A name
in a rule is the name of the field here, so that a rule reads alike in Casbin, Python and SQL.
"""

from collections.abc import Mapping
from dataclasses import dataclass, field
from enum import StrEnum
from typing import Final
from uuid import UUID

from policies.clearance import LABELS
from policies.vocabulary import Category, Purpose, ResourceType, Role, Sensitivity


@dataclass(frozen=True, slots=True, repr=False)
class Subject:
    """Who asks. `id` is the account's; `roles` are those active in this session, not all ever granted.

    `clearances` are the confidentialities and the categories that the account may read. `on_shift` tells whether hours
    of theirs run now: None where no hours are kept for them.
    """

    id: UUID
    roles: frozenset[Role]
    doctor_id: UUID | None = None
    patient_id: UUID | None = None
    clearances: frozenset[str] = frozenset({Sensitivity.NORMAL})
    department: str | None = None
    on_shift: bool | None = None

    def __repr__(self) -> str:
        return f"subject {self.id}"


CLOCKWORK: Final = Subject(UUID(int=0), frozenset({Role.CLOCKWORK}))
"""The clinic itself, when a task does what is due: it has no account and no login."""


@dataclass(frozen=True, slots=True)
class Environment:
    purpose: Purpose


@dataclass(frozen=True, slots=True, repr=False)
class Resource:
    """What is asked for. `None` is "not known": it never grants and always denies.

    `in_care_team` and those after it are relations between the subject and the patient concerned; in SQL they are an
    EXISTS. `department` is that of the doctor concerned: who holds the visit, or whom the patient prefers.
    `patient_id` is the person; no rule sees `chart_id`, which is the id that the row was sealed for, where the
    person has several. Rows are equal that are alike in all but their ids: nearly every rule decides them alike.
    """

    type: ResourceType
    id: UUID | None = field(default=None, compare=False)
    patient_id: UUID | None = None
    author_id: UUID | None = None
    doctor_id: UUID | None = None
    status: str | None = None
    kind: str | None = None
    sensitivity: Sensitivity | None = None
    categories: frozenset[str] | None = None
    in_care_team: bool | None = None
    own_appointment: bool | None = None
    consent_granted: bool | None = None
    consent_denied: bool | None = None
    break_glass: bool | None = None
    proxied: bool | None = None
    department: str | None = None
    chart_id: UUID | None = field(default=None, compare=False)

    def __repr__(self) -> str:
        return f"{self.type} {self.id}"


class Kind(StrEnum):
    ID = "id"
    TEXT = "text"
    FLAG = "flag"
    SET = "set"


EVERYWHERE: Final = frozenset(ResourceType)
_OF_PATIENT: Final = frozenset(
    {
        ResourceType.PATIENT,
        ResourceType.COVERAGE,
        ResourceType.APPOINTMENT,
        ResourceType.WAITLIST,
        ResourceType.RECORD,
        ResourceType.CARE_TEAM,
        ResourceType.CONSENT,
        ResourceType.PROXY,
        ResourceType.BREAK_GLASS,
    }
)
_WITH_STATUS: Final = frozenset(
    {
        ResourceType.APPOINTMENT,
        ResourceType.WAITLIST,
        ResourceType.RECORD,
        ResourceType.ACCOUNT,
        ResourceType.POLICY,
        ResourceType.DISCLOSURE,
    }
)


@dataclass(frozen=True, slots=True)
class Attribute:
    """One attribute: its kind, whether it may be unknown, where it exists, its words if they are closed."""

    kind: Kind
    types: frozenset[ResourceType] = EVERYWHERE
    nullable: bool = True
    words: frozenset[str] | None = None


SCHEMA: Final[Mapping[tuple[str, str], Attribute]] = {
    ("sub", "id"): Attribute(Kind.ID, nullable=False),
    ("sub", "doctor_id"): Attribute(Kind.ID),
    ("sub", "patient_id"): Attribute(Kind.ID),
    ("sub", "clearances"): Attribute(Kind.SET, nullable=False, words=LABELS),
    ("sub", "department"): Attribute(Kind.TEXT),
    ("sub", "on_shift"): Attribute(Kind.FLAG),
    ("env", "purpose"): Attribute(Kind.TEXT, nullable=False, words=frozenset(Purpose)),
    ("obj", "id"): Attribute(Kind.ID),
    ("obj", "patient_id"): Attribute(
        Kind.ID, _OF_PATIENT | {ResourceType.AUDIT_EVENT, ResourceType.DISCLOSURE}
    ),
    ("obj", "author_id"): Attribute(
        Kind.ID, frozenset({ResourceType.RECORD, ResourceType.POLICY, ResourceType.BREAK_GLASS})
    ),
    ("obj", "doctor_id"): Attribute(
        Kind.ID,
        frozenset(
            {
                ResourceType.DOCTOR,
                ResourceType.SCHEDULE,
                ResourceType.APPOINTMENT,
                ResourceType.RECORD,
            }
        ),
    ),
    ("obj", "status"): Attribute(Kind.TEXT, _WITH_STATUS),
    ("obj", "department"): Attribute(
        Kind.TEXT,
        frozenset(
            {
                ResourceType.PATIENT,
                ResourceType.COVERAGE,
                ResourceType.APPOINTMENT,
                ResourceType.WAITLIST,
                ResourceType.RECORD,
            }
        ),
    ),
    ("obj", "kind"): Attribute(Kind.TEXT, frozenset({ResourceType.RECORD})),
    ("obj", "sensitivity"): Attribute(
        Kind.TEXT, frozenset({ResourceType.RECORD}), words=frozenset(Sensitivity)
    ),
    ("obj", "categories"): Attribute(
        Kind.SET, frozenset({ResourceType.RECORD}), words=frozenset(Category)
    ),
    ("obj", "in_care_team"): Attribute(Kind.FLAG, _OF_PATIENT),
    ("obj", "own_appointment"): Attribute(Kind.FLAG, _OF_PATIENT),
    ("obj", "consent_granted"): Attribute(Kind.FLAG, _OF_PATIENT),
    ("obj", "consent_denied"): Attribute(Kind.FLAG, frozenset({ResourceType.RECORD})),
    ("obj", "break_glass"): Attribute(Kind.FLAG, _OF_PATIENT),
    ("obj", "proxied"): Attribute(Kind.FLAG, _OF_PATIENT),
}
