"""What stands in the Synthea bundles, read by hand: the other side of every comparison with what was imported."""

from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import orjson

PERSONAL = ("hospital", "practitioner")


@dataclass(frozen=True)
class Bundle:
    """One patient's bundle: resources by type, and by what they are referred to."""

    resources: dict[str, list[dict[str, Any]]]
    named: dict[str, dict[str, Any]]

    @property
    def patient(self) -> dict[str, Any]:
        (found,) = self.resources["Patient"]
        return found

    @property
    def mrn(self) -> str:
        return next(i["value"] for i in self.patient["identifier"] if _type(i) == "MR")

    def ambulatory(self) -> list[dict[str, Any]]:
        """Finished ambulatory encounters, oldest first."""
        found = [e for e in self.resources["Encounter"] if e["class"]["code"] == "AMB"]
        return sorted(found, key=lambda e: e["period"]["start"])

    def doctor_at(self, encounter: dict[str, Any]) -> dict[str, Any]:
        return self.named[encounter["participant"][0]["individual"]["reference"]]

    def written(self) -> Iterator[tuple[str, dict[str, Any], dict[str, Any]]]:
        """Yield (type, resource, encounter) of all that was written at an ambulatory encounter."""
        for kind in ("Condition", "MedicationRequest", "Observation", "AllergyIntolerance"):
            for resource in self.resources.get(kind, []):
                holder = resource.get("encounter")
                visit = self.named[holder["reference"]] if holder else None
                if visit and visit["class"]["code"] == "AMB":
                    yield kind, resource, visit

    def payors(self) -> set[str]:
        claims = self.resources.get("Claim", [])
        named = {i["coverage"]["display"] for claim in claims for i in claim["insurance"]}
        return named - {"no_insurance"}


def read_bundles(folder: Path) -> list[Bundle]:
    files = sorted(f for f in folder.glob("*.json") if not f.name.startswith(PERSONAL))
    return [_bundle(orjson.loads(file.read_bytes())) for file in files]


def _bundle(document: dict[str, Any]) -> Bundle:
    resources: dict[str, list[dict[str, Any]]] = {}
    for entry in document["entry"]:
        resources.setdefault(entry["resource"]["resourceType"], []).append(entry["resource"])
    return Bundle(resources, {e["fullUrl"]: e["resource"] for e in document["entry"]})


def _type(identifier: dict[str, Any]) -> str | None:
    codings = identifier.get("type", {}).get("coding", [{}])
    return codings[0].get("code")
