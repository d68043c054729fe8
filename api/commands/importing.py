"""`confide import fhir`: bundles from files, one in memory at a time, each in a transaction of its own."""

import asyncio
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import Final

import orjson
from rich.console import Console
from rich.progress import track
from rich.table import Table

import records.tables  # noqa: F401 - foreign keys resolve once every table is known
from api.commands.telling import console
from core import logging
from core.crypto.keyring import open_provider
from core.settings import Settings
from records.access.me import Me
from records.clinic import Clinic
from records.demo.accounts import PASSWORD
from records.fhir.importing import Wishes, import_bundle
from records.fhir.report import Refused, Report, display_name
from records.fhir.tally import Member
from records.fhir.understanding import Rejected
from records.identity.accounts import named
from records.identity.commands import NO_PASSWORD, command_line
from records.identity.passwords import passwords

DONE: Final = 0
REJECTED: Final = 1
MISUSED: Final = 2


class Misused(Exception):
    """What was asked for cannot be meant."""


def import_bundles(
    chosen: Settings, paths: Sequence[Path], care_team: Sequence[str], *, as_json: bool
) -> int:
    """Import bundles and report; return the exit code: 0 good, 1 a bundle was rejected, 2 misused."""
    logging.configure()
    try:
        report = asyncio.run(_run(chosen, _files(paths), care_team))
    except Misused as misuse:
        console.print(f"[red]{misuse}[/red]")
        return MISUSED
    if as_json:
        sys.stdout.buffer.write(orjson.dumps(report.as_json(), option=orjson.OPT_INDENT_2) + b"\n")
    else:
        _show(report)
    return REJECTED if report.refused else DONE


def _files(paths: Sequence[Path]) -> Sequence[Path]:
    """Return the bundles; files of hospitals and practitioners first, since patients refer to them."""
    found = [f for p in paths for f in (sorted(p.glob("*.json")) if p.is_dir() else [p])]
    if not found:
        raise Misused("there is no *.json here")
    return sorted(found, key=lambda file: not file.name.startswith(("hospital", "practitioner")))


async def _run(chosen: Settings, files: Sequence[Path], care_team: Sequence[str]) -> Report:
    provider = open_provider(chosen.kms)
    async with Clinic.open(chosen.postgres_url, provider, pool=2) as clinic:
        me = await command_line(clinic, "confide import fhir")
        members = [await _member(clinic, login) for login in care_team]
        secret = await passwords().hash(PASSWORD) if chosen.development else NO_PASSWORD
        wishes, report = Wishes(members, secret), Report()
        for path in track(files, "Importing", console=console, transient=True):
            report.bundles += 1
            await _import(clinic, me, path, wishes, report)
    return report


async def _import(clinic: Clinic, me: Me, path: Path, wishes: Wishes, report: Report) -> None:
    raw = await asyncio.to_thread(path.read_bytes)
    try:
        report.add(*await import_bundle(clinic, me, raw, wishes))
    except Rejected as rejected:
        name = display_name(path, raw)
        report.refused.append(Refused(name, report.bundles, rejected.faults))


async def _member(clinic: Clinic, login: str) -> Member:
    account = await named(clinic, login)
    if account is None:
        raise Misused("no account has the login given with --care-team")
    return Member(account.doctor_id) if account.doctor_id else Member(account_id=account.id)


def _show(report: Report) -> None:
    out = Console(highlight=False)
    summary = report.as_json()
    out.print(
        "{read} bundles read, {imported} imported, {rejected} rejected".format(**summary["bundles"])
    )
    kinds = sorted(summary["created"].keys() | summary["already_there"].keys())
    rows = [(k, summary["created"].get(k, 0), summary["already_there"].get(k, 0)) for k in kinds]
    _table(out, ("kind", "created", "already there"), rows)
    left = [
        (each["resource_type"], each["reason"], each["count"]) for each in summary["not_imported"]
    ]
    _table(out, ("not imported", "why", "count"), left)
    busy = [(d["label"], d["login"], d["patients"]) for d in summary["doctors"] if d["patients"]]
    _table(out, ("doctor", "login", "patients"), busy)
    faults = [
        (each["file"], each["bundle"], error["entry"], error["pointer"], error["rule"])
        for each in summary["rejected"]
        for error in each["errors"]
    ]
    _table(out, ("rejected file", "bundle", "entry", "pointer", "rule"), faults)


def _table(out: Console, names: Sequence[str], rows: Sequence[Sequence[object]]) -> None:
    if not rows:
        return
    table = Table(*names, box=None, pad_edge=False)
    for row in rows:
        table.add_row(*("" if cell is None else str(cell) for cell in row))
    out.print(table, soft_wrap=True)
