"""Accounts as administrators keep them, and what people do to their own."""

import asyncio
import json
from collections.abc import AsyncIterator
from pathlib import Path
from urllib.parse import parse_qs, urlsplit

import pytest
from hypothesis import given
from hypothesis import strategies as st

from core.errors import Invalid
from core.ids import new_id
from records.access.me import Me
from records.audit.event import Origin
from records.identity import accounts
from records.identity.strength import require_strong
from tests.apis import Api, serve
from tests.clinics import PASSWORD, outbox

NEW = {"username": "ada@clinic.example", "roles": ["nurse"], "label": "Nurse Ada"}
STRONG = "seven umbrellas at sea"
HERE = Origin("test", "request", network="10.0.0.0/24")


@pytest.fixture
async def api(database_url: str, tmp_path: Path) -> AsyncIterator[Api]:
    async with serve(database_url, tmp_path) as api:
        yield api


async def create(api: Api, **given: object) -> dict:
    answer = await api.post(api.people.admin, "/v1/accounts", NEW | given)
    assert answer.status_code == 201, answer.text
    assert answer.headers["location"] == f"/v1/accounts/{answer.json()['id']}"
    return answer.json()


async def change(api: Api, me: Me, account: object, body: object, version: object = 1):
    headers = await api.bearer(me)
    if version is not None:
        headers["If-Match"] = f'W/"{version}"'
    return await api.http.patch(f"/v1/accounts/{account}", json=body, headers=headers)


async def knows(api: Api, username: str, password: str) -> bool:
    return await accounts.authenticate(api.clinic, username, password, HERE) is not None


async def test_only_administrators_keep_accounts(api: Api):
    people = api.people
    for me in (people.adams, people.nurse, people.reception, people.compliance, people.patient):
        target = people.baker.subject.id
        assert (await api.post(me, "/v1/accounts", NEW)).status_code == 403
        assert (await api.get(me, "/v1/accounts")).status_code == 403
        search = await api.post(me, "/v1/accounts/search", {"username": "ada@clinic.example"})
        assert search.status_code == 403
        assert (await change(api, me, target, {"roles": ["admin"]})).status_code == 403
        assert (await api.post(me, f"/v1/accounts/{target}/invitation", {})).status_code == 403
        assert (await api.get(me, f"/v1/accounts/{target}/sessions")).status_code == 403


async def test_who_may_not_read_accounts_does_not_learn_which_there_are(api: Api):
    me = await api.bearer(api.people.nurse)
    answers = [
        await api.http.get(f"/v1/accounts/{account}", headers=me)
        for account in (api.people.baker.subject.id, new_id())
    ]
    assert [a.status_code for a in answers] == [403, 403]
    own = await api.http.get(f"/v1/accounts/{api.people.nurse.subject.id}", headers=me)
    assert own.json()["roles"] == ["nurse"]


async def test_nobody_changes_their_own_rights(api: Api):
    admin = api.people.admin
    for body in ({"roles": ["admin", "doctor"]}, {"active": False}):
        assert (await change(api, admin, admin.subject.id, body)).status_code == 403


async def test_a_body_with_more_than_it_may_hold_changes_nothing(api: Api):
    target = api.people.nurse.subject.id
    for extra in ("id", "version", "password_hash", "login", "is_admin", "created_at"):
        assert (await change(api, api.people.admin, target, {extra: "x"})).status_code == 422
    refused = await api.post(api.people.admin, "/v1/accounts", NEW | {"active": False})
    assert refused.status_code == 422


async def test_an_account_that_breaks_a_rule_is_refused_at_the_field(api: Api):
    for broken, pointer in (
        ({"roles": []}, "/roles"),
        ({"roles": ["root"]}, "/roles/0"),
        ({"roles": ["patient"]}, "/label"),
        ({"doctor_id": str(new_id())}, "/doctor_id"),
        ({"patient_id": str(new_id())}, "/patient_id"),
        ({"password": "short"}, "/password"),
        ({"password": "Password2026!"}, "/password"),
        ({"password": "ada@clinic.example1"}, "/password"),
    ):
        answer = await api.post(api.people.admin, "/v1/accounts", NEW | broken)
        assert answer.status_code == 422, broken
        assert [e["pointer"] for e in answer.json()["errors"]] == [pointer]
        assert "Password2026" not in answer.text


