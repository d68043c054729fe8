"""The login page: usable by everybody, useful to no attacker. And what the endpoints tell whom."""

import re
from collections.abc import AsyncIterator
from hashlib import sha256
from html.parser import HTMLParser
from pathlib import Path

import pytest

from policies.vocabulary import Role
from records.base import add
from records.identity.accounts import create
from records.identity.models import OAuthClient
from tests.logins import NAME, PASSWORD, Service, serve


@pytest.fixture
async def service(database_url: str, tmp_path: Path) -> AsyncIterator[Service]:
    async with serve(database_url, tmp_path) as running:
        yield running


class Page(HTMLParser):
    """Start tags with their attributes, in order."""

    def __init__(self, text: str) -> None:
        super().__init__()
        self.tags: list[tuple[str, dict[str, str | None]]] = []
        self.feed(text)

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.tags.append((tag, dict(attrs)))

    def all(self, tag: str) -> list[dict[str, str | None]]:
        return [attributes for name, attributes in self.tags if name == tag]


async def test_every_field_of_the_login_page_has_a_label_and_a_purpose(service: Service):
    page = Page((await service.log_in()).page.text)
    labelled = {label["for"] for label in page.all("label")}
    fields = [i for i in page.all("input") if i["type"] != "hidden"]
    assert {f["id"] for f in fields} == labelled == {"username", "password"}
    assert [f["autocomplete"] for f in fields] == ["username", "current-password"]
    assert page.all("html") == [{"lang": "en"}]
    assert len(page.all("h1")) == 1
    assert page.all("title")
    assert page.all("main")


async def test_the_login_page_runs_our_script_and_loads_our_style_only(service: Service):
    answer = (await service.log_in()).page
    page = Page(answer.text)
    assert page.all("script") == [{"src": "/oauth/passkey.js", "defer": None}]
    assert page.all("style") == []
    assert [link["href"] for link in page.all("link")] == [
        "/docs/assets/icon.svg",
        "/oauth/style.css",
    ]
    for _, attributes in page.tags:
        assert not [name for name in attributes if name == "style" or name.startswith("on")]
    style = await service.http.get("/oauth/style.css")
    assert style.headers["content-type"].startswith("text/css")
    assert "url(" not in style.text


async def test_the_login_page_is_neither_framed_nor_kept(service: Service):
    headers = (await service.log_in()).page.headers
    policy = dict(
        p.strip().partition(" ")[::2] for p in headers["content-security-policy"].split(";")
    )
    assert policy["default-src"] == policy["frame-ancestors"] == policy["base-uri"] == "'none'"
    assert policy["form-action"] == "'self' http://127.0.0.1:54321"
    assert policy["script-src"] == "'self'"
    plain = await service.http.get("/oauth/reset")
    assert "script" not in plain.headers["content-security-policy"] + plain.text
    assert "unsafe" not in headers["content-security-policy"]
    assert headers["cache-control"] == "no-store"
    assert headers["x-frame-options"] == "DENY"


async def test_a_failed_login_says_so_to_a_screen_reader_too(service: Service):
    page = Page((await service.log_in(password="no")).answer.text)
    (alert,) = [a for _, a in page.tags if a.get("role") == "alert"]
    fields = [i for i in page.all("input") if i["type"] != "hidden"]
    assert {f["aria-describedby"] for f in fields} == {alert["id"]}
    assert not [f for f in fields if f.get("value")]


async def test_parameters_come_back_escaped(service: Service):
    nasty = '"><script>alert(1)</script>'
    login = await service.log_in(state=nasty, nonce=nasty)
    assert "<script>" not in login.page.text
    assert login.returned["state"] == nasty


async def test_texts_stand_out_from_what_is_behind_them(service: Service):
    style = (await service.http.get("/oauth/style.css")).text
    for theme in re.findall(r":root \{(.*?)\}", style, re.DOTALL):
        colour = dict(re.findall(r"--([\w-]+): (#[0-9a-f]+)", theme))
        pairs = [("ink", "card"), ("soft", "card"), ("accent", "card"), ("on-accent", "accent"),
                 ("bad", "bad-page"), ("ink", "bad-page")]  # fmt: skip
        for text, behind in pairs:
            assert contrast(colour[text], colour[behind]) >= 4.5, (text, behind)
        assert contrast(colour["line"], colour["card"]) >= 3


def contrast(one: str, other: str) -> float:
    """WCAG 2.2 contrast ratio of two colours."""
    lighter, darker = sorted((luminance(one), luminance(other)), reverse=True)
    return (lighter + 0.05) / (darker + 0.05)


