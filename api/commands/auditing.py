"""What `confide audit …` does: hands the ledger or a bundle to the verifier, and checkpoints to a witness."""

import asyncio
import json
import sys
import time
import urllib.request
from base64 import b64decode
from collections.abc import Callable, Coroutine, Sequence
from datetime import date
from pathlib import Path
from typing import Any, Final, TypeVar
from urllib.parse import urlsplit

from api.commands.telling import console
from core.crypto.ed25519 import keep, kept, new_seed
from core.crypto.keyring import open_provider
from core.database import Database
from core.settings import settings
from core.transparency.book import Book
from core.transparency.notes import Key, Signer, write_secret
from policies.vocabulary import Action, ResourceType
from records.audit import inspection, log_key, retention, tree
from records.audit.commands import note_command
from records.audit.log_key import VERIFIER_KEY
from records.audit.producers import Producers
from records.audit.sealer import BOOK
from records.audit.troubles import keep_verification
from records.audit.verifier import bundle
from records.audit.verifier.findings import Kind, Report
from records.audit.verifier.witness import Refused, cosign

WITNESS_KEY: Final = "witness.key"
WITNESS_BOOK: Final = "witness.ndjson"
T = TypeVar("T")
Prove = Callable[[int, int], Sequence[bytes]]
Source = Callable[[], tuple[str, Prove]]


def examined(path: Path | None, vkey: Path | None, witness: Path | None) -> Report:
    """Return the report on a bundle, or on the live ledger. A witness's book in the home is used unless another is named."""
    seen = witness or settings().home / WITNESS_BOOK
    cosigner = _cosigner(seen)
    if path:
        key = Key.parse(vkey.read_text()) if vkey else None
        return bundle.verify(path, key, Book(seen) if witness else (), cosigner)
    key, book = _log_key(vkey), Book(settings().home / BOOK)
    keys = open_provider(settings().kms)

    async def inspected(database: Database) -> Report:
        await note_command(database, keys, "confide audit verify", Action.READ)
        known = Producers(keys)
        report = await inspection.inspect(database, key, book, Book(seen), cosigner, known)
        if report.checkpoints and not book.path.exists():
            # The sealer's folder is a volume of its own: elsewhere a log that was restored to an older state looks good.
            report.add(Kind.BOOK, None, str(book.path))
        await keep_verification(database, report.verdict, report.size)
        return report

    return _with_database(inspected)


def exported(target: Path, vkey: Path | None) -> None:
    """Write the whole log as a bundle."""
    key, keys = _log_key(vkey), open_provider(settings().kms)
    count = _with_database(lambda d: inspection.export(d, keys, key, target))
    console.print(f"{count} events written to {target}", soft_wrap=True)


def rekeyed() -> None:
    """Change the log's key, which is an event of the log first."""
    home, keys = settings().home, open_provider(settings().kms)
    secret = log_key.new_secret(home)
    name = f"audit-log {Signer.parse(secret).key.id.hex()}"

    async def note(database: Database) -> None:
        command = "confide audit rotate-key"
        await note_command(database, keys, command, Action.UPDATE, ResourceType.KEY, reason=name)

    _with_database(note)
    log_key.change_key(home, secret)
    console.print(
        f"A new key signs. Give witnesses and auditors the new {home / VERIFIER_KEY}.",
        soft_wrap=True,
    )


def pruned(before: date) -> None:
    """Remove the bodies of whole months before a day, as the database's owner."""
    keys = open_provider(settings().kms)
    months = _with_database(lambda d: retention.prune(d, keys, before), role=None)
    console.print(f"pruned: {', '.join(months) or 'nothing'}", soft_wrap=True)


def witnessed(
    source: Source, home: Path | None, vkey: Path | None, *, every: float, as_json: bool
) -> int:
    """Cosign what the source shows, once or for ever; return 1 when it is to be refused."""
    place = (home or settings().home).resolve()
    signer, book, log = _witness_key(place), Book(place / WITNESS_BOOK), _log_key(vkey)
    while True:
        note, prove = source()
        try:
            cosigned = cosign(book, signer, log, note, prove, int(time.time()))
        except Refused as refusal:
            console.print(f"[red]refused: {refusal}[/red]", soft_wrap=True)
            return 1
        sys.stdout.write(json.dumps({"cosigned": cosigned}) + "\n" if as_json else cosigned)
        if not every:
            return 0
        time.sleep(every)


def tell(report: Report, *, as_json: bool) -> None:
    """Print a report."""
    text = json.dumps(report.as_dict(), indent=2) if as_json else report.sentence()
    sys.stdout.write(text + "\n")


def _log_key(path: Path | None) -> Key:
    path = path or settings().home / VERIFIER_KEY
    if not path.exists():
        raise ValueError(
            f"the log's public key is not at {path}: has `confide sealer` run? or use --vkey"
        )
    return Key.parse(path.read_text())


def _cosigner(book: Path) -> Key | None:
    """Return the key of the witness whose book this is; it lies beside it."""
    path = book.with_name(WITNESS_KEY + ".pub")
    return Key.parse(path.read_text()) if path.exists() else None


def _witness_key(place: Path) -> Signer:
    path = place / WITNESS_KEY
    if not path.exists():
        place.mkdir(parents=True, exist_ok=True)
        name = f"{urlsplit(settings().issuer).netloc}/witness"
        keep(path, write_secret(name, new_seed()))
    signer = Signer.parse(kept(path))
    path.with_name(WITNESS_KEY + ".pub").write_text(f"{signer.cosigner}\n")
    return signer


def from_database() -> Source:
    """Return the log of this installation's own database as a source."""

    def prove(old: int, new: int) -> Sequence[bytes]:
        proof: Sequence[bytes] = _with_database(lambda d: tree.consistency(d, old, new))["proof"]
        return proof

    return lambda: (_with_database(tree.newest_checkpoint), prove)


def over_http(url: str, token_file: Path | None) -> Source:
    """Return the log of a Confide elsewhere as a source. The token is read anew each time: it may be renewed."""
    if not url.startswith(("https://", "http://")):
        raise ValueError("--url is an http address")

    def get(path: str) -> bytes:
        token = token_file.read_text().strip() if token_file else ""
        request = urllib.request.Request(  # noqa: S310 - the scheme was looked at
            f"{url}/v1/audit/{path}", headers={"Authorization": f"Bearer {token}"}
        )
        with urllib.request.urlopen(request, timeout=10) as answer:  # noqa: S310  # nosec B310
            content: bytes = answer.read()
        return content

    def prove(old: int, new: int) -> Sequence[bytes]:
        return [b64decode(h) for h in json.loads(get(f"consistency?old={old}&new={new}"))["proof"]]

    return lambda: (get("checkpoint").decode(), prove)


def _with_database(
    work: Callable[[Database], Coroutine[Any, Any, T]], role: str | None = inspection.ROLE
) -> T:
    async def run() -> T:
        async with Database(settings().postgres_url, role=role, size=2) as database:
            return await work(database)

    return asyncio.run(run())
