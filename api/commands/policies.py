"""`confide policies …`: which rules are in force and were, and what they come to. Changing them is four eyes' business, over HTTP."""

from typing import Annotated
from uuid import UUID

import typer

from api.commands.telling import Json
from core.settings import settings
from policies.vocabulary import Action, Purpose, ResourceType

app = typer.Typer(no_args_is_help=True, help="The rules: read them, and ask what they come to.")

What = Annotated[Action, typer.Argument(help="what is to be done")]
Kind = Annotated[ResourceType, typer.Argument(help="to which kind of thing")]
For = Annotated[Purpose | None, typer.Option(help="what for; else the account's usual one")]


@app.command(epilog="Example: confide policies show --version 3 --json")
def show(
    version: Annotated[int | None, typer.Option(min=1, help="else the one in force")] = None,
    as_json: Json = False,
) -> None:
    """Print a version's rules, in the order in which they decide."""
    from api.commands import governing

    governing.show(settings(), version, as_json=as_json)


@app.command(epilog="Example: confide policies versions --json")
def versions(as_json: Json = False) -> None:
    """List the versions of the rules, newest first: when each was published, by whom and why."""
    from api.commands import governing

    governing.versions(settings(), as_json=as_json)


@app.command(epilog="Example: confide policies check 0198… read record 0198… --json")
def check(
    account: Annotated[UUID, typer.Argument(help="who; `confide accounts list` shows ids")],
    action: What,
    kind: Kind,
    thing: Annotated[
        UUID | None, typer.Argument(help="which; else one of which nothing is known")
    ] = None,
    purpose: For = None,
    as_json: Json = False,
) -> None:
    """Decide as if an account asked now, and name the rule. Exit code 0: allowed, 3: refused. Nothing is read."""
    from api.commands import governing

    allowed = governing.check(settings(), account, action, kind, thing, purpose, as_json=as_json)
    raise typer.Exit(0 if allowed else governing.REFUSED)


@app.command("who-can", epilog="Example: confide policies who-can read record 0198… --json")
def who_can(
    action: What,
    kind: Kind,
    thing: Annotated[UUID, typer.Argument(help="which one")],
    purpose: For = None,
    as_json: Json = False,
) -> None:
    """List the accounts that may do something to one thing now, each with the rule that says so."""
    from api.commands import governing

    governing.who_can(settings(), action, kind, thing, purpose, as_json=as_json)