async def test_a_user_name_is_taken_once_and_shown_never(api: Api):
    made = await create(api)
    again = await api.post(
        api.people.admin, "/v1/accounts", NEW | {"username": "ADA@clinic.example"}
    )
    assert (again.status_code, again.json()["code"]) == (409, "username-taken")
    found = await api.post(
        api.people.admin, "/v1/accounts/search", {"username": "Ada@clinic.example"}
    )
    assert [a["id"] for a in found.json()["items"]] == [made["id"]]
    listed = await api.get(api.people.admin, "/v1/accounts", params={"role": "nurse"})
    assert {a["id"] for a in listed.json()["items"]} == {
        made["id"],
        str(api.people.nurse.subject.id),
    }
    for answer in (found, listed):
        assert "clinic.example" not in answer.text
        assert "argon2" not in answer.text


async def test_a_password_is_taken_to_the_letter_and_a_name_without_the_blanks_around_it(api: Api):
    made = await create(api, username=" eve@clinic.example ", password=f" {STRONG} ", label=" Eve ")
    assert made["label"] == "Eve"
    assert await knows(api, "eve@clinic.example", f" {STRONG} ")
    assert not await knows(api, "eve@clinic.example", STRONG)


async def test_accounts_are_listed_page_by_page(api: Api):
    seen, cursor = [], None
    while True:
        query = {"limit": 3} | ({"cursor": cursor} if cursor else {})
        page = (await api.get(api.people.admin, "/v1/accounts", params=query)).json()
        seen += [a["id"] for a in page["items"]]
        cursor = page["next_cursor"]
        if cursor is None:
            break
    assert len(seen) == len(set(seen)) == 7


async def test_a_change_names_the_version_it_is_based_on(api: Api):
    target, admin = api.people.nurse.subject.id, api.people.admin
    body = {"department": "cardiology"}
    assert (await change(api, admin, target, body, None)).status_code == 428
    assert (await change(api, admin, target, body, 7)).status_code == 412
    done = await change(api, admin, target, body)
    assert (done.status_code, done.headers["etag"]) == (200, 'W/"2"')
    read = await api.get(admin, f"/v1/accounts/{target}")
    assert read.json() == done.json()
    assert (read.json()["department"], read.json()["version"]) == ("cardiology", 2)
    missing = await change(api, admin, new_id(), body)
    assert missing.status_code == 404


async def test_a_change_of_roles_acts_on_the_next_request(api: Api):
    nurse = await api.bearer(api.people.nurse)
    assert (await api.http.get("/v1/me", headers=nurse)).json()["roles"] == ["nurse"]
    body = {"roles": ["compliance", "compliance"]}
    changed = await change(api, api.people.admin, api.people.nurse.subject.id, body)
    assert changed.json()["roles"] == ["compliance"]
    assert (await api.http.get("/v1/me", headers=nurse)).json()["roles"] == ["compliance"]
    assert (await api.http.get("/v1/audit/events", headers=nurse)).status_code == 200


async def test_who_is_deactivated_is_out_on_the_next_request_and_stays_out(api: Api):
    nurse, target = await api.bearer(api.people.nurse), api.people.nurse.subject.id
    assert (await api.http.get("/v1/me", headers=nurse)).status_code == 200
    await change(api, api.people.admin, target, {"active": False})
    assert (await api.http.get("/v1/me", headers=nurse)).status_code == 401
    assert not await knows(api, "nurse@test", PASSWORD)
    await change(api, api.people.admin, target, {"active": True}, 2)
    assert (await api.http.get("/v1/me", headers=nurse)).status_code == 401
    assert await knows(api, "nurse@test", PASSWORD)


