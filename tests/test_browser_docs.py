"""The API reference in a real browser: log in with PKCE, call the API, see the answer."""

import os
import shutil
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path

import pytest
from playwright.async_api import Page, async_playwright, expect

from tests.logins import NAME, PASSWORD, serve
from tests.running import running

ARGUMENTS = [
    "--no-sandbox",  # root, in a container
    "--disable-gpu",
    "--disable-quic",
    "--no-first-run",
    "--disable-background-networking",
    "--disable-component-update",
    "--disable-sync",
]


def chromium() -> str:
    """Return the browser's path, or skip the test where there is none."""
    path = os.environ.get("CHROMIUM") or shutil.which("chromium")
    if path:
        return path
    if os.environ.get("CI") == "true":
        pytest.fail("chromium is missing in CI")
    pytest.skip("there is no chromium here; CHROMIUM says where one is")


@pytest.fixture
async def address(database_url: str, tmp_path: Path) -> AsyncIterator[str]:
    """The address of the whole application on a clinic with one doctor."""
    chromium()
    async with running(serve, database_url, tmp_path) as (issuer, _):
        yield issuer


@asynccontextmanager
async def browsing() -> AsyncIterator[tuple[Page, list[str]]]:
    """Open a page; the list fills with what the browser complains of."""
    complaints: list[str] = []
    async with async_playwright() as playwright:
        browser = await playwright.chromium.launch(executable_path=chromium(), args=ARGUMENTS)
        context = await browser.new_context()
        context.on("console", lambda m: complaints.append(m.text) if m.type == "error" else None)
        context.on("weberror", lambda e: complaints.append(str(e.error)))
        yield await context.new_page(), complaints
        await browser.close()


async def test_the_reference_logs_in_with_pkce_and_calls_the_api(address: str):
    async with browsing() as (page, complaints):
        await page.goto(f"{address}/docs")
        await page.get_by_role("button", name="Authorize").first.click()
        dialog = page.locator(".auth-container").filter(has_text="authorizationCode with PKCE")
        await expect(dialog.locator("#client_id_authorizationCode")).to_have_value("confide-docs")
        async with page.expect_popup() as popup:
            await dialog.locator("button.authorize").click()
        login = await popup.value
        await login.get_by_label("User name").fill(NAME)
        await login.get_by_label("Password").fill(PASSWORD)
        async with login.expect_event("close"):
            await login.get_by_role("button", name="Log in").click()
        await expect(dialog.get_by_text("Authorized")).to_be_visible()
        await page.locator(".close-modal").click()
        await page.locator("#operations-me-read_me").click()
        await page.get_by_role("button", name="Try it out").click()
        await page.get_by_role("button", name="Execute").click()
        live = page.locator(".live-responses-table .response").first
        await expect(live.locator(".response-col_status").first).to_contain_text("200")
        await expect(live).to_contain_text('"doctor"')
        assert complaints == []


async def test_a_wrong_password_is_said_on_the_login_page(address: str):
    async with browsing() as (page, complaints):
        await page.goto(
            f"{address}/oauth/authorize?{QUERY}&redirect_uri={address}/docs/oauth2-redirect"
        )
        await page.get_by_label("User name").fill(NAME)
        await page.get_by_label("Password").fill("wrong")
        await page.keyboard.press("Enter")
        await expect(page.get_by_role("alert")).to_contain_text("wrong")
        await expect(page.get_by_label("User name")).to_be_focused()
        await page.get_by_label("User name").fill(NAME)
        await page.get_by_label("Password").fill(PASSWORD)
        await page.keyboard.press("Enter")
        await page.wait_for_url("**/docs/oauth2-redirect?code=*")
        await expect(page.get_by_text("a login that began elsewhere")).to_be_visible()
        assert [c for c in complaints if "401" not in c] == []


QUERY = (
    "client_id=confide-docs&response_type=code&code_challenge_method=S256"
    "&code_challenge=E9Melhoa2OwvFrEMTJguCHaoeK1t8URWbuGJSstw-cM"
)
