"""What clients need to know: RFC 8414 and OpenID Connect Discovery, and the keys."""

from typing import Any, Final

from fastapi import APIRouter, Request
from fastapi.responses import JSONResponse

from api import deps
from api.oauth.grants import METHODS, SECRETS
from core.crypto.assertions import ALGORITHMS
from core.crypto.signing import ALGORITHM
from records.identity.clients import EVERYTHING, SCOPES
from records.identity.ours import DEVICE

router = APIRouter()

_PUBLIC: Final = {"Access-Control-Allow-Origin": "*", "Cache-Control": "public, max-age=300"}


@router.get("/.well-known/oauth-authorization-server")
@router.get("/.well-known/openid-configuration")
async def configuration(request: Request) -> JSONResponse:
    """Tell where everything is, and what of the specifications there is."""
    return JSONResponse(_metadata(deps.tokens(request).issuer), headers=_PUBLIC)


@router.get("/oauth/jwks")
async def jwks(request: Request) -> JSONResponse:
    """Return the public keys that tokens are signed with."""
    return JSONResponse(deps.tokens(request).keys.jwks(), headers=_PUBLIC)


def _metadata(issuer: str) -> dict[str, Any]:
    return {
        "issuer": issuer,
        "authorization_endpoint": f"{issuer}/oauth/authorize",
        "token_endpoint": f"{issuer}/oauth/token",
        "revocation_endpoint": f"{issuer}/oauth/revoke",
        "introspection_endpoint": f"{issuer}/oauth/introspect",
        "userinfo_endpoint": f"{issuer}/oauth/userinfo",
        "pushed_authorization_request_endpoint": f"{issuer}/oauth/par",
        "device_authorization_endpoint": f"{issuer}/oauth/device_authorization",
        "end_session_endpoint": f"{issuer}/oauth/end_session",
        "jwks_uri": f"{issuer}/oauth/jwks",
        **_PROTOCOL,
    }


_PROTOCOL: Final[dict[str, Any]] = {
    "scopes_supported": [*SCOPES, *EVERYTHING, "system/*.cruds"],
    "response_types_supported": ["code"],
    "response_modes_supported": ["query"],
    "grant_types_supported": [
        "authorization_code",
        "refresh_token",
        "client_credentials",
        DEVICE,
    ],
    "code_challenge_methods_supported": ["S256"],
    "token_endpoint_auth_methods_supported": METHODS,
    "token_endpoint_auth_signing_alg_values_supported": ALGORITHMS,
    "revocation_endpoint_auth_methods_supported": METHODS,
    "revocation_endpoint_auth_signing_alg_values_supported": ALGORITHMS,
    "introspection_endpoint_auth_methods_supported": SECRETS,
    "authorization_response_iss_parameter_supported": True,
    "subject_types_supported": ["public"],
    "id_token_signing_alg_values_supported": [ALGORITHM],
    "claims_supported": [
        "sub",
        "iss",
        "aud",
        "exp",
        "iat",
        "auth_time",
        "acr",
        "amr",
        "sid",
        "name",
        "roles",
    ],
    "acr_values_supported": ["aal1", "aal2"],
    "request_parameter_supported": False,
    "request_uri_parameter_supported": False,
    "claims_parameter_supported": False,
}