async def test_an_invitation_works_once_and_lets_its_owner_in(api: Api):
    made = await create(api)
    assert made["invited"]
    url = urlsplit(made["invitation"]["url"])
    (link,) = parse_qs(url.query)["link"]
    assert (await api.http.get(f"{url.path}?{url.query}")).status_code == 200
    form = {"link": link, "password": STRONG, "again": STRONG}
    weak = form | {"password": "Password2026!", "again": "Password2026!"}
    assert (await api.http.post(url.path, data=weak)).status_code == 422
    assert (await api.http.post(url.path, data=form | {"again": "other"})).status_code == 422
    assert (await api.http.post(url.path, data=form)).status_code == 200
    assert await knows(api, NEW["username"], STRONG)
    assert (await api.http.post(url.path, data=form)).status_code == 404
    read = await api.get(api.people.admin, f"/v1/accounts/{made['id']}")
    assert read.json()["invited"] is False


async def test_a_link_ends_with_time_with_a_newer_one_and_with_its_account(api: Api):
    target = api.people.nurse.subject.id
    path = f"/v1/accounts/{target}/invitation"

    async def link() -> str:
        url = (await api.post(api.people.admin, path, {})).json()["url"]
        return parse_qs(urlsplit(url).query)["link"][0]

    async def used(secret: str) -> int:
        form = {"link": secret, "password": STRONG, "again": STRONG}
        return (await api.http.post("/oauth/password", data=form)).status_code

    old, new = await link(), await link()
    assert await used(old) == 404
    async with api.clinic.database.bare() as connection:
        await connection.execute("UPDATE account_ticket SET expires_at = now()")
    assert await used(new) == 404
    newest = await link()
    await change(api, api.people.admin, target, {"active": False})
    assert await used(newest) == 404


async def test_a_password_that_was_reset_ends_every_session(api: Api):
    nurse = await api.bearer(api.people.nurse)
    path = f"/v1/accounts/{api.people.nurse.subject.id}/invitation"
    url = (await api.post(api.people.admin, path, {})).json()["url"]
    form = {"link": parse_qs(urlsplit(url).query)["link"][0], "password": STRONG, "again": STRONG}
    assert (await api.http.get("/v1/me", headers=nurse)).status_code == 200
    await api.http.post("/oauth/password", data=form)
    assert (await api.http.get("/v1/me", headers=nurse)).status_code == 401


async def test_asking_for_a_link_tells_nobody_who_has_an_account(api: Api, database_url: str):
    known, unknown = [
        await api.http.post("/oauth/reset", data={"username": name})
        for name in ("nurse@test", "nobody@test")
    ]
    assert known.status_code == unknown.status_code == 200
    assert known.content == unknown.content
    asked = [e for e in await outbox(database_url) if e["reason"] == "reset-asked"]
    assert [e["resource_ids"] for e in asked] == [[str(api.people.nurse.subject.id)]]


async def test_of_a_link_only_the_hash_is_kept(api: Api):
    made = await create(api)
    secret = parse_qs(urlsplit(made["invitation"]["url"]).query)["link"][0]
    async with api.clinic.database.bare() as connection:
        row = await connection.fetchrow("SELECT t::text AS all FROM account_ticket t")
    assert secret not in row["all"]
    assert secret.encode().hex() not in row["all"]


async def test_people_end_their_own_sessions_and_nobody_elses(api: Api):
    one, two = [await api.bearer(api.people.nurse) for _ in range(2)]
    other = await api.bearer(api.people.adams)
    listed = (await api.http.get("/v1/me/sessions", headers=one)).json()["items"]
    assert len(listed) == 2
    assert [s["current"] for s in listed].count(True) == 1
    (theirs,) = [s["id"] for s in listed if not s["current"]]
    foreign = await api.http.delete(f"/v1/me/sessions/{theirs}", headers=other)
    assert foreign.status_code == 404
    assert (await api.http.get("/v1/me", headers=two)).status_code == 200
    assert (await api.http.delete(f"/v1/me/sessions/{theirs}", headers=one)).status_code == 204
    assert (await api.http.get("/v1/me", headers=two)).status_code == 401
    again = await api.http.delete(f"/v1/me/sessions/{theirs}", headers=one)
    assert again.status_code == 404
    three = await api.bearer(api.people.nurse)
    assert (await api.http.delete("/v1/me/sessions", headers=one)).status_code == 204
    statuses = [(await api.http.get("/v1/me", headers=h)).status_code for h in (one, three, other)]
    assert statuses == [200, 401, 200]


