"""`confide keys …`: the keyring, rotations, and versions of the key-encryption keys."""

from typing import Annotated, Literal
from uuid import UUID

import typer

from api.commands.telling import Json, console
from core.settings import settings

app = typer.Typer(no_args_is_help=True, help="Key-encryption keys and what they wrap.")

Purpose = Literal["record", "index", "audit"]


@app.command("rotate", epilog="Example: confide keys rotate kek --purpose record --json")
def rotate(
    kind: Annotated[
        Literal["kek", "dek", "index"],
        typer.Argument(help="kek: rewrap the keys; dek: seal anew; index: make search tokens anew"),
    ],
    purpose: Purpose = "record",
    patient: Annotated[UUID | None, typer.Option(help="this patient's data key alone")] = None,
    as_json: Json = False,
) -> None:
    """Rotate keys, to the end, while everything goes on. Interrupted, it goes on in the background."""
    from api.commands import rotating

    raise typer.Exit(rotating.rotate(settings(), kind, purpose, patient, as_json=as_json))


@app.command("versions", epilog="Example: confide keys versions --json")
def versions(as_json: Json = False) -> None:
    """List the versions of the key-encryption keys, and how many keys each wraps."""
    from api.commands import rotating

    rotating.versions(settings(), as_json=as_json)


@app.command("destroy", epilog="Example: confide keys destroy record 1")
def destroy(purpose: Purpose, version: int) -> None:
    """Destroy a version that wraps nothing any more. What only backups know under it is lost for ever."""
    from api.commands import rotating

    rotating.destroy(settings(), purpose, version)
    console.print(f"version {version} of the {purpose} key is destroyed")


@app.command("init", epilog="Example: confide keys init")
def init() -> None:
    """Make the key-encryption keys, where CONFIDE_KMS says, and the signing keys, unless they are there."""
    from api.commands.provision import make_keys

    for name in make_keys(settings()):
        console.print(f"made {name}")


@app.command("rotate-signing", epilog="Example: confide keys rotate-signing --revoke")
def rotate_signing(
    revoke: Annotated[
        bool, typer.Option(help="end the old keys at once: every token of theirs is worthless")
    ] = False,
) -> None:
    """Sign tokens with a new key from now on. Running processes take it up by themselves."""
    from api.commands import rotating
    from core.clock import now
    from core.crypto.signing import SigningKeys
    from records.identity.tokens import KEYS

    rotating.note_signing(settings(), revoke=revoke)
    number = SigningKeys.rotate(settings().home / KEYS, now=int(now().timestamp()), revoke=revoke)
    console.print(f"A new key signs; {number} in all verify.")
