"""Packages of npm for tests that want a foreign judge: fetched when asked for, skipped where there is no Node."""

import os
import shutil
import subprocess
from pathlib import Path

import pytest


def install(folder: Path, *packages: str) -> Path:
    """Install packages into a folder, or skip the test where that cannot be; in CI it must be."""
    if not (shutil.which("node") and shutil.which("npm")):
        refuse("there is no Node here")
    (folder / "package.json").write_text('{"private": true, "type": "module"}')
    command = [
        "npm",
        "install",
        "--silent",
        "--no-audit",
        "--no-fund",
        "--no-package-lock",
        *packages,
    ]
    done = subprocess.run(command, cwd=folder, capture_output=True, timeout=120, check=False)
    if done.returncode != 0:
        refuse(f"npm could not install {', '.join(packages)}")
    return folder


def refuse(reason: str) -> None:
    if os.environ.get("CI") == "true":
        pytest.fail(f"{reason}, in CI")
    pytest.skip(reason)
