"""Administrators at work on the rules, over HTTP."""

from dataclasses import dataclass
from typing import Any

import httpx

from policies.vocabulary import Role
from records.access.me import Me
from tests.apis import Api
from tests.clinics import _account

TIGHT = {
    "id": "soft-nurse-night",
    "tier": 3,
    "subject": "nurse",
    "resource": "record",
    "action": "read search",
    "effect": "deny",
    "condition": "r.obj.kind == 'diagnosis'",
    "note": "Nurses do not read diagnoses",
}


@dataclass
class Desk:
    """Two administrators: what one drafts the other publishes."""

    api: Api
    second: Me

    @classmethod
    async def open(cls, api: Api) -> "Desk":
        return cls(api, await _account(api.clinic, "second.admin", Role.ADMIN))

    @property
    def first(self) -> Me:
        return self.api.people.admin

    async def send(
        self, me: Me, method: str, path: str, body: Any = None, match: int | str | None = None
    ) -> httpx.Response:
        headers = await self.api.bearer(me)
        if match is not None:
            headers["If-Match"] = match if isinstance(match, str) else f'W/"{match}"'
        url = f"/v1/policies{path}"
        return await self.api.http.request(method, url, json=body, headers=headers)

    async def draft(self, *put: dict[str, Any], remove: tuple[str, ...] = ()) -> dict[str, Any]:
        body = {"reason": "to see", "put": list(put), "remove": list(remove)}
        answer = await self.send(self.first, "POST", "/drafts", body)
        assert answer.status_code == 201, answer.text
        return answer.json()

    async def publish(self, draft: dict[str, Any]) -> dict[str, Any]:
        path = f"/drafts/{draft['id']}/publish"
        answer = await self.send(self.second, "POST", path, match=draft["base_version"])
        assert answer.status_code == 200, answer.text
        await self.api.clinic.policy.refresh()
        return answer.json()
