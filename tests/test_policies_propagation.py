"""A publication is in force in every process within a second, and without the database nothing is decided for long."""

import asyncio
import gc
from collections.abc import AsyncIterator, Collection
from pathlib import Path
from time import monotonic

import asyncpg
import pytest

from core.errors import Unavailable
from policies.enforcer import PolicySnapshot
from records.access import policy as watching
from records.clinic import Clinic
from tests.apis import serve
from tests.clinics import open_clinic
from tests.policy_apis import TIGHT, Desk


@pytest.fixture
async def desk(database_url: str, tmp_path: Path) -> AsyncIterator[Desk]:
    async with serve(database_url, tmp_path) as api:
        yield await Desk.open(api)


async def until(clinic: Clinic, version: int, seconds: float = 10.0) -> float:
    began = monotonic()
    while clinic.policy.snapshot.version < version:
        assert monotonic() - began < seconds, "the publication did not arrive"
        await asyncio.sleep(0.005)
    return monotonic() - began


async def processes(desk: Desk) -> list[tuple[int, bool]]:
    found = (await desk.send(desk.first, "GET", "/processes")).json()["items"]
    return [(each["version"], each["current"]) for each in found]


async def listeners(database_url: str) -> set[int]:
    """Return the server's processes of those who listen for publications."""
    connection = await asyncpg.connect(database_url)
    found = await connection.fetch(
        "SELECT pid FROM pg_stat_activity WHERE datname = current_database() AND state = 'idle' "
        "AND query LIKE 'LISTEN%'"
    )
    await connection.close()
    return {row["pid"] for row in found}


async def all_listen(database_url: str, many: int, but: Collection[int] = ()) -> None:
    """Return once so many listen, `but` for those who did before."""
    async with asyncio.timeout(10):
        while len((await listeners(database_url)).difference(but)) < many:  # noqa: ASYNC110 - the server knows
            await asyncio.sleep(0.02)


async def test_every_process_decides_by_a_new_version_within_a_second_and_says_so(
    desk: Desk, database_url: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
):
    monkeypatch.setattr(watching, "POLL", 30)  # announced, not polled
    async with open_clinic(database_url, tmp_path) as other:
        await all_listen(database_url, 2)
        for version in (2, 3, 4):
            draft = await desk.draft({**TIGHT, "tier": version - 1})
            path = f"/drafts/{draft['id']}/publish"
            await desk.send(desk.second, "POST", path, match=version - 1)
            await asyncio.gather(until(other, version), until(desk.api.clinic, version))
        async with asyncio.timeout(1):
            while await processes(desk) != [(4, True)] * 2:  # noqa: ASYNC110 - they tell the database
                await asyncio.sleep(0.02)
    assert len((await desk.send(desk.first, "GET", "/processes")).json()["items"]) == 1


async def test_of_rules_that_were_replaced_nothing_stays_in_memory(desk: Desk):
    answer = await desk.api.get(desk.api.people.adams, "/v1/patients")
    assert answer.json()["items"]
    replaced = id(desk.api.clinic.policy.snapshot)
    await desk.publish(await desk.draft(TIGHT))
    gc.collect()
    assert replaced not in {id(o) for o in gc.get_objects() if isinstance(o, PolicySnapshot)}


async def test_a_process_whose_connection_was_cut_hears_of_the_next_version(
    desk: Desk, database_url: str
):
    await all_listen(database_url, 1)
    before = await listeners(database_url)
    connection = await asyncpg.connect(database_url)
    await connection.execute(
        "SELECT pg_terminate_backend(pid) FROM pg_stat_activity "
        "WHERE datname = current_database() AND query LIKE 'LISTEN%'"
    )
    await connection.close()
    await all_listen(database_url, 1, but=before)
    draft = await desk.draft(TIGHT)
    await desk.send(desk.second, "POST", f"/drafts/{draft['id']}/publish", match=1)
    await until(desk.api.clinic, 2)


async def test_stored_rules_that_are_not_what_was_published_are_not_decided_by(
    desk: Desk, database_url: str
):
    connection = await asyncpg.connect(database_url)
    await connection.execute(
        "INSERT INTO policy_version (version, checksum, reason, published_at) VALUES (2, 'no', 'x', now())"
    )
    await connection.execute("UPDATE policy_head SET version = 2")
    await connection.close()
    with pytest.raises(Unavailable) as refusal:
        await desk.api.clinic.policy.refresh()
    assert refusal.value.code == "policy-tampered"
    assert desk.api.clinic.policy.snapshot.version == 1


async def test_a_policy_not_confirmed_for_long_decides_nothing(
    desk: Desk, monkeypatch: pytest.MonkeyPatch
):
    monkeypatch.setattr(watching, "STALE", -1.0)
    answer = await desk.api.get(desk.api.people.adams, f"/v1/records/{desk.api.people.record.id}")
    assert (answer.status_code, answer.json()["code"]) == (503, "policy-unavailable")


async def test_a_publication_between_two_looks_is_no_tampering(
    desk: Desk, monkeypatch: pytest.MonkeyPatch
):
    """Rules are read as of the head that was seen, whatever is published meanwhile."""
    policy, database = desk.api.clinic.policy, desk.api.clinic.database
    await policy.stop()  # this process looks only when it is told to
    draft = await desk.draft(TIGHT)
    await desk.send(desk.second, "POST", f"/drafts/{draft['id']}/publish", match=1)
    plain = database.all

    async def late(query: watching.Query, **given: object) -> object:
        monkeypatch.setattr(database, "all", plain)
        back = {"reason": "too strict"}
        await desk.send(desk.second, "POST", "/versions/1/restore", back, match=2)
        return await plain(query, **given)

    monkeypatch.setattr(database, "all", late)
    await policy.refresh()
    assert policy.snapshot.version == 2
    await policy.refresh()
    assert policy.snapshot.version == 3
