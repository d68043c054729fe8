"""What every holder of key-encryption keys must do: the file, Vault's transit engine, AWS KMS."""

import logging
import sys
import time
from collections.abc import Callable, Iterator
from itertools import count
from pathlib import Path
from typing import Any

import pytest
from botocore.exceptions import ClientError
from hvac.exceptions import InvalidRequest
from moto import mock_aws

from core.crypto.kek import KekProvider, KeyPurpose, Wrapped
from core.crypto.keyring import FileKeyring, open_provider
from core.crypto.refusal import DecryptError
from core.errors import Conflict, Unavailable
from tests.running import free_port
from tests.transit import TOKEN, Engine, transit

RECORD, INDEX, AUDIT = KeyPurpose
SECRET = b"a data key, of 32 bytes in all.."
CONTEXT = b"patient 1, key 7, version 1"


@pytest.fixture(autouse=True, scope="module")
def credentials() -> Iterator[None]:
    with pytest.MonkeyPatch.context() as patch:
        for name in ("AWS_ACCESS_KEY_ID", "AWS_SECRET_ACCESS_KEY"):
            patch.setenv(name, "testing")
        yield


@pytest.fixture(scope="module")
def amazon() -> Iterator[Callable[[], KekProvider]]:
    """Open KMS as an empty one each time: by a prefix of its own."""
    number = count()
    with mock_aws():
        yield lambda: open_provider(f"aws-kms:eu-central-1?prefix=clinic{next(number)}")


@pytest.fixture
def engine() -> Iterator[Engine]:
    with transit() as engine:
        yield engine


@pytest.fixture
def token_file(tmp_path: Path) -> Path:
    path = tmp_path / "vault-token"
    path.write_text(TOKEN + "\n")
    path.chmod(0o600)
    return path


@pytest.fixture
def vault_url(engine: Engine, token_file: Path) -> str:
    return f"vault:{engine.address}?token-file={token_file}&prefix=clinic"


