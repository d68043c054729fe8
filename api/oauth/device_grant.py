"""The grant of a device (RFC 8628): tokens, once its owner has let it in."""

from datetime import timedelta
from typing import Any

from authlib.oauth2.rfc6749 import InvalidGrantError
from authlib.oauth2.rfc8628 import DeviceCodeGrant

from api.oauth.grants import Grant, issued
from api.oauth.request import wait
from core.clock import now
from records.identity import devices, sessions
from records.identity.models import Account, OAuthDevice


class Waiting:
    """A device that waits, as Authlib asks about it."""

    def __init__(self, row: OAuthDevice) -> None:
        self.row = row

    def get_client_id(self) -> str:
        """Return whose it is."""
        return self.row.client_id

    def get_scope(self) -> str:
        """Return what it asked for."""
        return self.row.scope

    def get_user_code(self) -> OAuthDevice:
        """Return what leads to the decision: the row itself."""
        return self.row

    def is_expired(self) -> bool:
        """Tell whether it waited too long."""
        return self.row.expires_at <= now()


class DeviceGrant(Grant, DeviceCodeGrant):  # type: ignore[misc]
    """Tokens for a device whose owner let it in."""

    def query_device_credential(self, device_code: str) -> Waiting:
        """Return the device."""
        row = wait(devices.asking, self.request.setting.writing, device_code)
        if row is None:
            raise InvalidGrantError
        return Waiting(row)

    def query_user_grant(self, row: OAuthDevice) -> tuple[Account, bool] | None:
        """Return who decided, and what; None while nobody has."""
        if row.allowed is None or row.account_id is None:
            return None
        owner = wait(sessions.owner, self.request.setting.writing, row.account_id)
        if owner is None:
            raise InvalidGrantError
        return owner, row.allowed

    def should_slow_down(self, credential: Waiting) -> bool:
        """Tell whether it asks too often."""
        return devices.too_soon(credential.row)

    def generate_token(
        self, *, scope: str, include_refresh_token: bool, **_: Any
    ) -> dict[str, Any]:
        """Begin the device's session, and use its code up."""
        row, setting = self.request.credential.row, self.request.setting
        row.used_at = now()
        whose = row.account_id, row.client_id, scope
        life: timedelta = setting.tokens.life
        family = wait(
            sessions.start, setting.writing, *whose, life, auth_time=row.auth_time, amr=row.amr
        )
        return issued(self.request, family, scope, refresh=include_refresh_token)
