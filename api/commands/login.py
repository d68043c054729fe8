"""`confide login`: somebody's own login for the command line, by way of a browser elsewhere (RFC 8628)."""

import json
import sys
import time
from pathlib import Path
from typing import Annotated, Any
from urllib.error import HTTPError, URLError
from urllib.parse import urlencode
from urllib.request import Request, urlopen

import typer

from api.commands.telling import console
from core.crypto import keyfile
from core.errors import DomainError, Unauthenticated, Unavailable
from core.settings import guarded, settings
from records.identity.ours import CLI, DEVICE

app = typer.Typer()

SCOPE = "openid profile offline_access"
OK = 200
EARLY = 30
"""Seconds before its end that an access token is renewed."""
Said = dict[str, Any]


@app.command(epilog="Example: confide login --server https://clinic.example")
def login(
    server: Annotated[str, typer.Option(help="address of the service; the running one here")] = "",
    scope: Annotated[str, typer.Option(help="what the login is for")] = SCOPE,
) -> None:
    """Log in: open the address in a browser, there or on your telephone, and type the code."""
    at = _server(server)
    status, told = _post(at, "device_authorization", client_id=CLI, scope=scope)
    if status != OK:
        raise _refusal(told)
    console.print(f"Open {told['verification_uri']} and type [bold]{told['user_code']}[/bold]")
    console.print(f"or open {told['verification_uri_complete']}", soft_wrap=True)
    _keep(at, _waited(at, told))
    console.print(f"You are logged in to {at}.")


@app.command(epilog="Example: confide whoami")
def whoami() -> None:
    """Print who is logged in, as the service sees them."""
    kept = _kept()
    asked = Request(  # noqa: S310 - the scheme was looked at when the login was made
        f"{kept['server']}/v1/me", headers={"Authorization": f"Bearer {access_token()}"}
    )
    status, told = _answer(asked)
    if status != OK:
        raise _refusal(told)
    sys.stdout.write(json.dumps(told, indent=2) + "\n")


@app.command(epilog="Example: confide logout")
def logout() -> None:
    """End the login, here and at the service."""
    kept = _kept()
    status, told = _post(kept["server"], "revoke", client_id=CLI, token=kept["refresh_token"])
    if status != OK:
        raise _refusal(told)
    _file().unlink(missing_ok=True)
    console.print("You are logged out.")


def access_token() -> str:
    """Return an access token of the login that is kept, renewed when it is about to end."""
    # A refresh token that two commands use ends the login.
    with keyfile.exclusive(_file()) as folder:
        kept = _kept()
        if kept["expires_at"] - EARLY > time.time():
            return str(kept["access_token"])
        form = {"grant_type": "refresh_token", "refresh_token": kept["refresh_token"]}
        status, told = _post(kept["server"], "token", client_id=CLI, **form)
        if status != OK:
            raise _refusal(told)
        _write(kept["server"], told, folder)
    return str(told["access_token"])


def _waited(at: str, told: Said) -> Said:
    """Ask until the owner has decided; return the tokens."""
    interval, ends = float(told["interval"]), time.monotonic() + told["expires_in"]
    while time.monotonic() < ends:
        time.sleep(interval)
        form = {"grant_type": DEVICE, "device_code": told["device_code"]}
        status, given = _post(at, "token", client_id=CLI, **form)
        if status == OK:
            return given
        if given.get("error") == "slow_down":
            interval += 5
        elif given.get("error") != "authorization_pending":
            raise _refusal(given)
    raise Unauthenticated("nobody typed the code in time")


def _server(given: str) -> str:
    at = (given or settings().issuer).rstrip("/")
    if not guarded(at):
        raise ValueError("the server's address begins with https://, or is this machine's")
    return at


def _post(at: str, endpoint: str, **form: str) -> tuple[int, Said]:
    data = urlencode(form).encode()
    return _answer(Request(f"{at}/oauth/{endpoint}", data=data))  # noqa: S310 - see `_server`


def _answer(asked: Request) -> tuple[int, Said]:
    try:
        with urlopen(asked, timeout=10) as answer:  # noqa: S310 - see `_server`  # nosec B310
            return answer.status, json.loads(answer.read() or b"{}")
    except HTTPError as refused:
        return refused.code, _json(refused.read())
    except (URLError, TimeoutError, ValueError):
        raise Unavailable("the service does not answer") from None


def _json(body: bytes) -> Said:
    try:
        said = json.loads(body)
    except ValueError:
        return {}
    return said if isinstance(said, dict) else {}


def _refusal(told: Said) -> DomainError:
    code = str(told.get("error") or told.get("code") or "refused")
    return Unauthenticated("the service refused; `confide login` begins anew", code=code)


def _file() -> Path:
    """Return where the login is kept, in a folder of its owner's."""
    folder = Path(typer.get_app_dir("confide"))
    folder.mkdir(mode=0o700, parents=True, exist_ok=True)
    return folder / "login.json"


def _kept() -> Said:
    if not _file().exists():
        raise Unauthenticated("nobody is logged in here; `confide login` does it")
    kept: Said = json.loads(keyfile.read(_file()))
    return kept


def _keep(at: str, told: Said) -> None:
    with keyfile.exclusive(_file()) as folder:
        _write(at, told, folder)


def _write(at: str, told: Said, folder: int) -> None:
    kept = {
        "server": at,
        "access_token": told["access_token"],
        "refresh_token": told["refresh_token"],
        "expires_at": time.time() + told["expires_in"],
    }
    keyfile.write(_file(), json.dumps(kept).encode(), folder)
