"""What an import did: counts, by what was made and what was there already."""

from collections import Counter, defaultdict
from dataclasses import dataclass, field
from uuid import UUID


@dataclass(frozen=True, slots=True)
class KnownDoctor:
    """A doctor of the clinic, and the account they write as. The login is known while a bundle names it."""

    id: UUID
    account_id: UUID
    label: str
    login: str | None


@dataclass(frozen=True, slots=True)
class Member:
    """Whom to put into care teams: a doctor, or an account that is none's (a nurse)."""

    doctor_id: UUID | None = None
    account_id: UUID | None = None


@dataclass(slots=True)
class Tally:
    """Of one transaction, or of many added up."""

    created: Counter[str] = field(default_factory=Counter)
    present: Counter[str] = field(default_factory=Counter)
    doctors: dict[UUID, KnownDoctor] = field(default_factory=dict)
    patients: defaultdict[UUID, set[UUID]] = field(default_factory=lambda: defaultdict(set))
    """The patients each doctor has seen, by the doctor's id."""

    def count(self, kind: str, made: int, all_: int) -> None:
        """Count some of a kind: of `all_`, `made` are new."""
        self.created[kind] += made
        self.present[kind] += all_ - made

    def add(self, other: "Tally") -> None:
        """Add another transaction's counts."""
        self.created += other.created
        self.present += other.present
        self.doctors |= other.doctors
        for doctor, seen in other.patients.items():
            self.patients[doctor] |= seen
