"""A registered client as Authlib asks about it."""

import secrets
from dataclasses import dataclass
from hashlib import sha256

from authlib.oauth2.rfc6749 import ClientMixin

from records.identity.clients import redirects_to
from records.identity.models import OAuthClient


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
        allowed = self.row.scope.split()
        if not scope:
            return self.row.scope
        return " ".join(s for s in dict.fromkeys(scope.split()) if s in allowed) or None

    def check_redirect_uri(self, redirect_uri: str) -> bool:
        """Tell whether a code may be sent there."""
        return any(redirects_to(known, redirect_uri) for known in self.row.redirect_uris)

    def check_client_secret(self, client_secret: str) -> bool:
        """Compare with the hash; secrets are random, so SHA-256 is enough."""
        given = sha256(client_secret.encode()).hexdigest()
        return secrets.compare_digest(given, self.row.secret_hash or "")

    def check_endpoint_auth_method(self, method: str, _endpoint: str) -> bool:
        """Public clients have no secret; the others must show theirs."""
        return (method == "none") is (self.row.secret_hash is None)

    def check_response_type(self, response_type: str) -> bool:
        """OAuth 2.1 has one."""
        return response_type == "code"

    def check_grant_type(self, grant_type: str) -> bool:
        """Tell whether the client is registered for a grant."""
        return grant_type in self.row.grant_types
