"""`confide verify …`: whether what stands in the database is what was written. The work is loaded when needed."""

import typer

from api.commands.telling import Json

app = typer.Typer(no_args_is_help=True)


@app.callback()
def verify() -> None:
    """Compare what is stored with the log."""


@app.command(epilog="Example: confide verify records --json")
def records(
    as_json: Json = False,
) -> None:
    """Name every row that was put back, altered or removed. Exit code 0: good, 1: tampered, 2: incomplete."""
    from api.commands.verifying import compared, tell

    report = compared()
    tell(report, as_json=as_json)
    raise typer.Exit(int(report.verdict))
