"""What an import tells its operator: counts, faults and doctors. Never a value of a bundle that could be PHI."""

import re
import unicodedata
from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from hashlib import sha256
from pathlib import Path
from typing import Any, Final

from records.fhir.found import Found
from records.fhir.node import Broken
from records.fhir.tally import Tally

_UUID: Final = re.compile(r"[0-9a-f]{8}(-[0-9a-f]{4}){3}-[0-9a-f]{12}", re.IGNORECASE)
_NAMING: Final = re.compile(rb'"(?:family|given|value)"\s*:\s*(\[[^\]]*\]|"[^"]*")')
_WORD: Final = re.compile(r"[^\W_]{3,}")


@dataclass(frozen=True, slots=True)
class Refused:
    """A bundle of which nothing was stored. `number` counts the bundles of a run from 1."""

    file: str
    number: int
    faults: Sequence[Broken]

    def as_json(self) -> Mapping[str, Any]:
        """Return the bundle's faults: entry, pointer, rule."""
        errors = [
            {"entry": _entry_of(f.pointer), "pointer": f.pointer, "rule": f.rule}
            for f in self.faults
        ]
        return {"file": self.file, "bundle": self.number, "errors": errors}


@dataclass(slots=True)
class Report:
    """The whole run."""

    bundles: int = 0
    tally: Tally = field(default_factory=Tally)
    left: Counter[tuple[str, str]] = field(default_factory=Counter)
    refused: list[Refused] = field(default_factory=list)

    def add(self, found: Found, tally: Tally) -> None:
        """Add a bundle that was imported."""
        self.left += found.left
        self.tally.add(tally)

    def as_json(self) -> Mapping[str, Any]:
        """Return the report as plain JSON, in a stable order."""
        left = sorted(self.left.items())
        created, seen = self.tally.created, len(self.tally.doctors)
        doctors = {kind: seen - created[kind] for kind in ("doctor", "account")}
        return {
            "bundles": {
                "read": self.bundles,
                "imported": self.bundles - len(self.refused),
                "rejected": len(self.refused),
            },
            "created": dict(sorted((+created).items())),
            "already_there": dict(sorted((+(self.tally.present + Counter(doctors))).items())),
            "not_imported": [
                {"resource_type": kind, "reason": reason, "count": count}
                for (kind, reason), count in left
            ],
            "rejected": [each.as_json() for each in self.refused],
            "doctors": self.doctors(),
        }

    def doctors(self) -> Sequence[Mapping[str, Any]]:
        """Return the doctors of the bundles, those with most patients first."""
        rows = [
            {
                "id": str(doctor.id),
                "label": doctor.label,
                "login": doctor.login,
                "patients": len(self.tally.patients.get(doctor.id, ())),
            }
            for doctor in self.tally.doctors.values()
        ]
        return sorted(rows, key=lambda row: (-int(str(row["patients"])), str(row["label"])))


def display_name(path: Path, raw: bytes) -> str:
    """Return how a report names a file: by its digest where the name may be a patient's.

    Bundles are often named after their patient and record number. A name is shown when none of its words is a
    name or a number in the file, and it holds no UUID.
    """
    stem = _plain(path.stem)
    inside = set(_WORD.findall(_plain(_decoded(b" ".join(_NAMING.findall(raw))))))
    if _UUID.search(stem) or inside.intersection(_WORD.findall(stem)):
        return f"sha256:{sha256(raw).hexdigest()[:16]}"
    return path.name


def _decoded(raw: bytes) -> str:
    text = raw.decode(errors="replace")
    return re.sub(r"\\u([0-9a-fA-F]{4})", lambda escape: chr(int(escape[1], 16)), text)


def _plain(text: str) -> str:
    bare = unicodedata.normalize("NFKD", text).casefold()
    return "".join(sign for sign in bare if not unicodedata.combining(sign))


def _entry_of(pointer: str) -> int | None:
    steps = pointer.split("/")
    return int(steps[2]) if steps[1:2] == ["entry"] and steps[2:3] else None
