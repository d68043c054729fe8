"""What administrators do meanwhile: rules are drafted by one and published by another, and keys turn."""

from dataclasses import dataclass, field
from itertools import count, cycle
from threading import Thread
from typing import Any, Final

from api.soak.caller import Caller, Diary
from api.soak.ground import FIRST, SECOND, Ground
from records.custody.models import RotationKind

PAUSE: Final = 2.0
"""Seconds between two acts of the office."""
_RULE: Final = {
    "id": "soft-soak", "tier": 3, "subject": "nurse", "resource": "record", "action": "read", "effect": "deny",
    "condition": "r.obj.kind == 'referral'",
}  # fmt: skip
_ROTATIONS: Final = "/v1/keys/rotations"


@dataclass(slots=True)
class Done:
    """What the office was told: versions of the rules in force since, and rotations that were begun."""

    versions: list[int] = field(default_factory=list)
    rotations: list[str] = field(default_factory=list)


class Office(Thread):
    """Two administrators, in a thread of their own, until the load is over."""

    def __init__(self, ground: Ground, diary: Diary) -> None:
        super().__init__(name="office", daemon=True)
        self.done = Done()
        self._caller = Caller(ground, diary)
        self._diary = diary
        self._numbers = count(1)
        self._kinds = cycle(RotationKind)

    def run(self) -> None:
        """Publish, then turn a key, then publish."""
        while not self._diary.over.wait(PAUSE):
            self._publish()
            if not self._diary.over.wait(PAUSE):
                self._rotate()
        self._caller.close()

    def _publish(self) -> None:
        rule = {**_RULE, "note": f"Nurses do not read referrals, as was said {next(self._numbers)}"}
        body = {"reason": "soak", "put": [rule]}
        drafted = self._ask("draft rules", FIRST, "POST", "/v1/policies/drafts", body)
        if drafted:
            match = {"If-Match": f'W/"{drafted["base_version"]}"'}
            path = f"/v1/policies/drafts/{drafted['id']}/publish"
            new = self._ask("publish rules", SECOND, "POST", path, None, match)
            if new:
                self.done.versions.append(new["version"])

    def _rotate(self) -> None:
        """Ask for the next kind of rotation, unless one goes on."""
        if self.done.rotations:
            last = self._ask(
                "read rotation", FIRST, "GET", f"{_ROTATIONS}/{self.done.rotations[-1]}"
            )
            if last is None or last["state"] != "done":
                return
        begun = self._ask("rotate keys", FIRST, "POST", _ROTATIONS, {"kind": next(self._kinds)})
        if begun:
            self.done.rotations.append(begun["id"])

    def _ask(self, *request: Any) -> dict[str, Any] | None:
        said = self._caller.ask(*request)
        return said[1] if said and said[0].good else None
