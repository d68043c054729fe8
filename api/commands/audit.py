"""`confide audit …`: verify the log, carry it elsewhere, witness it. The work is in `api.commands.auditing`, loaded when needed."""

from datetime import datetime
from pathlib import Path
from typing import Annotated

import typer

from api.commands.telling import Json, console
from core.errors import DomainError
from records.audit.verifier.findings import Verdict

app = typer.Typer(no_args_is_help=True, help="The audit trail: verify, export, witness.")

KeyFile = Annotated[Path | None, typer.Option("--vkey", help="file with the log's public key")]


@app.command(epilog="Example: confide audit verify log.tar --vkey audit-log.pub --json")
def verify(
    bundle: Annotated[
        Path | None, typer.Argument(help="a bundle to verify, with no database; else the ledger")
    ] = None,
    path: Annotated[Path | None, typer.Option("--bundle", help="the same, as an option")] = None,
    vkey: KeyFile = None,
    witness: Annotated[
        Path | None,
        typer.Option(
            exists=True, dir_okay=False, help="file of checkpoints that a witness has cosigned"
        ),
    ] = None,
    as_json: Json = False,
) -> None:
    """Verify the live ledger, or a bundle offline. Exit code 0: good, 1: tampered, 2: incomplete."""
    from api.commands import auditing

    try:
        report = auditing.examined(bundle or path, vkey, witness)
    except (ValueError, DomainError) as reason:
        # What cannot be examined is not thereby tampered with.
        console.print(f"[red]not examined: {reason}[/red]", soft_wrap=True)
        raise typer.Exit(int(Verdict.INCOMPLETE)) from None
    auditing.tell(report, as_json=as_json)
    raise typer.Exit(int(report.verdict))


@app.command("export-bundle", epilog="Example: confide audit export-bundle log.tar")
def export_bundle(target: Path, vkey: KeyFile = None) -> None:
    """Write the whole log with its checkpoints as a tar file that `verify --bundle` checks offline."""
    from api.commands import auditing

    auditing.exported(target, vkey)


@app.command(
    epilog="Example: confide audit witness --url https://clinic.example --token-file token --every 60"
)
def witness(
    url: Annotated[str, typer.Option(help="a Confide elsewhere, asked over HTTP")] = "",
    token_file: Annotated[Path | None, typer.Option(help="access token for --url")] = None,
    home: Annotated[
        Path | None, typer.Option(help="where the witness keeps its key and book")
    ] = None,
    vkey: KeyFile = None,
    every: Annotated[float, typer.Option(help="go on, so many seconds apart")] = 0,
    as_json: Json = False,
) -> None:
    """Cosign the newest checkpoint, if it continues the last one seen; exit code 1 if it does not."""
    from api.commands import auditing

    source = auditing.over_http(url, token_file) if url else auditing.from_database()
    raise typer.Exit(auditing.witnessed(source, home, vkey, every=every, as_json=as_json))


@app.command("rotate-key", epilog="Example: confide audit rotate-key")
def rotate_key() -> None:
    """Sign the log with a new key from now on; one checkpoint is signed by both, then the old key is destroyed."""
    from api.commands import auditing

    auditing.rekeyed()


@app.command(epilog="Example: confide audit prune --before 2019-01-01")
def prune(
    before: Annotated[
        datetime, typer.Option(formats=["%Y-%m-%d"], help="whole months before this day")
    ],
) -> None:
    """Remove the bodies of events older than six years. Their hashes stay, so every remaining proof holds."""
    from api.commands import auditing

    auditing.pruned(before.date())
