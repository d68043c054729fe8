"""`confide accounts …`: who may log in. This is how a new clinic gets its first administrator."""

from typing import Annotated

import typer

from api.commands.telling import Json
from core.settings import settings
from policies.vocabulary import Role

app = typer.Typer(no_args_is_help=True, help="Accounts: make the first one, help when nobody can.")

Name = Annotated[str, typer.Argument(help="the name its owner logs in with")]
WithRole = Annotated[list[Role], typer.Option("--role", help="may be given more than once")]


@app.command(epilog="Example: confide accounts create ada@clinic.example --role admin")
def create(
    username: Name,
    role: WithRole,
    label: Annotated[str | None, typer.Option(help="a name for screens")] = None,
    as_json: Json = False,
) -> None:
    """Make an account and print the link by which its owner chooses a password; it works once, for seven days."""
    from api.commands import administering

    administering.create(settings(), username, role, label, as_json=as_json)


@app.command("list", epilog="Example: confide accounts list --role admin --json")
def list_(
    role: Annotated[Role | None, typer.Option(help="those who have it")] = None,
    as_json: Json = False,
) -> None:
    """List accounts. Names are kept as keyed hashes only: ids and labels are shown."""
    from api.commands import administering

    administering.show(settings(), role, as_json=as_json)


@app.command(epilog="Example: confide accounts deactivate ada@clinic.example")
def deactivate(username: Name) -> None:
    """End an account: its owner is logged out everywhere, at once, and logs in no more."""
    from api.commands import administering

    administering.deactivate(settings(), username)


@app.command("reset-mfa", epilog="Example: confide accounts reset-mfa ada@clinic.example")
def reset_mfa(username: Name) -> None:
    """Take the second factors of an account away, whose owner has lost them all."""
    from api.commands import administering

    administering.reset_factors(settings(), username)
