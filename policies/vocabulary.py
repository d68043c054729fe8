"""The closed sets a rule may speak of. A word outside them is refused when the rule is loaded."""

from collections.abc import Mapping
from enum import StrEnum


class Role(StrEnum):
    """What somebody is here. `clockwork` is the clinic's own tasks: no account has it."""

    ADMIN = "admin"
    DOCTOR = "doctor"
    NURSE = "nurse"
    RECEPTIONIST = "receptionist"
    PATIENT = "patient"
    COMPLIANCE = "compliance"
    CLOCKWORK = "clockwork"


class Action(StrEnum):
    """What one may do to a resource. `notify` is to use an address without showing it. `search` is to list.

    `book` is to make an appointment that holds its time, or to confirm one; to `create` one is to propose it.
    `attend` is the course of a visit (check-in to completion, no-show); `retract` says that it never was. `amend` is
    to say anew what a signed record says; `addend` is to add a record to it.
    `erase` is to destroy a patient's keys; `hold` forbids that.
    `merge` is to join two files of one person, and to part them.
    `override` is to book outside a doctor's hours, and nearer or further off than the service has it.
    """

    READ = "read"
    SEARCH = "search"
    CREATE = "create"
    UPDATE = "update"
    REVIEW = "review"
    DELETE = "delete"
    SIGN = "sign"
    COSIGN = "cosign"
    AMEND = "amend"
    ADDEND = "addend"
    BOOK = "book"
    CANCEL = "cancel"
    ATTEND = "attend"
    RETRACT = "retract"
    OVERRIDE = "override"
    NOTIFY = "notify"
    IMPORT = "import"
    EXPORT = "export"
    MERGE = "merge"
    PUBLISH = "publish"
    ERASE = "erase"
    HOLD = "hold"
    EXPLAIN = "explain"


class ResourceType(StrEnum):
    PATIENT = "patient"
    COVERAGE = "coverage"
    DOCTOR = "doctor"
    SERVICE = "service"
    LOCATION = "location"
    SCHEDULE = "schedule"
    SLOT = "slot"
    APPOINTMENT = "appointment"
    WAITLIST = "waitlist"
    RECORD = "record"
    CARE_TEAM = "care_team"
    CONSENT = "consent"
    PROXY = "proxy"
    BREAK_GLASS = "break_glass"
    ACCOUNT = "account"
    CLIENT = "client"
    POLICY = "policy"
    AUDIT_EVENT = "audit_event"
    ALERT = "alert"
    DISCLOSURE = "disclosure"
    KEY = "key"


class Sensitivity(StrEnum):
    """HL7 v3 Confidentiality, the three a clinic uses: normal, restricted, very restricted."""

    NORMAL = "N"
    RESTRICTED = "R"
    VERY_RESTRICTED = "V"


class Category(StrEnum):
    """HL7 v3 ActCode, information sensitivity: what a record is about that not every reader may know of."""

    PSYCHIATRY = "PSY"
    HIV = "HIV"
    SUBSTANCE_ABUSE = "ETH"
    SUBSTANCE_USE_DISORDER = "SUD"
    SEXUALITY = "SEX"


class Purpose(StrEnum):
    """HL7 v3 ActReason, value set PurposeOfUse: why somebody asks."""

    TREATMENT = "TREAT"
    PAYMENT = "HPAYMT"
    OPERATIONS = "HOPERAT"
    COMPLIANCE = "HCOMPL"
    EMERGENCY = "ETREAT"
    PATIENT_REQUEST = "PATRQT"


class Outcome(StrEnum):
    """What a rule says, and what a decision comes to."""

    ALLOW = "allow"
    DENY = "deny"


EVERY_ROLE = frozenset(Role) - {Role.CLOCKWORK}
"""Everybody with an account."""

_OF_CLINICIANS = frozenset({Purpose.TREATMENT, Purpose.EMERGENCY, Purpose.OPERATIONS})
CLAIMS: Mapping[Role, frozenset[Purpose]] = {
    Role.ADMIN: frozenset({Purpose.OPERATIONS}),
    Role.DOCTOR: _OF_CLINICIANS,
    Role.NURSE: _OF_CLINICIANS,
    Role.RECEPTIONIST: frozenset(
        {Purpose.TREATMENT, Purpose.PAYMENT, Purpose.OPERATIONS, Purpose.PATIENT_REQUEST}
    ),
    Role.PATIENT: frozenset({Purpose.PATIENT_REQUEST}),
    Role.COMPLIANCE: frozenset({Purpose.COMPLIANCE, Purpose.OPERATIONS}),
}
"""The purposes of use that a role may claim."""
UNNAMED = frozenset({Role.PATIENT})
"""Roles whose holders' accounts carry no name in clear."""

KEEPERS: frozenset[Role] = frozenset({Role.ADMIN})
"""Who runs the system, and has no business with what it holds of patients."""

# Names that stand for several roles in a rule; a role stands for itself.
ROLE_GROUPS: Mapping[str, frozenset[Role]] = {
    "anyone": EVERY_ROLE,
    "staff": EVERY_ROLE - {Role.PATIENT},
    "clinician": frozenset({Role.DOCTOR, Role.NURSE}),
}
ROLES: Mapping[str, frozenset[Role]] = {**{role: frozenset({role}) for role in Role}, **ROLE_GROUPS}
