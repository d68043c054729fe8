"""Rules over HTTP: two people, one version at a time, nothing broken, nothing unnoticed."""

from collections.abc import AsyncIterator
from pathlib import Path

import asyncpg
import casbin
import pytest

from core.ids import new_id
from policies.facts import Environment
from policies.rules import checksum, defaults
from policies.vocabulary import ROLE_GROUPS, Action, Purpose
from tests.apis import serve
from tests.clinics import outbox
from tests.policy_apis import TIGHT, Desk
from tests.random_policies import ROWS, completed


@pytest.fixture
async def desk(database_url: str, tmp_path: Path) -> AsyncIterator[Desk]:
    async with serve(database_url, tmp_path) as api:
        yield await Desk.open(api)


BROKEN = [
    ("condition", "True) or (True", "condition-syntax"),
    ("condition", "r.obj.delete()", "condition-construct"),
    ("condition", "[x for x in [1]]", "condition-construct"),
    ("condition", "__import__('os').system('id')", "condition-construct"),
    ("condition", "r.obj.kind == 'Hello! A && B'", "condition-character"),
    ("condition", "r.obj.kind == 'dr r.smith'", "condition-literal"),
    ("condition", "r.obj.kind == 'one, two'", "condition-literal"),
    ("condition", "r.obj.items is None", "condition-attribute"),
    ("condition", "r.obj.nmae is None", "condition-attribute"),
    ("condition", "r.obj.kind > 'a'", "condition-operator"),
    ("condition", "r.obj.kind in []", "condition-list"),
    ("condition", "", "condition-syntax"),
    ("effect", "Deny", "rule-effect"),
    ("effect", "", "rule-effect"),
    ("subject", "surgeon", "rule-subject"),
    ("resource", "recrod", "rule-resource"),
    ("action", "raed", "rule-action"),
    ("tier", 5, "rule-tier"),
    ("tier", -1, "rule-tier"),
    ("id", "Bad id", "rule-id"),
]


async def test_a_broken_rule_is_refused_with_its_place_and_without_its_text(desk: Desk):
    for field, value, code in BROKEN:
        body = {"reason": "x", "put": [TIGHT | {"id": "fine"}, TIGHT | {field: value}]}
        answer = await desk.send(desk.first, "POST", "/drafts", body)
        assert answer.status_code == 422, value
        problem = answer.json()
        assert problem["code"] == "bad-rules"
        (error,) = problem["errors"]
        assert (error["pointer"], error["code"]) == (f"/put/1/{field}", code)
        if field == "condition":
            assert "position" in error["message"]
        assert str(value) not in answer.text or value in ("", -1, 5)


async def test_a_rule_with_a_field_too_many_is_refused(desk: Desk):
    body = {"reason": "x", "put": [TIGHT | {"ptype": "p2"}]}
    answer = await desk.send(desk.first, "POST", "/drafts", body)
    assert answer.status_code == 422


async def test_administrators_cannot_lock_themselves_out(desk: Desk):
    for rule in ("policy-read", "policy-draft", "policy-redraft", "policy-publish"):
        body = {"reason": "x", "remove": [rule]}
        answer = await desk.send(desk.first, "POST", "/drafts", body)
        assert (answer.status_code, answer.json()["code"]) == (422, "policy-lockout"), rule
    bar = {**TIGHT, "id": "bar", "tier": 1, "subject": "staff", "resource": "*", "action": "*"}
    body = {"reason": "x", "put": [{**bar, "condition": "True"}]}
    answer = await desk.send(desk.first, "POST", "/drafts", body)
    assert answer.json()["code"] == "policy-lockout"


async def test_what_is_not_there_cannot_be_removed(desk: Desk):
    answer = await desk.send(
        desk.first, "POST", "/drafts", {"reason": "x", "remove": ["policy-read", "nothing"]}
    )
    assert answer.json()["errors"][0]["pointer"] == "/remove/1"


async def test_only_those_the_rules_name_see_rules(desk: Desk):
    people, draft = desk.api.people, await desk.draft(TIGHT)
    paths = ["", "/drafts", f"/drafts/{draft['id']}", "/versions", "/versions/1"]
    for path in paths:
        assert (await desk.send(people.compliance, "GET", path)).status_code == 200
        assert (await desk.send(people.adams, "GET", path)).status_code == 403
    absent = await desk.send(people.adams, "GET", f"/drafts/{new_id()}")
    assert absent.status_code == 403
    assert (await desk.send(desk.first, "GET", f"/drafts/{new_id()}")).status_code == 404
    assert (await desk.send(desk.first, "GET", "/versions/99")).status_code == 404
    body = {"reason": "x", "put": [TIGHT]}
    assert (await desk.send(people.compliance, "POST", "/drafts", body)).status_code == 403


