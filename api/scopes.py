"""What a token's scope has to hold for each operation: one table, shown by the document and asked of every token that was lent.

The gate asks again, of the very thing (docs/adr/0013-scopes-cap.md). What is asked here is of no thing yet, so the refusal tells
of none, and says which scope would do.
"""

import csv
from collections import defaultdict
from collections.abc import Mapping
from functools import cache
from pathlib import Path
from typing import Any, Final

from policies.scopes import Need
from policies.vocabulary import Action, ResourceType

_LETTERS: Final = {"c": "create", "r": "read", "u": "update", "d": "delete", "s": "search"}
_PLAIN: Final = {"openid": "Who you are", "profile": "Your name"}


@cache
def needs() -> Mapping[str, tuple[Need, ...]]:
    """Return what each operation does, by its id; nothing where it does nothing that a scope speaks of."""
    found: defaultdict[str, tuple[Need, ...]] = defaultdict(tuple)
    with Path(__file__).with_name("scopes.csv").open(encoding="utf-8", newline="") as file:
        for row in csv.DictReader(file):
            actions = frozenset(map(Action, row["actions"].split()))
            found[row["operation"]] += (
                (Need(actions, ResourceType(row["resource"])),) if actions else ()
            )
    return dict(found)


def security_schemes() -> dict[str, Any]:
    """Return, for the OpenAPI document, how one gets a token and which scopes there are."""
    asked = {need for each in needs().values() for need in each}
    words = {word: _meaning(word) for word in map(str, asked)}
    flow = {
        "authorizationUrl": "/oauth/authorize",
        "tokenUrl": "/oauth/token",
        "refreshUrl": "/oauth/token",
        "scopes": _PLAIN | dict(sorted(words.items())),
    }
    return {
        "oauth2": {
            "type": "oauth2",
            "description": (
                "Authorization code with PKCE (S256). Access tokens are JWTs, checked as RFC8725 asks. An operation names"
                " the SMART v2 scopes that are enough for it on behalf of a user; `patient/` is the same for one's own file,"
                " `system/` for a client by itself."
            ),
            "flows": {"authorizationCode": flow},
        },
        "openIdConnect": {
            "type": "openIdConnect",
            "openIdConnectUrl": "/.well-known/openid-configuration",
        },
    }


def _meaning(word: str) -> str:
    """Return what a word lets one do: `user/Record.rs` is to read and to search what is of Record."""
    kind, _, letters = word.partition("/")[2].partition(".")
    return f"{', '.join(_LETTERS[letter] for letter in letters).capitalize()}: {kind}"
