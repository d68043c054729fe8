"""`confide …`: what an operator runs. Each command imports what it needs when it runs, so that all start fast."""

import asyncio
import gc
import sys
from pathlib import Path
from typing import Annotated, NoReturn

import typer

from api.commands import login
from api.commands.accounts import app as accounts
from api.commands.audit import app as audit
from api.commands.backup import app as backups
from api.commands.keys import app as keys
from api.commands.policies import app as policies
from api.commands.processes import app as processes
from api.commands.status import app as status
from api.commands.telling import Json, console
from api.commands.verify import app as verify
from core.embedded.processes import ProcessError
from core.errors import DomainError
from core.settings import Settings, settings

app = typer.Typer(no_args_is_help=True, add_completion=False, pretty_exceptions_enable=False)
imports = typer.Typer(no_args_is_help=True, help="Bring data in from elsewhere.")
app.add_typer(processes)
app.add_typer(login.app)
app.add_typer(accounts, name="accounts")
app.add_typer(imports, name="import")
app.add_typer(keys, name="keys")
app.add_typer(policies, name="policies")
app.add_typer(audit, name="audit")
app.add_typer(backups)
app.add_typer(status)
app.add_typer(verify, name="verify")

REFUSED = 1


@app.callback()
def quiet() -> None:
    """Keep a clinic's appointments and medical records, and prove who read them."""
    from core import logging

    logging.configure("WARNING")  # on standard error: what a command prints is its result alone


@app.command(epilog="Example: confide migrate")
def migrate() -> None:
    """Bring the database to the newest schema, with the first policy and the OAuth clients in it."""
    from api.commands.provision import provision

    provision(settings())
    console.print("The database is at the newest schema.")


@app.command(epilog="Example: confide seed")
def seed() -> None:
    """Load the demo clinic, unless it is there (development only)."""
    chosen = _development()
    from records.demo.clinic import load

    console.print(asyncio.run(load(chosen)))


@app.command(epilog="Example: confide token --as dr.adams@demo")
def token(
    as_: Annotated[
        str, typer.Option("--as", help="login name, as dr.adams@demo (development only)")
    ] = "",
) -> None:
    """Print an access token: of the login that is kept, or of a demo account."""
    if not as_:
        sys.stdout.write(login.access_token() + "\n")
        return
    chosen = _development()
    from core.crypto.keyring import open_provider
    from records.clinic import Clinic
    from records.identity.tokens import issue_for

    async def issue() -> str:
        async with Clinic.open(chosen.postgres_url, open_provider(chosen.kms), pool=2) as clinic:
            return await issue_for(clinic, as_)

    sys.stdout.write(asyncio.run(issue()) + "\n")


@app.command("db-url", epilog="Example: psql $(confide db-url)")
def db_url() -> None:
    """Print the owner's URL of the database (development only)."""
    sys.stdout.write(_development().postgres_url + "\n")


@app.command(epilog="Example: confide bench --rounds 9 --json")
def bench(
    rounds: Annotated[int, typer.Option(min=1, help="of each case, in turn")] = 3,
    seconds: Annotated[int, typer.Option(min=1, help="of each round")] = 3,
    events: Annotated[
        int, typer.Option(min=0, help="instead: first pages of a ledger of so many events")
    ] = 0,
    publications: Annotated[
        int, typer.Option(min=0, help="instead: how soon so many are in force everywhere")
    ] = 0,
    as_json: Json = False,
) -> None:
    """Measure Confide beside a bare floor, in one run; print ratios and write bench.json."""
    if events:
        from api.bench import ledger

        raise typer.Exit(ledger.run(settings(), events, as_json=as_json))
    if publications:
        from api.bench import propagation

        raise typer.Exit(propagation.run(settings(), publications, as_json=as_json))
    from api.bench import run
    from api.bench.rounds import Effort

    raise typer.Exit(run(settings(), as_json=as_json, effort=Effort(rounds, seconds)))


@app.command(epilog="Example: confide soak --minutes 1 --json")
def soak(
    minutes: Annotated[float, typer.Option(min=0.2, help="of load")] = 10,
    seed: Annotated[int | None, typer.Option(help="repeat who is killed when")] = None,
    as_json: Json = False,
) -> None:
    """Work a clinic while its parts are killed, then judge. Exit code 0: good, 1: a promise broken, 2: could not run."""
    from api.soak import run

    raise typer.Exit(run(settings(), minutes, seed, as_json=as_json))


@app.command(epilog="Example: confide docs")
def docs() -> None:
    """Write the generated pages of docs/ (from a checkout)."""
    from api.docgen import write

    for path in write(Path()):
        console.print(f"wrote {path}")


@imports.command(
    "fhir", epilog="Example: confide import fhir bundles/ --care-team dr.adams@demo --json"
)
def import_fhir(
    paths: Annotated[
        list[Path], typer.Argument(exists=True, help="bundles, or folders of bundles")
    ],
    care_team: Annotated[
        list[str] | None, typer.Option(help="login of a doctor who treats every imported patient")
    ] = None,
    as_json: Json = False,
) -> None:
    """Import FHIR R4 transaction bundles. Importing them again changes nothing."""
    from api.commands.importing import import_bundles

    raise typer.Exit(import_bundles(settings(), paths, care_team or [], as_json=as_json))


def main() -> None:
    """Run a command; a refusal is one sentence and exit code 1.

    At its end Python would walk through all that was loaded, for as long as half of the loading took. It need not.
    """
    try:
        app()
    except DomainError as refusal:
        _fail(f"{refusal.detail or refusal.code} ({refusal.code})")
    except (ValueError, ProcessError) as mistake:
        _fail(str(mistake))
    finally:
        gc.freeze()


def _development() -> Settings:
    chosen = settings()
    if not chosen.development:
        _fail("this command is for development; set CONFIDE_ENVIRONMENT=development")
    return chosen


def _fail(message: str) -> NoReturn:
    console.print(message, style="red", markup=False, soft_wrap=True)
    raise SystemExit(REFUSED)


if __name__ == "__main__":
    main()
