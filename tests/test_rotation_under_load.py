"""Keys turn while the clinic works, and the process that turns them is killed twenty times: no request fails, nothing is lost.

Each kind of rotation takes a few seconds here; CONFIDE_ROTATION_SECONDS=60 makes it a minute each.
"""

import asyncio
import multiprocessing
import os
from collections.abc import AsyncIterator, Awaitable, Callable
from dataclasses import dataclass, field
from datetime import timedelta
from itertools import count
from pathlib import Path
from random import Random
from statistics import median, quantiles
from time import monotonic
from typing import Any
from uuid import UUID

import httpx
import pytest

import records.tables  # noqa: F401 - a rotation is about every table with sealed cells
from core.clock import now
from core.crypto.kek import KeyPurpose
from core.database import Database
from records.custody.dek import protected
from records.custody.models import RotationKind, RotationState
from records.custody.rotation import ROLE, read_rotation, request_rotation, work
from records.people.registration import register
from records.vault.vault import sealed_rows
from tests.apis import Api, serve
from tests.clinics import DETAILS, keyring, open_always

SECONDS = float(os.environ.get("CONFIDE_ROTATION_SECONDS", "2"))
KILLS = 20
PATIENTS = 12
CLIENTS = 3
FORKS = multiprocessing.get_context("forkserver")
FORKS.set_forkserver_preload(["tests.test_rotation_under_load"])


