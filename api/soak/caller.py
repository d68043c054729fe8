"""One client's connection. Every answer is written down; what must be done is asked for until there is an answer."""

import http.client
import json
import time
from collections.abc import Mapping
from contextlib import suppress
from dataclasses import dataclass, field
from threading import Event
from typing import Any, Final

from api.commands.stack import HOST
from api.soak.ground import Ground

TIMEOUT: Final = 40.0
"""Seconds to wait for an answer: longer than whatever Confide waits for."""
PATIENCE: Final = 120.0
"""Seconds for which something is asked for again and again."""
PAUSE: Final = 0.3
"""Seconds between two tries."""
RENEWED: Final = 300.0
"""Seconds for which an access token is used."""
PROGRESS: Final = "idempotency-in-progress"


@dataclass(frozen=True, slots=True)
class Answer:
    """What was said to one request, without its body."""

    act: str
    status: int
    code: str
    request_id: str
    at: float
    seconds: float

    @property
    def good(self) -> bool:
        """Whether it is a 2xx."""
        return self.status < 300  # noqa: PLR2004

    @property
    def final(self) -> bool:
        """Whether asking again would change nothing."""
        return self.status not in {429, 500, 503} and self.code != PROGRESS


@dataclass(slots=True)
class Diary:
    """All answers to all clients, and how many requests had none. `over` ends the load, `hopeless` all asking."""

    answers: list[Answer] = field(default_factory=list)
    unanswered: int = 0
    over: Event = field(default_factory=Event)
    hopeless: Event = field(default_factory=Event)


Said = tuple[Answer, dict[str, Any]]


class Caller:
    """A connection on which one client speaks for several accounts."""

    def __init__(self, ground: Ground, diary: Diary) -> None:
        self._ground = ground
        self._diary = diary
        self._connection: http.client.HTTPConnection | None = None
        self._bearers: dict[str, tuple[str, float]] = {}

    def ask(
        self,
        act: str,
        who: str,
        method: str,
        path: str,
        body: Any = None,
        headers: Mapping[str, str] | None = None,
    ) -> Said | None:
        """Send one request; return the answer and its body, or None when there was none."""
        began = time.monotonic()
        try:
            status, given, content = self._send(who, method, path, body, headers or {})
        except (OSError, http.client.HTTPException):
            self.close()
            self._diary.unanswered += 1
            time.sleep(PAUSE)
            return None
        said = json.loads(content) if content else {}
        request_id, now = given.get("X-Request-Id", ""), time.monotonic()
        code = said.get("code", "") if status >= http.HTTPStatus.BAD_REQUEST else ""
        answer = Answer(act, status, code, request_id, now, now - began)
        self._diary.answers.append(answer)
        return answer, {**said, "etag": given.get("ETag")}

    def surely(self, *request: Any, **more: Any) -> Said | None:
        """Ask until an answer is final; None when there is no hope of one. For what may be asked twice."""
        until = time.monotonic() + PATIENCE
        while time.monotonic() < until and not self._diary.hopeless.is_set():
            said = self.ask(*request, **more)
            if said and said[0].final:
                return said
            time.sleep(PAUSE)
        return None

    def close(self) -> None:
        """Hang up."""
        if self._connection:
            with suppress(OSError):
                self._connection.close()
        self._connection = None

    def _send(
        self, who: str, method: str, path: str, body: Any, headers: Mapping[str, str]
    ) -> tuple[int, http.client.HTTPMessage, bytes]:
        if self._connection is None:
            self._connection = http.client.HTTPConnection(
                HOST, self._ground.stack.port, timeout=TIMEOUT
            )
        content = None if body is None else json.dumps(body)
        kind = {"Content-Type": "application/json"} if content else {}
        bearer = {"Authorization": f"Bearer {self._bearer(who)}"}
        self._connection.request(method, path, content, {**bearer, **kind, **headers})
        answer = self._connection.getresponse()
        return answer.status, answer.headers, answer.read()

    def _bearer(self, who: str) -> str:
        token, made = self._bearers.get(who, ("", 0.0))
        if not token or time.monotonic() - made > RENEWED:
            token = self._ground.bearer(who)
            self._bearers[who] = token, time.monotonic()
        return token


def pages(caller: Caller, act: str, who: str, path: str) -> list[dict[str, Any]]:
    """Return the items of all pages of a list."""
    found: list[dict[str, Any]] = []
    mark, cursor = "&" if "?" in path else "?", ""
    while True:
        said = caller.surely(act, who, "GET", f"{path}{mark}limit=100{cursor}")
        if said is None or not said[0].good:
            return found
        found += said[1]["items"]
        if not said[1]["next_cursor"]:
            return found
        cursor = f"&cursor={said[1]['next_cursor']}"
