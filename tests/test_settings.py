"""What an operator sets is refused when it would not keep what is promised, and is never told again."""

from pathlib import Path

import pytest
from pydantic import ValidationError

from core.crypto.keyring import create_keys
from core.settings import Environment, Settings

SECRET = "hunter2"


@pytest.mark.parametrize("name", ["database_url", "broker_url", "smtp_url"])
def test_a_password_that_anybody_guesses_is_refused_and_not_repeated(name: str):
    given = {name: f"scheme://confide:{SECRET}@elsewhere/x"}
    with pytest.raises(ValidationError, match=f"CONFIDE_{name.upper()}") as refusal:
        Settings(environment=Environment.PRODUCTION, **given)
    assert SECRET not in str(refusal.value)
    assert Settings(environment=Environment.DEVELOPMENT, **given)


@pytest.mark.parametrize(
    "address", ["http://clinic.example", "http://localhost.clinic.example", "https://", "ftp://x"]
)
def test_tokens_are_not_issued_for_an_address_that_others_read_along(address: str):
    with pytest.raises(ValidationError, match="CONFIDE_ISSUER"):
        Settings(issuer=address)


@pytest.mark.parametrize(
    "address", ["https://clinic.example", "http://127.0.0.1:1", "http://[::1]:1"]
)
def test_an_issuer_is_https_or_this_machine(address: str):
    assert Settings(issuer=address).issuer == address


def test_the_keyring_is_in_the_home_whatever_that_is_called(tmp_path: Path):
    home = tmp_path / "clinic #1, 50% of it?"
    home.mkdir()
    assert create_keys(Settings(home=home).kms) == [str(home / "keyring.json")]


@pytest.mark.parametrize("name", ["caller_limit", "search_limit", "miss_limit", "token_limit"])
def test_what_is_no_limit_is_refused_at_the_start_and_not_at_the_first_request(name: str):
    with pytest.raises(ValidationError):
        Settings(**{name: "a few"})
