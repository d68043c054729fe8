"""The pages build into a site without a warning, and every picture in them can be drawn."""

import re
import subprocess
import sys
from pathlib import Path

from playwright.async_api import async_playwright

from tests.npm import install
from tests.test_browser_docs import ARGUMENTS, chromium
from tests.test_docs import ROOT, TEXTS

DRAW = """async pictures => {
  mermaid.initialize({startOnLoad: false});
  const broken = {};
  for (const [name, text] of Object.entries(pictures)) {
    try { await mermaid.render("picture", text); }
    catch (error) { broken[name] = String(error); }
  }
  return broken;
}"""


def pictures() -> dict[str, str]:
    """Every Mermaid picture of every page, by page and place."""
    return {
        f"{path.relative_to(ROOT)}:{place}": text
        for path in TEXTS
        for place, text in enumerate(
            re.findall(r"```mermaid\n(.*?)```", path.read_text(), re.DOTALL), 1
        )
    }


def test_the_site_builds_without_a_warning(tmp_path: Path):
    command = [sys.executable, "-m", "sphinx", "-q", "-W", "--keep-going", "-b", "html"]
    done = subprocess.run(
        [*command, ROOT / "docs", tmp_path], capture_output=True, text=True, check=False
    )
    assert (done.returncode, done.stderr) == (0, "")


async def test_every_picture_can_be_drawn(tmp_path: Path):
    executable = chromium()
    script = install(tmp_path, "mermaid@11") / "node_modules/mermaid/dist/mermaid.min.js"
    async with async_playwright() as playwright:
        browser = await playwright.chromium.launch(executable_path=executable, args=ARGUMENTS)
        page = await browser.new_page()
        await page.add_script_tag(path=script)
        assert len(pictures()) >= 8
        assert await page.evaluate(DRAW, pictures()) == {}
        await browser.close()