@pytest.fixture
async def api(
    database_url: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> AsyncIterator[Api]:
    monkeypatch.setenv("CONFIDE_AUDIT_DEADLINE", "20")  # the machine may be slow, the clinic not
    monkeypatch.setenv("CONFIDE_SEARCH_LIMIT", "1000000/minute")
    async with serve(database_url, tmp_path) as api:
        await open_always(api.clinic, api.people.adams)
        yield api


@dataclass
class Load:
    """What clients were promised: each patient's last address, every note, every booking; and what failed."""

    api: Api
    charts: list[UUID]
    addresses: dict[UUID, str] = field(default_factory=dict)
    notes: dict[str, str] = field(default_factory=dict)
    visits: set[str] = field(default_factory=set)
    failures: list[str] = field(default_factory=list)
    took: list[float] = field(default_factory=list)
    over: bool = False
    days: Any = field(default_factory=lambda: count(3))
    bearers: dict[str, dict[str, str]] = field(default_factory=dict)

    async def ask(self, method: str, path: str, me: str, **given: Any) -> httpx.Response:
        headers = self.bearers[me] | given.pop("headers", {})
        began = monotonic()
        answer = await self.api.http.request(method, path, headers=headers, **given)
        self.took.append(monotonic() - began)
        if not answer.is_success:
            self.failures.append(f"{method} {path}: {answer.status_code} {answer.text}")
        return answer

    async def run(self, client: int) -> None:
        mine = self.charts[client::CLIENTS]
        for turn in count():
            if self.over:
                return
            patient = mine[turn % len(mine)]
            await self.move(patient, f"{turn} Larkspur Row")
            await self.look_up(patient)
            await self.write(f"Note {client}.{turn}")
            await self.book(patient)

    async def move(self, patient: UUID, line: str) -> None:
        """Change an address on top of what was read: an update that gets lost is seen at the end."""
        path = f"/v1/patients/{patient}"
        read = await self.ask("GET", path, "reception")
        tag = {"If-Match": read.headers.get("ETag", "none")}
        address = {"line": [line], "city": "Nettlebed"}
        await self.ask("PATCH", path, "reception", headers=tag, json={"address": address})
        self.addresses[patient] = line

    async def look_up(self, patient: UUID) -> None:
        wanted = {"family": "Quillfeather", "birth_date": "1971-03-09"}
        found = await self.ask("POST", "/v1/patients/search?limit=100", "reception", json=wanted)
        if str(patient) not in {each["id"] for each in found.json().get("items", [])}:
            self.failures.append(f"{patient} was not found")

    async def write(self, title: str) -> None:
        path = f"/v1/appointments/{self.api.people.appointment_id}/records"
        note = {"kind": "note", "title": title, "content": {"text": title}}
        made = (await self.ask("POST", path, "adams", json=note)).json()
        self.notes[made.get("id", "none")] = title
        await self.ask("GET", f"/v1/records/{made.get('id')}", "adams")

    async def book(self, patient: UUID) -> None:
        number = next(self.days)
        start = now().replace(hour=0, minute=0, second=0, microsecond=0)
        start += timedelta(days=2, minutes=30 * number)
        doctor = self.api.people.adams.subject.doctor_id
        wish = {"patient_id": str(patient), "doctor_id": str(doctor), "start": start.isoformat()}
        given = wish | {"reason": f"Visit {number}", "override": True}
        made = (await self.ask("POST", "/v1/appointments", "reception", json=given)).json()
        self.visits.add(made.get("id", "none"))


def milliseconds(took: list[float]) -> str:
    """Return the middle one of some times, and the one that one in a hundred exceeds."""
    return f"p50 {median(took) * 1000:.0f} ms, p99 {quantiles(took, n=100)[-1] * 1000:.0f} ms"


def turn_keys(url: str, home: Path) -> None:
    """Do what the chore does, in a process that may be killed."""

    async def turn() -> None:
        database = Database(url, role=ROLE, size=1)
        await database.open()
        await work(database, keyring(home), 60)
        await database.close()

    asyncio.run(turn())


def wait_for_forks() -> None:
    """Start the process that forks the others, which takes it seconds of imports."""
    first = FORKS.Process(target=os.getpid)
    first.start()
    first.join()


async def turned_by_the_killed(
    api: Api, url: str, home: Path, ask: Callable[[], Awaitable[UUID]]
) -> tuple[int, int]:
    """Rotate again and again until the time is over; return how many rotations ended, and how many processes were killed."""
    chance, until = Random(4), monotonic() + SECONDS
    ended, killed, rotation = 0, 0, await ask()
    while monotonic() < until or killed < KILLS or not ended:
        child = FORKS.Process(target=turn_keys, args=(url, home))
        await asyncio.to_thread(child.start)
        if killed < KILLS:
            await asyncio.sleep(chance.uniform(0.02, 0.12))
            child.kill()
        await asyncio.to_thread(child.join)
        killed += child.exitcode == -9
        assert child.exitcode in {0, -9}
        if await is_over(api, rotation):
            ended, rotation = ended + 1, await ask()
    last = Database(url, role=ROLE, size=1)
    await last.open()
    await work(last, keyring(home), 60)
    await last.close()
    assert await is_over(api, rotation)
    return ended + 1, killed


async def is_over(api: Api, rotation: UUID) -> bool:
    """Tell whether a rotation is done; then each key was counted once, however often its process was killed."""
    found = await read_rotation(api.clinic, api.people.admin, rotation)
    over = found["state"] == RotationState.DONE
    # Who is amended meanwhile has tokens under the new index key without the rotation's doing.
    assert not over or found["kind"] == "index" or found["done"] == found["total"]
    return bool(over)


async def everything_opens(api: Api) -> int:
    opened = 0
    for kind in protected():
        async with api.clinic.database.transaction() as session:
            rows = (await session.execute(sealed_rows(kind))).mappings().all()
        for row in rows:
            assert row["key_state"] == "active", kind
            api.clinic.vault.worked_out(kind, row, len)
            opened += 1
    return opened


@pytest.mark.parametrize("kind", list(RotationKind))
async def test_no_request_fails_and_nothing_is_lost_while_keys_turn_and_who_turns_them_is_killed(
    api: Api,
    database_url: str,
    tmp_path: Path,
    kind: RotationKind,
    record_property: Callable[[str, object], None],
):
    charts = []
    for _ in range(PATIENTS):
        async with api.clinic.database.transaction() as session:
            chart = await register(session, api.clinic, api.people.reception, DETAILS)
        charts.append(chart.patient_id)
    load = Load(api, charts)
    load.bearers = {
        who: await api.bearer(getattr(api.people, who)) for who in ("reception", "adams")
    }

    async def ask() -> UUID:
        purpose = KeyPurpose.RECORD
        async with api.clinic.database.transaction() as session:
            row = await request_rotation(session, api.clinic, api.people.admin, kind, purpose)
        return row.id

    await asyncio.to_thread(wait_for_forks)
    clients = [asyncio.create_task(load.run(n)) for n in range(CLIENTS)]
    await asyncio.sleep(SECONDS / 4)
    calm, load.took = load.took, []
    ended, killed = await turned_by_the_killed(api, database_url, tmp_path, ask)
    load.over = True
    await asyncio.gather(*clients)
    counted = f"{kind}: {len(load.took)} requests, {ended} rotations, {killed} kills"
    waits = f"{milliseconds(load.took)}; before it {milliseconds(calm)}"
    record_property("measured", f"{counted}; {waits}")
    assert load.failures == []
    assert killed >= KILLS
    assert len(load.took) > 50
    api.clinic.vault._cache.clear()
    for patient, line in load.addresses.items():
        shown = (await load.ask("GET", f"/v1/patients/{patient}", "reception")).json()
        assert shown["address"]["line"] == [line]
    for note, title in load.notes.items():
        assert (await load.ask("GET", f"/v1/records/{note}", "adams")).json()["title"] == title
    for visit in load.visits:
        shown = (await load.ask("GET", f"/v1/appointments/{visit}", "adams")).json()
        assert shown["status"] == "booked"
    assert await everything_opens(api) > len(load.visits) + len(load.notes)
