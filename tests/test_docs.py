"""The documentation says what is so: generated pages are fresh, links lead somewhere, pictures are closed."""

import re
from pathlib import Path

import pytest

from api.docgen import PAGES

ROOT = Path(__file__).resolve().parents[1]
TEXTS = [ROOT / "README.md", ROOT / "CONTRIBUTING.md", *sorted((ROOT / "docs").rglob("*.md"))]


@pytest.mark.parametrize("name", PAGES)
def test_a_generated_page_is_what_the_code_says_now(name: str):
    assert (ROOT / name).read_text() == PAGES[name](), "run `make docs`"


@pytest.mark.parametrize("path", TEXTS, ids=lambda p: str(p.relative_to(ROOT)))
def test_every_relative_link_leads_to_a_file(path: Path):
    targets = re.findall(r"\]\(([^)#\s]+)", path.read_text())
    missing = [t for t in targets if "://" not in t and not (path.parent / t).exists()]
    assert missing == []


@pytest.mark.parametrize("path", TEXTS, ids=lambda p: str(p.relative_to(ROOT)))
def test_every_fence_is_closed(path: Path):
    assert len(re.findall(r"^ *```", path.read_text(), re.MULTILINE)) % 2 == 0


def test_every_decision_is_told_on_the_page_of_decisions():
    told = (ROOT / "docs/decisions.md").read_text()
    assert [p.name for p in (ROOT / "docs/adr").glob("*.md") if f"adr/{p.name}" not in told] == []


def test_no_two_decisions_have_one_number():
    numbers = [p.name[:4] for p in (ROOT / "docs/adr").glob("*.md")]
    assert len(numbers) == len(set(numbers))


@pytest.mark.parametrize("package", ["api", "core", "records"])
def test_the_layout_of_the_architecture_page_names_every_package_there_is(package: str):
    layout = (ROOT / "docs/architecture.md").read_text().partition("## Layout")[2]
    there = sorted(p.parent.name for p in (ROOT / package).glob("*/__init__.py"))
    assert [name for name in there if f"{name}/" not in layout] == []
