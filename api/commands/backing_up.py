"""A backup of everything that is ciphertext, and its way back: the database, and the blobs of attachments.

Never the keys: who has the backup and not the keyring has noise. A manifest with checksums is written last, so that a
backup that was cut short is none. The programs are PostgreSQL's own.
"""

import asyncio
import hashlib
import json
import os
import subprocess
import tarfile
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any, Final
from urllib.parse import unquote, urlsplit

from rich.console import Console

from core.blobs import COMING
from core.clock import now
from core.embedded.postgres import binaries
from core.pool import alone
from core.settings import Settings

DUMP: Final = "database.dump"
BLOBS: Final = "attachments.tar"
MANIFEST: Final = "manifest.json"

_ABOUT: Final = """
SELECT (SELECT version_num FROM alembic_version) AS schema,
  (SELECT note FROM audit.checkpoint ORDER BY size DESC, id DESC LIMIT 1) AS checkpoint,
  ARRAY(SELECT rolname::text FROM pg_roles WHERE rolname LIKE 'confide\\_%' AND NOT rolcanlogin ORDER BY 1) AS roles
"""
_HELD: Final = (
    "SELECT count(*) FROM pg_class WHERE relnamespace = 'public'::regnamespace AND relkind = 'r'"
)
# A role is the server's, not the database's: a dump of one database has none.
_ROLE: Final = """
DO $$ BEGIN CREATE ROLE {role} NOLOGIN; EXCEPTION WHEN duplicate_object OR unique_violation THEN NULL; END $$;
GRANT {role} TO CURRENT_USER
"""


def back_up(chosen: Settings, folder: Path, console: Console) -> Mapping[str, Any]:
    """Write a backup into a folder that is not there yet; return its manifest. ValueError when it cannot be."""
    binaries()  # before the folder is there: without them there is no backup
    try:
        folder.mkdir(parents=True, mode=0o700)
    except FileExistsError:
        raise ValueError(f"{folder} is there already") from None
    about = dict(asyncio.run(_one(chosen.postgres_url, _ABOUT)))
    with console.status("the database …"):
        _run(chosen, "pg_dump", "--format=custom", "--file", folder / DUMP)
    # After the database: a blob lies there before its row does.
    with console.status("attachments …"), tarfile.open(folder / BLOBS, "w") as tar:
        if chosen.attachments.exists():
            tar.add(chosen.attachments, arcname=".", filter=_whole)
    files = {name: _digest(folder / name) for name in (DUMP, BLOBS)}
    manifest = {"made_at": now().isoformat(), **about, "sha256": files}
    (folder / MANIFEST).write_text(json.dumps(manifest, indent=2) + "\n")
    return manifest


def _whole(member: tarfile.TarInfo) -> tarfile.TarInfo | None:
    """Leave out what is still being uploaded: no row names it."""
    return None if COMING in Path(member.name).parts else member


def restore(chosen: Settings, folder: Path, console: Console) -> Mapping[str, Any]:
    """Bring a backup into an empty database; return its manifest. ValueError before anything is touched."""
    manifest = examined(folder)
    if asyncio.run(_one(chosen.postgres_url, _HELD))[0]:
        raise ValueError("the database is not empty: a restore goes into a new one")
    asyncio.run(_make_roles(chosen.postgres_url, manifest["roles"]))
    with console.status("the database …"):
        _run(chosen, "pg_restore", "--no-owner", "--exit-on-error", folder / DUMP, named=True)
    chosen.attachments.mkdir(parents=True, exist_ok=True)
    with console.status("attachments …"), tarfile.open(folder / BLOBS) as tar:
        tar.extractall(chosen.attachments, filter="data")
    return manifest


def examined(folder: Path) -> Mapping[str, Any]:
    """Return a backup's manifest, once its files are what it says. ValueError when they are not."""
    if not (folder / MANIFEST).exists():
        raise ValueError(f"{folder} is no whole backup: it has no {MANIFEST}")
    manifest: Mapping[str, Any] = json.loads((folder / MANIFEST).read_text())
    for name, digest in manifest["sha256"].items():
        if _digest(folder / name) != digest:
            raise ValueError(f"{name} is not what the manifest says: the backup was damaged")
    return manifest


def _run(chosen: Settings, program: str, *arguments: str | Path, named: bool = False) -> None:
    """Run one of PostgreSQL's programs on our database; its password goes by the environment."""
    where = urlsplit(chosen.postgres_url)
    given = {
        "PGHOST": where.hostname,
        "PGPORT": str(where.port or 5432),
        "PGUSER": unquote(where.username or ""),
        "PGPASSWORD": unquote(where.password or ""),
        "PGDATABASE": where.path[1:],
    }
    environment = os.environ | {name: value for name, value in given.items() if value}
    target = ["--dbname", where.path[1:]] if named else []
    command = [str(binaries() / program), *target, *map(str, arguments)]
    done = subprocess.run(command, env=environment, capture_output=True, text=True, check=False)
    if done.returncode != 0:
        # Its words may quote rows.
        raise ValueError(f"{program} failed with exit code {done.returncode}")


def _digest(path: Path) -> str:
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


async def _one(url: str, query: str) -> Any:
    async with alone(url) as connection:
        return await connection.fetchrow(query)


async def _make_roles(url: str, roles: Sequence[str]) -> None:
    async with alone(url) as connection:
        for role in roles:
            await connection.execute(_ROLE.format(role=await _quoted(connection, role)))


async def _quoted(connection: Any, name: str) -> str:
    quoted: str = await connection.fetchval("SELECT quote_ident($1)", name)
    return quoted
