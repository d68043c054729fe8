"""The small clinic with its one record signed, and short ways to speak about it."""

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import httpx

from tests.apis import Api, serve


@asynccontextmanager
async def signed_chart(database_url: str, home: Path) -> AsyncIterator[Api]:
    async with serve(database_url, home) as api:
        path = f"/v1/records/{api.people.record.id}/sign"
        assert (await api.post(api.people.adams, path, {})).status_code == 200
        yield api


async def reads(api: Api, who: str, **headers: str) -> int:
    """Return the status of reading the record, which the lists of the chart must agree with."""
    me, people = getattr(api.people, who), api.people
    bearer = await api.bearer(me) | headers
    one = await api.http.get(f"/v1/records/{people.record.id}", headers=bearer)
    listed = await api.http.get(f"/v1/patients/{people.patient_id}/records", headers=bearer)
    shown = [r["id"] for r in listed.json().get("items", [])]
    assert (one.status_code == 200) == (str(people.record.id) in shown)
    return one.status_code


async def about(api: Api, who: str, tail: str, body: dict[str, Any]) -> httpx.Response:
    """Post something that hangs on the patient."""
    return await api.post(
        getattr(api.people, who), f"/v1/patients/{api.people.patient_id}{tail}", body
    )
