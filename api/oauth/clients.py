"""A registered client as Authlib asks about it."""

import secrets
from dataclasses import dataclass
from hashlib import sha256
from typing import Final

from authlib.oauth2.rfc6749 import ClientMixin

from policies.scopes import Level, granted
from records.identity.clients import SCOPES, redirects_to
from records.identity.models import OAuthClient
from records.identity.ours import OURS
from records.identity.registry import WITH_SECRET

_PERSONS: Final = (Level.PATIENT, Level.USER)


@dataclass(frozen=True, slots=True)
class Client(ClientMixin):  # type: ignore[misc]
    """The answers of one `oauth_client` row."""

    row: OAuthClient

    @property
    def id(self) -> str:
        """The client's id."""
        return self.row.id

    def get_client_id(self) -> str:
        """Return the client's id."""
        return self.row.id

    def get_default_redirect_uri(self) -> None:
        """There is none: a client says where it wants its answer, each time."""

    def get_allowed_scope(self, scope: str | None) -> str | None:
        """Return what the client gets of what it asks for (RFC 6749 §3.3); None is nothing at all."""
        ours = self.row.id in OURS
        asked = scope or (" ".join(SCOPES) if ours else self.row.scope)
        return granted(self.row.scope, asked, SCOPES, _PERSONS) or None

    def own_scope(self, scope: str | None) -> str | None:
        """Return what the client gets when it asks for itself."""
        return granted(self.row.scope, scope or self.row.scope, (), (Level.SYSTEM,)) or None

    def check_redirect_uri(self, redirect_uri: str) -> bool:
        """Tell whether a code may be sent there."""
        return any(redirects_to(known, redirect_uri) for known in self.row.redirect_uris)

    def check_client_secret(self, client_secret: str) -> bool:
        """Compare with the hash; secrets are random, so SHA-256 is enough."""
        given = sha256(client_secret.encode()).hexdigest()
        return secrets.compare_digest(given, self.row.secret_hash or "")

    def check_endpoint_auth_method(self, method: str, _endpoint: str) -> bool:
        """A client proves itself as it was registered to; a secret may come by either way."""
        registered = self.row.auth_method
        return method == registered or (method in WITH_SECRET and registered in WITH_SECRET)

    def check_response_type(self, response_type: str) -> bool:
        """OAuth 2.1 has one."""
        return response_type == "code"

    def check_grant_type(self, grant_type: str) -> bool:
        """Tell whether the client is registered for a grant."""
        return grant_type in self.row.grant_types
