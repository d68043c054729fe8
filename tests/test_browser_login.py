"""The pages of a login in a real browser: without JavaScript, and by axe's rules of accessibility."""

import json
import time
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path
from urllib.parse import urlencode

import httpx
import pyotp
import pytest
from playwright.async_api import Page, async_playwright, expect

from records.base import add
from records.identity.models import AccountTotp, OAuthClient
from tests.logins import NAME, PASSWORD, Service, serve
from tests.npm import install
from tests.running import running
from tests.test_browser_docs import ARGUMENTS, QUERY, chromium

SEED = pyotp.random_base32()
LENT = {
    "client_id": "charts",
    "redirect_uri": "https://charts.example/callback",
    "scope": "openid user/Record.rs",
}


@pytest.fixture
async def address(database_url: str, tmp_path: Path) -> AsyncIterator[str]:
    """The whole application; the doctor has an authenticator app, and a foreign client is registered."""
    chromium()
    async with running(serve, database_url, tmp_path) as (issuer, service):
        await furnish(service)
        yield issuer


async def furnish(service: Service) -> None:
    account = service.account.id
    seed = service.clinic.indexes.lock(account, SEED.encode())
    totp = AccountTotp(account_id=account, seed=seed, confirmed_at=service.account.created_at)
    client = OAuthClient(
        id="charts",
        name="Growth charts",
        redirect_uris=[LENT["redirect_uri"]],
        grant_types=["authorization_code"],
        scope=LENT["scope"],
        registered_by=account,
    )
    async with service.clinic.database.transaction() as session:
        await add(session, totp, client)


@asynccontextmanager
async def browsing(*, scripts: bool) -> AsyncIterator[tuple[Page, list[str]]]:
    complaints: list[str] = []
    async with async_playwright() as playwright:
        browser = await playwright.chromium.launch(executable_path=chromium(), args=ARGUMENTS)
        context = await browser.new_context(java_script_enabled=scripts)
        context.on("console", lambda m: complaints.append(m.text) if m.type == "error" else None)
        yield await context.new_page(), complaints
        await browser.close()


def authorize(address: str, **given: str) -> str:
    query = dict(pair.split("=") for pair in QUERY.split("&"))
    query["redirect_uri"] = f"{address}/docs/oauth2-redirect"
    return f"{address}/oauth/authorize?{urlencode(query | given)}"


async def type_password(page: Page) -> None:
    await page.get_by_label("User name").fill(NAME)
    await page.get_by_label("Password").fill(PASSWORD)
    await page.keyboard.press("Enter")


async def test_a_login_with_a_second_factor_and_consent_needs_no_javascript(address: str):
    async with browsing(scripts=False) as (page, complaints):
        await page.goto(authorize(address, **LENT))
        await type_password(page)
        await expect(page.get_by_label("Code")).to_be_focused()
        await page.get_by_label("Code").fill("000000")
        await page.keyboard.press("Enter")
        await expect(page.get_by_role("alert")).to_contain_text("not the present code")
        await page.get_by_label("Code").fill(pyotp.TOTP(SEED).at(time.time()))
        await page.keyboard.press("Enter")
        await expect(page.get_by_role("heading", level=1)).to_have_text("Your consent")
        await expect(page.get_by_role("listitem")).to_have_text(["openid", "user/Record.rs"])
        await page.route("https://charts.example/**", lambda route: route.fulfill(body="back"))
        await page.get_by_role("button", name="Allow", exact=True).click()
        await page.wait_for_url("https://charts.example/callback?code=*")
        assert [c for c in complaints if "401" not in c] == []


async def device_asks(page: Page, address: str, code: str) -> None:
    """Let a device wait, and log its owner in on its page, up to the consent."""
    async with httpx.AsyncClient() as http:
        asked = {"client_id": "confide-cli", "scope": "openid"}
        told = (await http.post(f"{address}/oauth/device_authorization", data=asked)).json()
    await page.goto(told["verification_uri_complete"])
    await expect(page.get_by_label("Code")).to_have_value(told["user_code"])
    await page.get_by_role("button", name="Go on").click()
    await type_password(page)
    await page.get_by_label("Code").fill(code)
    await page.keyboard.press("Enter")
    await expect(page.get_by_role("heading", level=1)).to_have_text("Your consent")


async def test_a_device_is_logged_in_without_javascript(address: str):
    async with browsing(scripts=False) as (page, complaints):
        await device_asks(page, address, pyotp.TOTP(SEED).at(time.time()))
        await page.get_by_role("button", name="Allow", exact=True).click()
        await expect(page.get_by_role("status")).to_contain_text("The device is logged in")
        assert complaints == []


@pytest.fixture(scope="session")
def axe(tmp_path_factory: pytest.TempPathFactory) -> str:
    folder = install(tmp_path_factory.mktemp("axe"), "axe-core@4")
    return (folder / "node_modules/axe-core/axe.min.js").read_text()


async def violations(page: Page, axe: str) -> list[str]:
    await page.evaluate(axe)
    found = json.loads(await page.evaluate("axe.run().then((r) => JSON.stringify(r.violations))"))
    return [f"{v['id']}: {v['nodes'][0]['html']}" for v in found]


PAGES = (
    "/oauth/reset",
    "/oauth/password?link=x",
    "/oauth/device",
    "/oauth/end_session",
    "/oauth/authorize?client_id=nobody",
)


@pytest.mark.parametrize("scheme", ["light", "dark"])
async def test_axe_finds_nothing_to_complain_of_on_any_page(address: str, axe: str, scheme: str):
    found: dict[str, list[str]] = {}
    async with browsing(scripts=True) as (page, _):
        await page.emulate_media(color_scheme=scheme)
        for path in PAGES:
            await page.goto(address + path)
            found[path] = await violations(page, axe)
        await page.goto(f"{address}/oauth/password?link=x")
        for field in ("New password", "The same again"):
            await page.get_by_label(field).fill("Password2026!")
        await page.keyboard.press("Enter")
        await expect(page.get_by_role("alert")).to_be_visible()
        found["password refused"] = await violations(page, axe)
        await page.goto(authorize(address, **LENT))
        found["login"] = await violations(page, axe)
        await page.get_by_label("User name").fill("nobody@demo")
        await page.get_by_label("Password").fill("wrong")
        await page.keyboard.press("Enter")
        await expect(page.get_by_role("alert")).to_be_visible()
        found["login refused"] = await violations(page, axe)
        await type_password(page)
        await expect(page.get_by_label("Code")).to_be_focused()
        found["second factor"] = await violations(page, axe)
        await page.get_by_label("Code").fill(pyotp.TOTP(SEED).at(time.time()))
        await page.keyboard.press("Enter")
        await expect(page.get_by_role("heading", level=1)).to_have_text("Your consent")
        found["consent"] = await violations(page, axe)
        # A code counts once: the next login shows the one of the next half minute.
        await device_asks(page, address, pyotp.TOTP(SEED).at(time.time() + 30))
        found["consent to a device"] = await violations(page, axe)
        await page.get_by_role("button", name="Allow", exact=True).click()
        await expect(page.get_by_role("status")).to_contain_text("The device is logged in")
        found["device logged in"] = await violations(page, axe)
    assert {name: faults for name, faults in found.items() if faults} == {}
