"""Passkeys in a real browser, with the virtual authenticator of its DevTools."""

import json
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path

import httpx
import pyotp
import pytest
from playwright.async_api import CDPSession, Page, async_playwright, expect

from records.identity import sessions
from tests.logins import CALLBACK, NAME, PASSWORD, Login, Service, serve
from tests.running import running
from tests.test_browser_docs import ARGUMENTS, chromium
from tests.test_browser_login import authorize, axe, violations  # noqa: F401 - a fixture
from tests.test_browser_login import browsing as plain
from tests.test_mfa import claims

KEY = {
    "protocol": "ctap2",
    "transport": "internal",
    "hasResidentKey": True,
    "hasUserVerification": True,
    "isUserVerified": True,
}


@pytest.fixture
async def place(database_url: str, tmp_path: Path) -> AsyncIterator[tuple[str, Service]]:
    """The address as a browser has to see it (addresses of numbers have no passkeys), and the service."""
    chromium()
    async with running(serve, database_url, tmp_path) as (issuer, service):
        yield issuer.replace("127.0.0.1", "localhost"), service


@asynccontextmanager
async def browsing() -> AsyncIterator[tuple[Page, CDPSession, list[str]]]:
    complaints: list[str] = []
    async with async_playwright() as playwright:
        browser = await playwright.chromium.launch(executable_path=chromium(), args=ARGUMENTS)
        context = await browser.new_context()
        context.on("console", lambda m: complaints.append(m.text) if m.type == "error" else None)
        page = await context.new_page()
        tools = await context.new_cdp_session(page)
        await tools.send("WebAuthn.enable")
        await tools.send("WebAuthn.addVirtualAuthenticator", {"options": KEY})
        yield page, tools, complaints
        await browser.close()


async def type_password(page: Page) -> None:
    await page.get_by_label("User name").fill(NAME)
    await page.get_by_label("Password").fill(PASSWORD)
    await page.keyboard.press("Enter")


async def enrol(page: Page, address: str) -> None:
    await page.goto(f"{address}/oauth/account")
    await type_password(page)
    await page.get_by_label("Name of a new passkey").fill("Laptop")
    await page.get_by_role("button", name="Add a passkey").click()
    await expect(page.get_by_role("status")).to_contain_text("recovery codes")


async def log_in(page: Page, address: str, service: Service, press: str) -> dict[str, str]:
    """Log in with PKCE as the command line does; return the tokens."""
    login = Login(redirect_uri=CALLBACK)
    await page.goto(authorize(address, **login.asked))
    if press == "password":
        await type_password(page)
    async with page.expect_request(lambda asked: asked.url.startswith(CALLBACK)) as sent:
        await page.get_by_role("button", name="Use a passkey").click()
    login.answer = httpx.Response(303, headers={"location": (await sent.value).url})
    form = {"code": login.code, "code_verifier": login.verifier, "redirect_uri": CALLBACK}
    form |= {"grant_type": "authorization_code", "client_id": "confide-cli"}
    async with httpx.AsyncClient() as http:
        return (await http.post(f"{service.tokens.issuer}/oauth/token", data=form)).json()


async def test_a_passkey_is_made_logs_in_steps_up_and_is_removed(place: tuple[str, Service]):
    address, service = place
    async with browsing() as (page, _, complaints):
        await enrol(page, address)
        await expect(page.get_by_role("listitem").filter(has_text="on one device")).to_be_visible()
        alone = await log_in(page, address, service, "passkey")
        assert claims(alone["access_token"])["amr"] == ["hwk", "mfa"]
        both = await log_in(page, address, service, "password")
        assert claims(both["access_token"])["amr"] == ["pwd", "hwk", "mfa"]
        assert await may_remove_factors(service, both) == 204
        await page.goto(authorize(address))
        await page.get_by_role("button", name="Use a passkey").click()
        await expect(page.get_by_role("alert").first).to_contain_text("not known here")
        assert [c for c in complaints if "401" not in c and "REFUSED" not in c] == []


async def may_remove_factors(service: Service, given: dict[str, str]) -> int:
    """Do the grave act with a login of one factor, which is refused, and with the one given."""
    async with service.clinic.database.transaction() as session:
        its = service.account.id, "confide-cli", "openid", service.tokens.life
        weak = service.tokens.access(await sessions.start(session, *its))
    async with httpx.AsyncClient(base_url=service.tokens.issuer) as http:
        refused = await http.delete("/v1/me/mfa", headers={"Authorization": f"Bearer {weak}"})
        assert (refused.status_code, refused.json()["code"]) == (401, "step-up")
        strong = {"Authorization": f"Bearer {given['access_token']}"}
        return (await http.delete("/v1/me/mfa", headers=strong)).status_code


