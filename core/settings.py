"""One frozen `Settings`, read once from `CONFIDE_*` variables and from the stack that `confide dev` keeps running."""

from enum import StrEnum
from functools import cache
from pathlib import Path
from typing import Final
from urllib.parse import urlsplit

from pydantic import Field, SecretStr, model_validator
from pydantic_settings import (
    BaseSettings,
    JsonConfigSettingsSource,
    PydanticBaseSettingsSource,
    SettingsConfigDict,
)

from core.windows import limit

STACK_FILE: Final = "stack.json"
LOOPBACK: Final = frozenset({"127.0.0.1", "::1", "localhost"})
"""This very machine, as the host of an address."""


def guarded(address: str) -> bool:
    """Tell whether nobody reads along on the way to an address: it is https, or this machine's own."""
    parts = urlsplit(address)
    if parts.scheme == "https":
        return bool(parts.hostname)
    return parts.scheme == "http" and parts.hostname in LOOPBACK


class Environment(StrEnum):
    """Where this runs. Only development has demo accounts and `confide token`."""

    DEVELOPMENT = "development"
    PRODUCTION = "production"


class StepUpRule(StrEnum):
    """Who needs a fresh login with two factors for grave acts: nobody, who has a second factor, everybody."""

    NEVER = "never"
    ENROLLED = "enrolled"
    ALWAYS = "always"


_GENEROUS: Final = {
    "caller_limit": "1000000/minute",
    "miss_limit": "10000/minute",
    "token_limit": "100000/minute",
}
"""The limits of development, where tests and measurements come from one account."""
_LIMITS: Final = (*_GENEROUS, "search_limit")
SECRET_AT_LEAST: Final = 12
"""Characters of a password of a server that is reached through the network."""


class Settings(BaseSettings):
    """Everything an operator may set, each as `CONFIDE_<NAME>`."""

    model_config = SettingsConfigDict(
        env_prefix="CONFIDE_", frozen=True, extra="ignore", hide_input_in_errors=True
    )

    environment: Environment = Environment.PRODUCTION
    home: Path = Path(".confide")
    port: int = Field(default=8000, ge=1, le=65535)
    database_url: SecretStr = SecretStr("")
    broker_url: SecretStr = SecretStr("")
    kms: str = Field(
        default="", description="where KEKs live; file:PATH, vault:https://…, aws-kms:REGION"
    )
    issuer: str = Field(default="", description="this service's address as clients see it")
    time_zone: str = Field(default="America/New_York", description="the clinic's IANA zone")
    phone_region: str = Field(
        default="US", pattern="^[A-Z]{2}$", description="where a number without + is dialled"
    )
    treatment_days: int = Field(
        default=90,
        ge=1,
        le=3650,
        description="how long before and after a visit its doctor treats the patient",
    )
    expected_patients: int = Field(
        default=100_000, ge=1000, description="what blind indexes are sized for, at their first use"
    )
    database_pool: int = Field(default=10, ge=1, le=200)
    database_deadline: float = Field(
        default=10.0, gt=0, description="seconds a statement of a request may take"
    )
    audit_deadline: float = Field(default=1.0, gt=0, description="seconds a read may wait")
    access_token_seconds: int = Field(default=600, ge=60, le=900)
    refresh_token_seconds: int = Field(default=30 * 86_400, ge=3600)
    argon2_memory_kib: int = Field(default=19_456, ge=8, description="OWASP's floor")
    argon2_time: int = Field(default=2, ge=1)
    caller_limit: str = Field(default="6000/minute", description="requests of one account")
    search_limit: str = Field(default="30/minute", description="patient searches of one account")
    miss_limit: str = Field(default="60/minute", description="answers 404 to one account")
    token_limit: str = Field(default="300/minute", description="token requests of one client")
    fetch_private: bool = Field(
        default=False, description="whether clients' keys may be fetched from private addresses"
    )
    proxies: str = Field(
        default="",
        description="addresses or networks of reverse proxies, comma-separated: X-Forwarded-For is believed of them alone",
    )
    api_processes: int = Field(
        default=1, ge=1, description="how many serve; each allows its share of these limits"
    )
    step_up: StepUpRule = Field(
        default=StepUpRule.ENROLLED, description="whose second factor grave acts demand"
    )
    step_up_seconds: int = Field(default=900, ge=60, description="how old that login may be")
    smtp_url: SecretStr = Field(
        default=SecretStr(""), description="smtp(s)://user:secret@host:port"
    )
    mail_from: str = Field(default="confide@localhost", description="sender of letters")

    otlp_endpoint: str = Field(
        default="", description="http(s) address of an OpenTelemetry collector; traces go there"
    )
    attachments: Path = Path(".confide/attachments")
    attachment_limit: int = Field(default=1 << 30, ge=1, description="bytes of one attachment")

    @model_validator(mode="before")
    @classmethod
    def _derive(cls, given: dict[str, object]) -> dict[str, object]:
        home = Path(str(given.get("home", ".confide"))).resolve()
        port = given.get("port", 8000)
        generous = given.get("environment") == Environment.DEVELOPMENT
        return {
            **(_GENEROUS if generous else {}),
            "kms": (home / "keyring.json").as_uri(),
            "issuer": f"http://127.0.0.1:{port}",
            "attachments": home / "attachments",
            **given,
            "home": home,
        }

    @model_validator(mode="after")
    def _refuse_clear_text(self) -> "Settings":
        if not guarded(self.issuer):
            raise ValueError("CONFIDE_ISSUER must be an https address, or loopback")
        return self

    @model_validator(mode="after")
    def _refuse_weak_secrets(self) -> "Settings":
        """A password that everybody knows or anybody guesses protects nothing; development may have one."""
        for name in () if self.development else ("database_url", "broker_url", "smtp_url"):
            secret = urlsplit(getattr(self, name).get_secret_value()).password
            if secret is not None and len(secret) < SECRET_AT_LEAST:
                raise ValueError(
                    f"the password in CONFIDE_{name.upper()} has under {SECRET_AT_LEAST} characters"
                )
        return self

    @model_validator(mode="after")
    def _refuse_what_is_no_limit(self) -> "Settings":
        for name in _LIMITS:
            limit(getattr(self, name))
        return self

    @property
    def postgres_url(self) -> str:
        """The plain `postgresql://` form of the database URL, which asyncpg reads."""
        scheme, _, rest = self.database_url.get_secret_value().partition("://")
        if not rest:
            raise ValueError("no database: set CONFIDE_DATABASE_URL or start `make run`")
        return f"{scheme.partition('+')[0].replace('postgresql', 'postgres')}://{rest}"

    @property
    def development(self) -> bool:
        """Whether demo accounts and developer commands may work."""
        return self.environment is Environment.DEVELOPMENT

    @classmethod
    def settings_customise_sources(
        cls,
        settings_cls: type[BaseSettings],
        init_settings: PydanticBaseSettingsSource,
        env_settings: PydanticBaseSettingsSource,
        dotenv_settings: PydanticBaseSettingsSource,  # noqa: ARG003
        file_secret_settings: PydanticBaseSettingsSource,  # noqa: ARG003
    ) -> tuple[PydanticBaseSettingsSource, ...]:
        """Arguments win over variables, those over the running stack's file, that over defaults."""
        home = Path(init_settings().get("home") or env_settings().get("home") or ".confide")
        stack = JsonConfigSettingsSource(settings_cls, json_file=home / STACK_FILE)
        return init_settings, env_settings, stack


@cache
def settings() -> Settings:
    """Return this process's settings, read once."""
    return Settings()