async def test_nobody_publishes_what_he_wrote(desk: Desk, database_url: str):
    draft = await desk.draft(TIGHT)
    answer = await desk.send(desk.first, "POST", f"/drafts/{draft['id']}/publish", match=1)
    assert (answer.status_code, answer.json()["code"]) == (403, "four-eyes")
    event = (await outbox(database_url))[-1]
    assert (event["action"], event["outcome"]) == ("publish", "deny")
    assert event["resource_ids"] == [draft["id"]]


async def test_not_even_when_the_rules_would_let_him(desk: Desk, database_url: str):
    publish = next(r for r in defaults() if r.id == "policy-publish")
    lax = {n: getattr(publish, n) for n in publish.__dataclass_fields__} | {"condition": "True"}
    await desk.publish(await desk.draft(lax))
    draft = await desk.draft(TIGHT)
    answer = await desk.send(desk.first, "POST", f"/drafts/{draft['id']}/publish", match=2)
    assert (answer.status_code, answer.json()["code"]) == (403, "four-eyes")
    assert (await outbox(database_url))[-1]["reason"] == "four-eyes"
    connection = await asyncpg.connect(database_url)
    with pytest.raises(asyncpg.CheckViolationError):
        await connection.execute("UPDATE policy_version SET author_id = publisher_id")
    await connection.close()


async def test_a_change_names_the_version_it_is_based_on(desk: Desk):
    draft = await desk.draft(TIGHT)
    path = f"/drafts/{draft['id']}"
    for method, tail in (("PATCH", ""), ("DELETE", ""), ("POST", "/publish")):
        me = desk.second if tail else desk.first
        body = {"reason": "y"} if method == "PATCH" else None
        missing = await desk.send(me, method, path + tail, body)
        assert missing.status_code == 428, method
        stale = await desk.send(me, method, path + tail, body, match=7)
        assert stale.status_code == 412, method
        odd = await desk.send(me, method, path + tail, body, match="seven")
        assert odd.status_code == 412, method
    assert (await desk.send(desk.first, "POST", "/versions/1/restore")).status_code == 428


async def test_a_draft_made_for_other_rules_is_not_published(desk: Desk):
    early, late = await desk.draft(TIGHT), await desk.draft(TIGHT | {"id": "other"})
    await desk.publish(late)
    answer = await desk.send(desk.second, "POST", f"/drafts/{early['id']}/publish", match=2)
    assert answer.json()["code"] == "draft-outdated"
    path = f"/drafts/{early['id']}"
    redrafted = await desk.send(desk.first, "PATCH", path, {"reason": "again"}, match=1)
    assert redrafted.json()["base_version"] == 2
    assert redrafted.json()["changes"]["removed"] == ["other"]
    await desk.publish(redrafted.json())
    for method, tail in (("PATCH", ""), ("DELETE", ""), ("POST", "/publish")):
        me = desk.second if tail else desk.first
        again = await desk.send(me, method, path + tail, {} if method == "PATCH" else None, "*")
        assert again.json()["code"] == "draft-published"


async def test_a_draft_is_its_authors_to_change(desk: Desk):
    draft = await desk.draft(TIGHT)
    path = f"/drafts/{draft['id']}"
    refused = await desk.send(desk.second, "PATCH", path, {"reason": "mine"}, match=1)
    assert refused.status_code == 403
    changed = await desk.send(
        desk.first, "PATCH", path, {"put": [TIGHT | {"tier": 1}], "remove": ["key-admin"]}, match=1
    )
    assert changed.status_code == 200
    assert changed.headers["etag"] == 'W/"2"'
    assert changed.json()["reason"] == "to see"
    assert changed.json()["changes"] == {
        "added": ["soft-nurse-night"], "removed": ["key-admin"], "changed": [],
    }  # fmt: skip
    gone = await desk.send(desk.first, "DELETE", path, match=2)
    assert gone.status_code == 204
    assert (await desk.send(desk.first, "GET", path)).status_code == 404


