"""Data nobody here wrote. A plain clone lacks it and skips; CI has it and must not skip."""

import os
from pathlib import Path

import pytest

_BESIDE = Path(__file__).resolve().parents[2] / "shared" / "data"
ROOT = Path(os.environ.get("CONFIDE_TEST_DATA", _BESIDE))


def outside(*parts: str) -> Path:
    """Return the path of an outside file or folder, or skip the test where the data is not at hand."""
    path = ROOT.joinpath(*parts)
    if path.exists():
        return path
    if os.environ.get("CI") == "true":
        pytest.fail(f"outside data {'/'.join(parts)} is missing in CI")
    pytest.skip(f"outside data {'/'.join(parts)} is not beside this checkout")
