"""What a record of each kind says: typed, checked when it is written, kept as it was given.

A note, and what is added to one, may be plain text. What another system wrote stays as it came.
"""

from collections.abc import Mapping
from datetime import date, datetime
from typing import Annotated, Any, Final, Literal

from pydantic import (
    AfterValidator,
    BaseModel,
    BeforeValidator,
    ConfigDict,
    Field,
    ValidationError,
    model_validator,
)

from core.canonical import canonical
from core.errors import FieldError, Invalid
from records.clinical.codes import icd10cm, loinc, ucum
from records.clinical.models import RecordKind

Text = Annotated[str, Field(min_length=1, max_length=12_000)]
Word = Annotated[str, Field(min_length=1, max_length=200)]
Number = Annotated[float, Field(ge=-(2**53), le=2**53, allow_inf_nan=False, strict=True)]


class Content(BaseModel):
    """What every kind may hold besides its own: words for people."""

    model_config = ConfigDict(extra="forbid")

    text: Text | None = None


def _something(content: Content) -> Content:
    """Refuse a content that says nothing."""
    if all(value is None for _, value in content):
        raise ValueError("this says nothing")
    return content


def _in_order(first: str, last: str) -> Any:
    """Refuse a model of whose two members the last is before the first."""

    def checked(model: Any) -> Any:
        ends = getattr(model, first), getattr(model, last)
        if None not in ends and ends[1] < ends[0]:
            raise ValueError(f"{last} is before {first}")
        return model

    return model_validator(mode="after")(checked)


class Coding(BaseModel):
    """A code of a code system, with its words."""

    model_config = ConfigDict(extra="forbid")

    system: Word | None = None
    code: Word
    display: Word | None = None


def _coded(check: Any) -> BeforeValidator:
    """Check the code of a coding, or a bare code."""

    def checked(given: Any) -> Any:
        check(given["code"] if isinstance(given, dict) and "code" in given else given)
        return given

    return BeforeValidator(checked)


class NoteContent(Content):
    """A note: SOAP (subjective, objective, assessment, plan), or text."""

    subjective: Text | None = None
    objective: Text | None = None
    assessment: Text | None = None
    plan: Text | None = None

    _not_empty = model_validator(mode="after")(_something)


class DiagnosisContent(Content):
    """A diagnosis: an ICD-10-CM code of the table in force (April 2026)."""

    code: Annotated[Word | Coding, _coded(icd10cm)] = Field(examples=["G43.109"])
    display: Word | None = None
    clinical_status: (
        Literal["active", "recurrence", "relapse", "inactive", "remission", "resolved"] | None
    ) = None
    verification_status: (
        Literal["unconfirmed", "provisional", "differential", "confirmed", "refuted"] | None
    ) = None
    severity: Literal["mild", "moderate", "severe"] | None = None
    onset: date | None = None
    abatement: date | None = None

    _order = _in_order("onset", "abatement")


class Period(BaseModel):
    """From one day to another, both included."""

    model_config = ConfigDict(extra="forbid")

    start: date | None = None
    end: date | None = None

    _order = _in_order("start", "end")


class Quantity(BaseModel):
    """An amount, more than nothing, and its UCUM unit."""

    model_config = ConfigDict(extra="forbid")

    value: Annotated[Number, Field(gt=0)]
    unit: Annotated[Word, AfterValidator(ucum)] = Field(examples=["mg"])


class PrescriptionContent(Content):
    """A prescription: what, how much, by which route, how often, how long."""

    medication: Word | Coding = Field(examples=["Sumatriptan 50 mg tablet"])
    dose: Word | Quantity | None = Field(None, examples=[{"value": 50, "unit": "mg"}])
    route: Word | None = Field(None, examples=["oral"])
    frequency: Word | None = Field(None, examples=["once at onset, at most twice a day"])
    period: Period | None = None
    as_needed: bool | None = None
    quantity: Annotated[int, Field(ge=1, le=10_000)] | None = None
    refills: Annotated[int, Field(ge=0, le=99)] | None = None


