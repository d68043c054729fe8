"""The log's key: the sealer's own, in a file of its owner's alone. It changes in the open: one checkpoint is signed by both."""

from dataclasses import replace
from pathlib import Path
from typing import Final
from urllib.parse import urlsplit

from core.crypto.ed25519 import keep, kept, new_seed
from core.crypto.ed25519 import replace as replace_key
from core.errors import Conflict
from core.transparency.notes import Key, Signer, write_secret

KEY: Final = "sealer/audit-signing.key"
"""In a folder of its own under the home, so that it can be a volume of the sealer's alone."""
RETIRING: Final = "sealer/audit-signing.key.retiring"
"""The key before, until a checkpoint is signed by both; then it is destroyed."""
VERIFIER_KEY: Final = "audit.vkey"


def open_signer(home: Path, issuer: str) -> Signer:
    """Return the log's key, made at the first call; the public half lies beside it for everybody to read."""
    path = home / KEY
    if not path.exists():
        path.parent.mkdir(parents=True, exist_ok=True)
        keep(path, write_secret(f"{urlsplit(issuer).netloc}/confide-audit", new_seed()))
    signer = Signer.parse(kept(path), _former(home, present(home)))
    (home / VERIFIER_KEY).write_text(f"{signer.key}\n")
    return signer


def _former(home: Path, key: Key) -> tuple[Key, ...]:
    """Return the keys that this one takes over from: what the file of public keys has beside it."""
    file = home / VERIFIER_KEY
    known = Key.parse(file.read_text()) if file.exists() else key
    return tuple(
        replace(k, former=())
        for k in (known, *known.former)
        if k.id != key.id and k.name == key.name
    )


def retiring(home: Path, signer: Signer) -> Signer | None:
    """Return the key that this one takes over from, until both have signed."""
    path = home / RETIRING
    if not path.exists():
        return None
    before = Signer.parse(kept(path))
    return (
        None if before.key.id == signer.key.id else before
    )  # the same: a change that was broken off


def change_key(home: Path, secret: str) -> None:
    """Put a new key in the place of the log's; the sealer takes it up at its next look. Conflict during another change."""
    if retiring(home, Signer.parse(kept(home / KEY))):
        raise Conflict("the sealer has not taken up the last change", code="key-change-open")
    replace_key(home / RETIRING, kept(home / KEY))
    replace_key(home / KEY, secret)


def present(home: Path) -> Key:
    """Return the public half of the key that signs now."""
    return Signer.parse(kept(home / KEY)).key


def new_secret(home: Path) -> str:
    """Return the secret of a new key with the log's name."""
    return write_secret(Signer.parse(kept(home / KEY)).name, new_seed())