async def test_an_administrator_sees_and_ends_the_sessions_of_others(api: Api):
    nurse, admin = await api.bearer(api.people.nurse), await api.bearer(api.people.admin)
    path = f"/v1/accounts/{api.people.nurse.subject.id}/sessions"
    (found,) = (await api.http.get(path, headers=admin)).json()["items"]
    assert (await api.http.delete(f"{path}/{new_id()}", headers=admin)).status_code == 404
    assert (await api.http.delete(f"{path}/{found['id']}", headers=admin)).status_code == 204
    assert (await api.http.get("/v1/me", headers=nurse)).status_code == 401
    nurse = await api.bearer(api.people.nurse)
    assert (await api.http.delete(path, headers=admin)).status_code == 204
    assert (await api.http.get("/v1/me", headers=nurse)).status_code == 401


async def test_another_password_needs_the_present_one_and_ends_other_sessions(api: Api):
    one, two = [await api.bearer(api.people.nurse) for _ in range(2)]
    body = {"current_password": "wrong", "new_password": STRONG}
    for given_, pointer in (
        (body, "/current_password"),
        (body | {"current_password": PASSWORD, "new_password": "letmein2026!"}, "/new_password"),
    ):
        refused = await api.http.post("/v1/me/password", json=given_, headers=one)
        assert refused.status_code == 422
        assert [e["pointer"] for e in refused.json()["errors"]] == [pointer]
    body["current_password"] = PASSWORD
    assert (await api.http.post("/v1/me/password", json=body, headers=one)).status_code == 204
    assert [(await api.http.get("/v1/me", headers=h)).status_code for h in (one, two)] == [200, 401]
    assert not await knows(api, "nurse@test", PASSWORD)
    assert await knows(api, "nurse@test", STRONG)


async def test_guessing_the_present_password_is_counted(api: Api):
    nurse = await api.bearer(api.people.nurse)
    body = {"current_password": "wrong", "new_password": STRONG}
    answers = [
        (await api.http.post("/v1/me/password", json=body, headers=nurse)).status_code
        for _ in range(12)
    ]
    assert answers == [422] * 10 + [429] * 2


async def test_every_act_on_an_account_is_on_the_trail_without_a_name_or_a_password(
    api: Api, database_url: str
):
    made = await create(api, password=STRONG)
    await change(api, api.people.admin, made["id"], {"roles": ["admin"]})
    nurse = await api.bearer(api.people.nurse)
    body = {"current_password": PASSWORD, "new_password": STRONG}
    await api.http.post("/v1/me/password", json=body, headers=nurse)
    events = await outbox(database_url)
    acts = [(e["action"], e["outcome"]) for e in events if e["resource_type"] == "account"]
    assert acts[-3:] == [("create", "allow"), ("update", "allow"), ("password", "allow")]
    text = json.dumps(events)
    assert "clinic.example" not in text
    assert STRONG not in text


async def test_of_two_changes_of_one_version_one_wins(api: Api):
    target = api.people.nurse.subject.id
    answers = await asyncio.gather(
        *(change(api, api.people.admin, target, {"department": f"d{n}"}) for n in range(5))
    )
    assert sorted(a.status_code for a in answers) == [200, 412, 412, 412, 412]


@given(st.text("0123456789!?#.-_ ", max_size=10), st.text("0123456789!?#.-_ ", max_size=10))
def test_a_common_word_is_common_whatever_stands_around_it(before: str, after: str):
    with pytest.raises(Invalid):
        require_strong(f"{before}PassWord{after}", "/password")


@pytest.mark.parametrize(
    "password",
    ["", "aaaaaaaaaaaaaaaa", "123456789012345", "monkeymonkey", "qwertyuiop[]12", "x" * 1025],
)
def test_an_easy_password_is_refused(password: str):
    with pytest.raises(Invalid):
        require_strong(password, "/password")


@pytest.mark.parametrize(
    "password", [STRONG, PASSWORD, "confide-demo", "Tr0ub4dor&3-xkcd", "Ф" + "юбщцэ" * 3]
)
def test_a_password_that_is_not_easy_is_taken(password: str):
    require_strong(password, "/password")