class AllergyContent(Content):
    """An allergy: to what, how it shows, how bad it was, how bad it could be."""

    substance: Word | Coding = Field(examples=["Penicillin"])
    reaction: Word | Annotated[list[Word], Field(min_length=1, max_length=20)] | None = None
    severity: Literal["mild", "moderate", "severe"] | None = None
    criticality: Literal["low", "high", "unable-to-assess"] | None = None
    clinical_status: Literal["active", "inactive", "resolved"] | None = None
    onset: date | None = None


class Range(BaseModel):
    """What is usual: from low to high."""

    model_config = ConfigDict(extra="forbid")

    low: Number | None = None
    high: Number | None = None

    _order = _in_order("low", "high")


class ObservationContent(Content):
    """An observation: a LOINC code, its value, the UCUM unit of a number, and what is usual."""

    code: Annotated[Word | Coding, _coded(loinc)] = Field(examples=["8867-4"])
    display: Word | None = None
    value: Number | bool | Word | None = None
    unit: Annotated[Word, AfterValidator(ucum)] | None = Field(None, examples=["/min"])
    reference_range: Range | None = None
    interpretation: Literal["L", "LL", "N", "H", "HH", "A", "AA"] | None = None
    effective: datetime | None = None


class ReferralContent(Content):
    """A referral: to whom, for what, how soon."""

    to: Word | None = None
    specialty: Word | None = None
    reason: Text | None = None
    urgency: Literal["routine", "urgent", "asap", "stat"] | None = None

    _not_empty = model_validator(mode="after")(_something)


MODELS: Final[Mapping[RecordKind, type[Content]]] = {
    RecordKind.NOTE: NoteContent,
    RecordKind.DIAGNOSIS: DiagnosisContent,
    RecordKind.PRESCRIPTION: PrescriptionContent,
    RecordKind.ALLERGY: AllergyContent,
    RecordKind.OBSERVATION: ObservationContent,
    RecordKind.REFERRAL: ReferralContent,
}
_PLAIN: Final = frozenset({RecordKind.NOTE, RecordKind.REFERRAL})


def checked(kind: RecordKind, content: Any) -> Any:
    """Return what is kept of a content; Invalid, with pointers into `/content`, when it is not of the kind."""
    if isinstance(content, str) and kind in _PLAIN and content.strip():
        return content
    try:
        whole = MODELS[kind].model_validate(content)
    except ValidationError as error:
        raise Invalid(errors=[_fault(e) for e in error.errors(include_input=False)]) from None
    kept = whole.model_dump(mode="json", exclude_unset=True)
    canonical(kept)
    return kept


def codes_of(content: Any) -> frozenset[str]:
    """Return the codes that a content is known by, of whatever system wrote it."""
    if not isinstance(content, Mapping):
        return frozenset()
    named = [content.get(name) for name in ("code", "medication", "substance")]
    codes = [one.get("code") if isinstance(one, Mapping) else one for one in named]
    return frozenset(code for code in codes if isinstance(code, str))


def _fault(error: Any) -> FieldError:
    path = "".join(f"/{part}" for part in error["loc"] if not _branch(part))
    kind = error["type"].replace("_", "-")
    # What a check of this package raised names no value.
    ours = error.get("ctx", {}).get("error")
    message = str(ours) if isinstance(ours, ValueError) else error["msg"]
    return FieldError(f"/content{path}", kind, message)


def _branch(part: Any) -> bool:
    """Tell whether a part of an error's place is only pydantic's name for a branch of a union."""
    return isinstance(part, str) and (part[:1].isupper() or "[" in part or part in _BRANCHES)


_BRANCHES: Final = frozenset(
    {
        "str",
        "float",
        "int",
        "bool",
        "constrained-str",
        "constrained-float",
        "constrained-int",
        "list",
    }
)
