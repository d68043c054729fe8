"""What an operation needs of its caller: a token with some scope, and perhaps a purpose.

Declared here and not by FastAPI's security classes, which would be resolved anew in each request.
"""

from typing import Any, Final

from api.deps import PURPOSE
from api.openapi.walking import operations
from api.scopes import needs
from policies.vocabulary import Purpose

_PURPOSE: Final = {
    "name": PURPOSE,
    "in": "header",
    "required": False,
    "description": "Why you ask (HL7 PurposeOfUse). What is usual for your role, if absent.",
    "schema": {"type": "string", "enum": [purpose.value for purpose in Purpose]},
}
_LETTERS: Final = {"c": "create", "r": "read", "u": "update", "d": "delete", "s": "search"}
_PLAIN: Final = {"openid": "Who you are", "profile": "Your name"}


def tell(document: dict[str, Any]) -> None:
    """Say how one gets a token, which scopes there are, and which of them each operation needs."""
    components = document["components"]
    components["securitySchemes"] = _schemes()
    components["parameters"] = {"purpose": _PURPOSE}
    for operation in operations(document, under="/v1/"):
        words = [str(need) for need in needs()[operation["operationId"]]]
        operation["security"] = [{"oauth2": words}, {"openIdConnect": words}]
        operation.setdefault("parameters", []).append({"$ref": "#/components/parameters/purpose"})


def _schemes() -> dict[str, Any]:
    asked = {str(need) for each in needs().values() for need in each}
    flow = {
        "authorizationUrl": "/oauth/authorize",
        "tokenUrl": "/oauth/token",
        "refreshUrl": "/oauth/token",
        "scopes": _PLAIN | {word: _meaning(word) for word in sorted(asked)},
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