async def test_owners_rename_and_remove_a_passkey_on_their_page(place: tuple[str, Service], axe):  # noqa: F811
    address, _ = place
    async with browsing() as (page, _, complaints):
        await enrol(page, address)
        assert await violations(page, axe) == []
        await page.get_by_label("Another name for Laptop").fill("Blue key")
        await page.get_by_role("button", name="Rename Laptop").click()
        # The account has a second factor by now, which this login has not shown.
        assert await violations(page, axe) == []
        await page.get_by_role("button", name="Use a passkey").click()
        await page.get_by_label("Another name for Laptop").fill("Blue key")
        await page.get_by_role("button", name="Rename Laptop").click()
        await expect(page.get_by_role("listitem")).to_contain_text("Blue key")
        await page.emulate_media(color_scheme="dark")
        assert await violations(page, axe) == []
        await page.get_by_role("button", name="Remove Blue key").click()
        await expect(page.get_by_text("You have none.")).to_be_visible()
        assert await violations(page, axe) == []
        assert complaints == []


async def test_axe_finds_nothing_to_complain_of_while_an_app_is_set_up(
    place: tuple[str, Service],
    axe,  # noqa: F811
):
    address, _ = place
    async with browsing() as (page, _, complaints):
        await page.goto(f"{address}/oauth/account")
        await type_password(page)
        await expect(page.get_by_text("None is set up.")).to_be_visible()
        assert await violations(page, axe) == []
        await page.get_by_role("button", name="Set up an authenticator app").click()
        await expect(page.get_by_role("img", name="QR code")).to_be_visible()
        app = pyotp.TOTP(await page.locator(".key code").inner_text())
        for scheme in ("dark", "light"):
            await page.emulate_media(color_scheme=scheme)
            assert await violations(page, axe) == []
        await page.get_by_label("Code that the app shows now").fill("000000")
        await page.keyboard.press("Enter")
        await expect(page.get_by_role("alert")).to_be_visible()
        assert await violations(page, axe) == []
        await page.get_by_label("Code that the app shows now").fill(app.now())
        await page.keyboard.press("Enter")
        await expect(page.get_by_role("status")).to_contain_text("recovery codes")
        assert await violations(page, axe) == []
        assert [c for c in complaints if "409" not in c] == []


async def test_owners_set_an_authenticator_app_up_and_remove_it_without_javascript(
    place: tuple[str, Service],
):
    address, service = place
    async with plain(scripts=False) as (page, complaints):
        await page.goto(f"{address}/oauth/account")
        await type_password(page)
        await page.get_by_role("button", name="Set up an authenticator app").click()
        await expect(page.get_by_role("img", name="QR code")).to_be_visible()
        app = pyotp.TOTP(await page.locator(".key code").inner_text())
        await page.get_by_label("Code that the app shows now").fill("000000")
        await page.keyboard.press("Enter")
        await expect(page.get_by_role("alert")).to_contain_text("not the app's present code")
        await page.get_by_label("Code that the app shows now").fill(app.now())
        await page.keyboard.press("Enter")
        code = await page.get_by_role("status").locator("code").first.inner_text()
        # The account has a second factor by now, which this login has not shown.
        await page.get_by_role("button", name="Remove the app").click()
        await page.get_by_label("Code").fill(code)
        await page.keyboard.press("Enter")
        await expect(page.get_by_text("9 are left")).to_be_visible()
        await page.get_by_role("button", name="Remove the app").click()
        await expect(page.get_by_role("button", name="Set up")).to_be_visible()
        assert [c for c in complaints if "409" not in c] == []
    kept = [json.loads(body) for body in await service.events()]
    became = [event["reason"] for event in kept if event["action"] == "factor"]
    assert became == ["enrolled", "recovery-codes", "app-removed"]


async def test_a_browser_without_passkeys_is_not_offered_one(place: tuple[str, Service]):
    address, service = place
    async with browsing() as (page, _, complaints):
        await page.add_init_script("delete window.PublicKeyCredential")
        await page.goto(authorize(service.tokens.issuer))
        await expect(page.get_by_label("User name")).to_be_focused()
        await expect(page.get_by_role("button", name="Use a passkey")).to_be_hidden()
        await page.goto(f"{address}/oauth/authorize?client_id=nobody")
        assert [c for c in complaints if "400" not in c] == []
