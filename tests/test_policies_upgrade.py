"""A clinic with rules of its own hears what is new in the software's, and takes it as a draft."""

from collections.abc import AsyncIterator
from dataclasses import replace
from pathlib import Path

import pytest

from policies.rules import Rule, defaults
from records.governance import upgrading
from records.governance.upgrading import Upgrade, merged
from tests.apis import serve
from tests.policy_apis import TIGHT, Desk


def rule(name: str, condition: str = "True") -> Rule:
    return Rule(name, 4, "doctor", "record", "read", "allow", condition)


def up(old: list[Rule], mine: list[Rule], new: list[Rule]) -> Upgrade:
    return merged(Upgrade(1, 2), old, mine, new)


def test_what_is_new_is_added_and_what_the_clinic_left_alone_follows():
    old = [rule("same"), rule("changes"), rule("goes")]
    new = [rule("same"), rule("changes", "False"), rule("comes")]
    found = up(old, [*old, rule("own")], new)
    assert found.put == [rule("changes", "False"), rule("comes")]
    assert (found.remove, found.kept) == (["goes"], [])


def test_where_the_clinic_went_its_own_way_it_stays_so():
    old = [rule("changed"), rule("removed"), rule("gone")]
    mine = [rule("changed", "r.obj.in_care_team"), rule("gone", "r.obj.in_care_team")]
    new = [rule("changed", "False"), rule("removed", "False")]
    found = up(old, mine, new)
    assert found.kept == ["changed", "gone", "removed"]
    assert (found.put, found.remove) == ([], [])


def test_what_both_did_alike_is_nothing_to_do():
    found = up([rule("a"), rule("b")], [rule("a", "False")], [rule("a", "False")])
    assert (found.put, found.remove, found.kept) == ([], [], [])


@pytest.fixture
async def desk(database_url: str, tmp_path: Path) -> AsyncIterator[Desk]:
    async with serve(database_url, tmp_path) as api:
        yield await Desk.open(api)


async def test_an_upgrade_is_a_draft_that_another_publishes(
    desk: Desk, monkeypatch: pytest.MonkeyPatch
):
    await desk.publish(await desk.draft(TIGHT, remove=("offer-read",)))
    newer = [replace(r, note="Said anew") if r.id == "doctor-read" else r for r in defaults()]
    newer = [rule("comes"), *(r for r in newer if r.id != "patient-merge")]
    monkeypatch.setattr(upgrading, "defaults", lambda: newer)
    told = (await desk.send(desk.first, "GET", "/upgrade")).json()
    assert (told["base_version"], told["version"]) == (1, 2)
    assert [r["id"] for r in told["put"]] == ["comes", "doctor-read"]
    assert (told["remove"], told["kept"]) == (["patient-merge"], [])
    made = await desk.send(desk.first, "POST", "/upgrade", {"reason": "new release"})
    assert made.status_code == 201, made.text
    assert made.json()["changes"] == {
        "added": ["comes"], "removed": ["patient-merge"], "changed": ["doctor-read"],
    }  # fmt: skip
    await desk.publish(made.json())
    ids = {r["id"] for r in (await desk.send(desk.first, "GET", "")).json()["rules"]}
    assert {"comes", TIGHT["id"]} <= ids
    assert ids.isdisjoint({"patient-merge", "offer-read"})


async def test_only_who_reads_rules_hears_of_it_and_only_who_drafts_them_drafts_it(desk: Desk):
    nurse, compliance = desk.api.people.nurse, desk.api.people.compliance
    assert (await desk.send(nurse, "GET", "/upgrade")).status_code == 403
    assert (await desk.send(compliance, "GET", "/upgrade")).status_code == 200
    body = {"reason": "new release"}
    assert (await desk.send(compliance, "POST", "/upgrade", body)).status_code == 403


async def offered(desk: Desk) -> set[str]:
    told = (await desk.send(desk.first, "GET", "/upgrade")).json()
    return {r["id"] for r in told["put"]} | {*told["remove"], *told["kept"]}


async def test_what_a_clinic_declined_is_not_offered_again_until_the_upgrade_is_taken_back(
    desk: Desk, monkeypatch: pytest.MonkeyPatch
):
    await desk.publish(await desk.draft(TIGHT, remove=("offer-read",)))
    newer = [replace(r, note="Said anew") for r in defaults() if r.id != "patient-merge"]
    newer += [rule("comes"), rule("unwanted")]
    monkeypatch.setattr(upgrading, "defaults", lambda: newer)
    first = await offered(desk)
    assert first > {"comes", "unwanted", "patient-merge", "offer-read"}

    made = (await desk.send(desk.first, "POST", "/upgrade", {"reason": "new release"})).json()
    assert await offered(desk) == first, "a draft is no answer yet"
    path, trimmed = f"/drafts/{made['id']}", {"remove": ["unwanted"]}
    made = (await desk.send(desk.first, "PATCH", path, trimmed, match=1)).json()
    await desk.publish(made)
    assert await offered(desk) == set()
    monkeypatch.setattr(upgrading, "defaults", lambda: [*newer, rule("later")])
    assert await offered(desk) == {"later"}

    back = {"reason": "not yet"}
    restored = await desk.send(desk.second, "POST", "/versions/2/restore", back, match=3)
    assert restored.status_code == 201
    assert await offered(desk) == first | {"later"}