@pytest.fixture(params=["file", "vault", "aws-kms"])
def provider(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[KekProvider]:
    if request.param == "file":
        yield FileKeyring.create(tmp_path / "keyring.json")
    elif request.param == "vault":
        vault = open_provider(request.getfixturevalue("vault_url"))
        vault.create()
        yield vault
    else:
        aws = request.getfixturevalue("amazon")()
        aws.create()
        yield aws


# What is refused


def test_a_wrapped_key_does_not_unwrap_in_another_context_or_purpose(provider: KekProvider):
    wrapped = provider.wrap(RECORD, SECRET, CONTEXT)
    for purpose, context in [(RECORD, b"patient 2"), (INDEX, CONTEXT), (AUDIT, CONTEXT)]:
        with pytest.raises(DecryptError) as refusal:
            provider.unwrap(purpose, wrapped, context)
        assert str(refusal.value) == "auth"
    with pytest.raises(DecryptError, match=r"^auth$"):
        provider.rewrap(RECORD, wrapped, b"patient 2")


def test_a_wrapped_key_with_a_bit_flipped_anywhere_or_cut_does_not_unwrap(provider: KekProvider):
    wrapped = provider.wrap(RECORD, SECRET, CONTEXT)
    for at in range(len(wrapped.blob)):
        forged = bytearray(wrapped.blob)
        forged[at] ^= 1 << at % 8
        for blob in (bytes(forged), wrapped.blob[:at]):
            with pytest.raises(DecryptError, match=r"^auth$"):
                provider.unwrap(RECORD, Wrapped(1, blob), CONTEXT)


def test_a_key_wrapped_under_one_version_does_not_unwrap_under_another(provider: KekProvider):
    wrapped = provider.wrap(RECORD, SECRET, CONTEXT)
    provider.add_version(RECORD)
    with pytest.raises(DecryptError, match=r"^auth$"):
        provider.unwrap(RECORD, Wrapped(2, wrapped.blob), CONTEXT)


def test_a_missing_version_is_unavailable_and_not_a_forgery(provider: KekProvider):
    with pytest.raises(Unavailable) as refusal:
        provider.unwrap(RECORD, Wrapped(9, b"vault:v9:AAAA"), CONTEXT)
    assert refusal.value.code == "key-unavailable"
    assert refusal.value.members == {"version": 9}


def test_the_current_version_cannot_be_destroyed(provider: KekProvider):
    with pytest.raises(Conflict) as refusal:
        provider.destroy_version(RECORD, provider.current_version(RECORD))
    assert refusal.value.code == "key-in-use"
    assert provider.versions(RECORD) == {1}


def test_a_version_that_never_was_cannot_be_destroyed(provider: KekProvider):
    with pytest.raises(Unavailable):
        provider.destroy_version(RECORD, 9)


def test_what_a_destroyed_version_wrapped_never_comes_back(provider: KekProvider):
    wrapped = provider.wrap(RECORD, SECRET, CONTEXT)
    provider.add_version(RECORD)
    provider.destroy_version(RECORD, 1)
    with pytest.raises(DecryptError, match=r"^key_destroyed$"):
        provider.unwrap(RECORD, wrapped, CONTEXT)
    assert provider.versions(RECORD) == {2}
    assert provider.add_version(RECORD) == 3


def test_a_mac_holds_for_its_message_and_label_only(provider: KekProvider):
    tag = provider.mac(AUDIT, b"batch", b"events")
    assert provider.verify_mac(AUDIT, b"batch", b"events", tag)
    for wrong in [(b"batch", b"event"), (b"other", b"events"), (b"batche", b"vents")]:
        assert not provider.verify_mac(AUDIT, *wrong, tag)


def test_a_mac_with_a_bit_flipped_anywhere_or_cut_does_not_hold(provider: KekProvider):
    tag = provider.mac(AUDIT, b"batch", b"events")
    for at in range(len(tag)):
        forged = bytearray(tag)
        forged[at] ^= 1 << at % 8
        assert not provider.verify_mac(AUDIT, b"batch", b"events", bytes(forged))
        assert not provider.verify_mac(AUDIT, b"batch", b"events", tag[:at])
    assert not provider.verify_mac(AUDIT, b"batch", b"events", tag + b"\0")


# What works


def test_keys_unwrap_as_they_were_wrapped_and_show_nothing(provider: KekProvider):
    pairs = [(provider.wrap(RECORD, SECRET, bytes([n])), bytes([n])) for n in range(5)]
    assert [provider.unwrap(RECORD, wrapped, about) for wrapped, about in pairs] == [SECRET] * 5
    assert len({wrapped.blob for wrapped, _ in pairs}) == 5
    assert SECRET not in b"".join(wrapped.blob for wrapped, _ in pairs)
    for purpose in KeyPurpose:
        assert provider.unwrap(purpose, provider.wrap(purpose, SECRET, b"x"), b"x") == SECRET


def test_a_rotation_wraps_anew_while_the_old_version_still_unwraps(provider: KekProvider):
    old = provider.wrap(RECORD, SECRET, CONTEXT)
    assert provider.add_version(RECORD) == 2
    new = provider.rewrap(RECORD, old, CONTEXT)
    assert (old.version, new.version) == (1, 2)
    assert provider.unwrap(RECORD, old, CONTEXT) == SECRET
    assert provider.unwrap(RECORD, new, CONTEXT) == SECRET
    assert provider.versions(RECORD) == {1, 2}
    assert provider.current_version(INDEX) == 1


def test_a_mac_made_before_a_rotation_still_holds(provider: KekProvider):
    tag = provider.mac(AUDIT, b"batch", b"events")
    provider.add_version(AUDIT)
    assert provider.verify_mac(AUDIT, b"batch", b"events", tag)
    assert provider.mac(AUDIT, b"batch", b"events")[:4] == b"\0\0\0\2"


@pytest.mark.parametrize("provider", ["vault", "aws-kms"], indirect=True)
@pytest.mark.parametrize("act", ["wrap", "mac"])
def test_a_service_that_refuses_to_make_is_unavailable_and_says_nothing(
    provider: KekProvider, monkeypatch: pytest.MonkeyPatch, act: str
):
    make = {
        "wrap": lambda: provider.wrap(RECORD, SECRET, CONTEXT),
        "mac": lambda: provider.mac(AUDIT, b"batch", b"events"),
    }[act]
    make()
    _refuse(provider, monkeypatch)
    with pytest.raises(Unavailable) as refusal:
        make()
    assert refusal.value.code == "key-unavailable"
    assert "arn:" not in str(refusal.value)


def _refuse(provider: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    """Let the service say no to whatever is made with a key, as it does to a caller whom it throttles."""
    if hasattr(provider, "_kms"):
        told = {"Error": {"Code": "ThrottlingException", "Message": "arn:aws:kms:x"}}

        def throttled(operation: str) -> Callable[..., None]:
            def refuse(**_given: object) -> None:
                raise ClientError(told, operation)

            return refuse

        for operation in ("encrypt", "generate_mac"):
            monkeypatch.setattr(provider._kms, operation, throttled(operation))
    else:
        transit = provider._client.secrets.transit
        for operation in ("encrypt_data", "generate_hmac"):
            monkeypatch.setattr(type(transit), operation, _bad_request)


def _disabled(**_given: object) -> None:
    raise ClientError({"Error": {"Code": "DisabledException", "Message": ""}}, "Decrypt")


def _bad_request(*_given: object, **_named: object) -> None:
    raise InvalidRequest("encryption key not found")


def test_a_key_that_is_disabled_for_a_while_is_out_of_reach_and_not_destroyed(
    amazon: Callable[[], KekProvider], monkeypatch: pytest.MonkeyPatch
):
    aws: Any = amazon()
    aws.create()
    wrapped = aws.wrap(RECORD, SECRET, CONTEXT)
    aws.add_version(RECORD)
    key = aws._kms.describe_key(KeyId=aws._alias(RECORD, 1))["KeyMetadata"]["KeyId"]
    aws._kms.disable_key(KeyId=key)
    aws._versions.clear()
    with monkeypatch.context() as patch:  # moto decrypts all the same
        patch.setattr(aws._kms, "decrypt", _disabled)
        with pytest.raises(Unavailable):
            aws.unwrap(RECORD, wrapped, CONTEXT)
    aws._kms.enable_key(KeyId=key)
    assert aws.unwrap(RECORD, wrapped, CONTEXT) == SECRET


def test_keys_that_are_there_are_not_made_again(vault_url: str):
    vault = open_provider(vault_url)
    assert vault.create() == ["clinic-record", "clinic-index", "clinic-audit"]
    assert vault.create() == []


# When the service is away, slow, or has thrown us out


@pytest.mark.parametrize("status", [403, 429, 500, 502, 503])
def test_whatever_vault_answers_instead_of_a_key_is_unavailable_after_one_call(
    engine: Engine, vault_url: str, status: int
):
    vault = open_provider(vault_url)
    vault.create()
    wrapped = vault.wrap(RECORD, SECRET, CONTEXT)
    engine.status = status
    engine.calls.clear()
    with pytest.raises(Unavailable) as refusal:
        vault.unwrap(RECORD, wrapped, CONTEXT)
    assert refusal.value.code == "key-unavailable"
    assert len(engine.calls) == 1


def test_a_slow_vault_is_waited_for_two_seconds_at_most(engine: Engine, vault_url: str):
    engine.delay = 3
    began = time.monotonic()
    with pytest.raises(Unavailable):
        open_provider(vault_url).wrap(RECORD, SECRET, CONTEXT)
    assert time.monotonic() - began < 2


@pytest.mark.parametrize("scheme", ["vault", "aws-kms"])
def test_a_service_that_is_not_there_is_unavailable_at_once(scheme: str, token_file: Path):
    nobody = f"http://127.0.0.1:{free_port()}"
    url = {
        "vault": f"vault:{nobody}/transit?token-file={token_file}",
        "aws-kms": f"aws-kms:eu-central-1?endpoint={nobody}",
    }[scheme]
    began = time.monotonic()
    kms = open_provider(url)
    for act in (lambda: kms.versions(RECORD), lambda: kms.wrap(RECORD, SECRET, CONTEXT)):
        with pytest.raises(Unavailable) as refusal:
            act()
        assert refusal.value.code == "key-unavailable"
    assert time.monotonic() - began < 3


def test_keys_that_were_never_made_are_unavailable(
    vault_url: str, amazon: Callable[[], KekProvider]
):
    with pytest.raises(Unavailable):
        amazon().wrap(RECORD, SECRET, CONTEXT)
    with pytest.raises(Unavailable):
        open_provider(vault_url).wrap(RECORD, SECRET, CONTEXT)


def test_a_token_renewed_in_its_file_is_taken_up(vault_url: str, token_file: Path):
    token_file.write_text("hvs.expired")
    vault = open_provider(vault_url)
    with pytest.raises(Unavailable):
        vault.versions(RECORD)
    token_file.unlink()
    with pytest.raises(Unavailable, match="The file with Vault's token is gone"):
        vault.versions(RECORD)
    token_file.write_text(TOKEN)
    token_file.chmod(0o600)
    assert vault.create()


def test_a_token_file_that_others_may_read_is_refused(vault_url: str, token_file: Path):
    token_file.chmod(0o644)
    with pytest.raises(Unavailable) as refusal:
        open_provider(vault_url).versions(RECORD)
    assert refusal.value.code == "keyring-exposed"


@pytest.mark.parametrize("scheme", ["vault:http://127.0.0.1:8200/t?token-file=/t", "aws-kms:x"])
def test_without_the_extra_it_is_said_what_to_install(monkeypatch: pytest.MonkeyPatch, scheme: str):
    for name in ("hvac", "boto3"):
        monkeypatch.setitem(sys.modules, name, None)
    for name in ("transit", "aws"):
        monkeypatch.delitem(sys.modules, f"core.crypto.{name}", raising=False)
    with pytest.raises(ValueError, match=r"pip install 'confide\[kms\]'"):
        open_provider(scheme)


@pytest.mark.parametrize(
    "address",
    ["http://vault.example/transit", "https://u:canary@vault.example/transit", "https://h"],
)
def test_a_vault_in_clear_text_or_with_a_secret_in_its_address_is_refused(address: str):
    with pytest.raises(ValueError, match="a vault: key provider is") as refusal:
        open_provider(f"vault:{address}?token-file=/t")
    assert "canary" not in str(refusal.value)


def test_neither_tokens_nor_keys_are_logged(
    caplog: pytest.LogCaptureFixture,
    vault_url: str,
    engine: Engine,
    amazon: Callable[[], KekProvider],
):
    caplog.set_level(logging.DEBUG)
    vault = open_provider(vault_url)
    vault.create()
    vault.unwrap(RECORD, vault.wrap(RECORD, SECRET, CONTEXT), CONTEXT)
    aws = amazon()
    aws.create()
    aws.unwrap(RECORD, aws.wrap(RECORD, SECRET, CONTEXT), CONTEXT)
    engine.status = 403
    with pytest.raises(Unavailable) as refusal:
        vault.versions(RECORD)
    assert refusal.value.__context__ is None
    for secret in (TOKEN, SECRET.decode(), "YSBkYXRhIGtleS"):
        assert secret not in caplog.text