def luminance(colour: str) -> float:
    digits = colour[1:] if len(colour) == 7 else "".join(d * 2 for d in colour[1:])
    parts = [int(digits[i : i + 2], 16) / 255 for i in (0, 2, 4)]
    linear = [p / 12.92 if p <= 0.04045 else ((p + 0.055) / 1.055) ** 2.4 for p in parts]
    return 0.2126 * linear[0] + 0.7152 * linear[1] + 0.0722 * linear[2]


@pytest.mark.parametrize("path", ["account", "device", "password", "reset"])
async def test_a_form_that_cannot_be_read_is_refused_by_a_page(service: Service, path: str):
    form = {"Content-Type": "application/x-www-form-urlencoded"}
    for text in ("username=a&username=b", "link=%00", "client_id=%FF"):
        refused = await service.http.post(f"/oauth/{path}", content=text, headers=form)
        assert refused.status_code == 400
        assert refused.headers["content-type"].startswith("text/html")


async def test_credentials_that_are_no_text_are_nobodys(service: Service):
    for path in ("token", "revoke", "introspect", "par", "device_authorization"):
        basic = {"Authorization": "Basic //46/w=="}
        form = {"grant_type": "client_credentials"}
        refused = await service.http.post(f"/oauth/{path}", data=form, headers=basic)
        assert (refused.status_code, refused.json()["error"]) == (401, "invalid_client"), path


async def test_userinfo_tells_what_the_scope_allows(service: Service):
    bare = {"sub": str(service.account.id)}
    for scope, told in (
        ("openid", bare),
        ("openid profile", bare | {"roles": ["doctor"], "name": "Dr Adams"}),
    ):
        access = (await service.grant(scope=scope))["access_token"]
        headers = {"Authorization": f"Bearer {access}"}
        assert (await service.http.get("/oauth/userinfo", headers=headers)).json() == told
    refused = await service.http.get("/oauth/userinfo")
    assert refused.status_code == 401
    assert refused.headers["www-authenticate"].startswith("Bearer")


async def test_introspection_answers_owners_and_clients_with_a_secret(service: Service):
    access = (await service.grant())["access_token"]
    form = {"token": access}
    assert (await service.http.post("/oauth/introspect", data=form)).status_code == 401
    public = await service.http.post("/oauth/introspect", data=form | {"client_id": "confide-cli"})
    assert public.status_code == 401
    owner = {"Authorization": f"Bearer {access}"}
    told = (await service.http.post("/oauth/introspect", data=form, headers=owner)).json()
    assert told["active"]
    assert told["sub"] == str(service.account.id)
    assert told["client_id"] == "confide-cli"
    gateway = OAuthClient(
        id="gateway",
        name="Gateway",
        auth_method="client_secret_basic",
        secret_hash=sha256(b"a long secret").hexdigest(),
    )
    async with service.clinic.database.transaction() as session:
        await add(session, gateway)
    for secret, status in (("a long secret", 200), ("another secret", 401)):
        answer = await service.http.post("/oauth/introspect", data=form, auth=("gateway", secret))
        assert answer.status_code == status
    dead = {"token": "nothing"}
    answer = await service.http.post(
        "/oauth/introspect", data=dead, auth=("gateway", "a long secret")
    )
    assert answer.json() == {"active": False}


async def test_nobody_learns_of_the_tokens_of_others(service: Service):
    mine = (await service.grant())["access_token"]
    async with service.clinic.database.transaction() as session:
        await create(
            session,
            service.clinic.indexes,
            username="nurse@demo",
            password=PASSWORD,
            roles=[Role.NURSE],
        )
    login = await service.log_in("nurse@demo")
    theirs = (await service.redeem(login.code, login.verifier)).json()["access_token"]
    headers = {"Authorization": f"Bearer {theirs}"}
    answer = await service.http.post("/oauth/introspect", data={"token": mine}, headers=headers)
    assert answer.json() == {"active": False}


async def test_the_api_reference_is_served_from_here_alone(service: Service):
    answer = await service.http.get("/docs")
    page = Page(answer.text)
    addresses = [s["src"] for s in page.all("script")] + [link["href"] for link in page.all("link")]
    for address in addresses:
        assert address
        assert address.startswith("/docs/assets/")
        assert (await service.http.get(address)).status_code == 200
    assert "unsafe" not in answer.headers["content-security-policy"]
    assert (await service.http.get("/docs/assets/..%2f..%2fapp.py")).status_code == 404
    assert (await service.http.get("/docs/assets/favicon-32x32.png")).status_code == 404
    redirect = await service.http.get("/docs/oauth2-redirect")
    assert redirect.headers["cache-control"] == "no-store"
    assert NAME not in redirect.text