async def test_what_is_published_is_in_force_and_on_the_trail(desk: Desk, database_url: str):
    before = (await desk.send(desk.first, "GET", "")).json()
    assert (before["version"], before["checksum"]) == (1, checksum(defaults()))
    assert len(before["rules"]) == before["rule_count"] == len(defaults())
    draft = await desk.draft(TIGHT)
    published = await desk.publish(draft)
    assert published["checksum"] == draft["checksum"]
    assert published["author_id"] == str(desk.first.subject.id)
    assert published["publisher_id"] == str(desk.second.subject.id)
    now = await desk.send(desk.first, "GET", "")
    assert (now.json(), now.headers["etag"]) == (published, 'W/"2"')
    written = [(e["action"], e["resource_ids"]) for e in await outbox(database_url)]
    assert ("create", [draft["id"]]) in written
    assert ("publish", [draft["id"]]) in written


async def test_an_earlier_version_comes_back_as_a_new_one(desk: Desk):
    await desk.publish(await desk.draft(TIGHT))
    answer = await desk.send(desk.first, "POST", "/versions/1/restore", match=2)
    assert answer.status_code == 201
    assert (answer.json()["version"], answer.json()["restored"]) == (3, 1)
    assert answer.json()["checksum"] == checksum(defaults())
    listed = (await desk.send(desk.first, "GET", "/versions?limit=2")).json()
    assert [item["version"] for item in listed["items"]] == [3, 2]
    rest = await desk.send(desk.first, "GET", f"/versions?cursor={listed['next_cursor']}")
    assert [item["version"] for item in rest.json()["items"]] == [1]
    foreign = await desk.send(desk.first, "GET", "/versions?cursor=AZx0AAAAcACAAAAAAAAAAA")
    assert (foreign.status_code, foreign.json()["code"]) == (400, "bad-parameter")
    second = await desk.send(desk.first, "GET", "/versions/2")
    assert "soft-nurse-night" in {rule["id"] for rule in second.json()["rules"]}
    assert (await desk.send(desk.first, "POST", "/versions/9/restore", match=3)).status_code == 404


async def test_a_draft_says_what_is_odd_about_it(desk: Desk):
    never = TIGHT | {
        "id": "never",
        "effect": "allow",
        "condition": "r.obj.kind == 'note' and r.obj.kind == 'x'",
    }
    late = TIGHT | {"id": "late", "tier": 4, "condition": "r.obj.kind in ['diagnosis']"}
    wards = [r.id for r in defaults() if r.effect == "deny" and "sensitivity" in r.condition]
    draft = await desk.draft(TIGHT, never, late, remove=tuple(wards))
    found = {(f["code"], f["rule"], f["about"]) for f in draft["findings"]}
    assert ("dead", "never", None) in found
    assert ("shadowed", "late", "soft-nurse-night") in found
    assert ("missing-deny", None, "record.sensitivity") in found
    assert ("unknown-denies", "soft-nurse-night", "r.obj.kind") in found


async def test_stock_casbin_reads_the_rules_in_force_from_a_view(desk: Desk, database_url: str):
    await desk.publish(await desk.draft(TIGHT))
    connection = await asyncpg.connect(database_url, server_settings={"role": "confide_app"})
    rows = await connection.fetch(
        "SELECT ptype, v0, v1, v2, v3, v4, v5 FROM casbin_rule ORDER BY id"
    )
    await connection.close()
    engine = casbin.Enforcer(casbin.Enforcer.new_model(text=STOCK), enable_log=False)
    for row in rows:
        assert row["ptype"] == "p"
        engine.add_policy(*list(row)[1:])
    engine.add_function("named", lambda sub, name: name in sub.roles or _in_group(sub, name))
    snapshot, env = desk.api.clinic.policy.snapshot, Environment(Purpose.TREATMENT)
    people = desk.api.people
    for me in (people.adams, people.nurse, people.reception, people.patient):
        for row in map(completed, ROWS[:25]):
            expected = snapshot.decide(me.subject, Action.READ, row, env).allowed
            assert engine.enforce(me.subject, row, Action.READ, env) is expected


def _in_group(sub, name: str) -> bool:
    return not ROLE_GROUPS.get(name, frozenset()).isdisjoint(sub.roles)


STOCK = """
[request_definition]
r = sub, obj, act, env
[policy_definition]
p = priority, sub, res, act, cond, eft
[policy_effect]
e = priority(p.eft) || deny
[matchers]
m = named(r.sub, p.sub) && (p.res == "*" || r.obj.type == p.res) && (p.act == "*" || r.act == p.act) && eval(p.cond)
"""
