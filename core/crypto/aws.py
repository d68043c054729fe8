"""KEKs in AWS KMS: they never leave it, and what they wrap is bound to its context as encryption context.

Each version is a KMS key of its own, by the alias `alias/<prefix>-<purpose>-v<number>`: KMS turns over key material by itself, but then
nobody can tell what still needs the old one, nor end it. The audit purpose has a second one for MACs (`…-audit-mac-v1`): in KMS, a key does
one thing only. Which purposes this process may use, its IAM grants say.
"""

import logging
from collections.abc import Callable
from hashlib import sha256
from time import monotonic
from typing import Any, Final

import boto3
from botocore.config import Config
from botocore.exceptions import BotoCoreError, ClientError

from core.crypto.kek import KeyPurpose, Wrapped, out_of_reach
from core.crypto.primitives import lp
from core.crypto.refusal import DecryptCode, DecryptError, Unpicklable
from core.errors import Conflict

CONNECT_SECONDS: Final = 1.0
READ_SECONDS: Final = 1.5
"""Nothing is repeated: a request that cannot have its key is told so at once."""
FRESH: Final = 10.0
"""Seconds for which the list of versions is believed."""
WAITING_DAYS: Final = 7
"""KMS's shortest wait before a key is gone. It refuses everything from the first second."""

logging.getLogger("botocore").setLevel(
    logging.INFO
)  # below, it prints what it sends and gets: keys

_MAC: Final = "HMAC_SHA_256"
_FORGED: Final = {"InvalidCiphertextException", "IncorrectKeyException"}
_WRAPS: Final = {"KeySpec": "SYMMETRIC_DEFAULT", "KeyUsage": "ENCRYPT_DECRYPT"}
_MAKES_MACS: Final = {"KeySpec": "HMAC_256", "KeyUsage": "GENERATE_VERIFY_MAC"}

_DOOMED: Final = frozenset({"PendingDeletion", "PendingReplicaDeletion"})
"""States of a key that has been given up."""


class AwsKms(Unpicklable):
    """A KekProvider over `aws-kms:REGION`; credentials come from where AWS's own tools find them."""

    remote = True

    def __init__(self, region: str, options: dict[str, str]) -> None:
        if not region:
            raise ValueError("an aws-kms: key provider names its region")
        self._prefix = options.get("prefix", "confide")
        self._versions: dict[KeyPurpose, tuple[float, dict[int, bool]]] = {}
        self._kms: Any = boto3.client(
            "kms",
            region_name=region,
            endpoint_url=options.get("endpoint"),
            config=Config(
                connect_timeout=CONNECT_SECONDS,
                read_timeout=READ_SECONDS,
                retries={"total_max_attempts": 1},
                max_pool_connections=16,
            ),
        )

    def create(self) -> list[str]:
        """Make the first version of the purposes that have none; return their aliases."""
        missing = [purpose for purpose in KeyPurpose if not self._listed(purpose)]
        return [self._make(purpose, 1) for purpose in missing]

    def wrap(self, purpose: KeyPurpose, secret: bytes, context: bytes) -> Wrapped:
        version = self.current_version(purpose)
        given = {"Plaintext": secret, "EncryptionContext": _bound(context)}
        alias = self._alias(purpose, version)
        made = self._reach(self._kms.encrypt, KeyId=alias, **given)
        return Wrapped(version, made["CiphertextBlob"])

    def unwrap(self, purpose: KeyPurpose, wrapped: Wrapped, context: bytes) -> bytes:
        version = self._living(purpose, wrapped.version)
        if not wrapped.blob:
            raise DecryptError(DecryptCode.AUTH)
        bound = {"CiphertextBlob": wrapped.blob, "EncryptionContext": _bound(context)}
        try:
            opened = self._call("decrypt", purpose, version, **bound)
        except ClientError as error:
            forged = _is_forgery(error)
        else:
            return bytes(opened["Plaintext"])
        raise DecryptError(DecryptCode.AUTH) if forged else out_of_reach()

    def rewrap(self, purpose: KeyPurpose, wrapped: Wrapped, context: bytes) -> Wrapped:
        return self.wrap(purpose, self.unwrap(purpose, wrapped, context), context)

    def mac(self, purpose: KeyPurpose, label: bytes, message: bytes) -> bytes:
        version = self.current_version(purpose)
        digest = _digest(label, message)
        given = {"Message": digest, "MacAlgorithm": _MAC}
        alias = self._alias(f"{purpose}-mac", version)
        made = self._reach(self._kms.generate_mac, KeyId=alias, **given)
        return version.to_bytes(4, "big") + bytes(made["Mac"])

    def verify_mac(self, purpose: KeyPurpose, label: bytes, message: bytes, tag: bytes) -> bool:
        version = int.from_bytes(tag[:4], "big")
        if version not in self.versions(purpose) or not tag[4:]:
            return False
        shown = {"Message": _digest(label, message), "Mac": tag[4:], "MacAlgorithm": _MAC}
        try:
            self._call("verify_mac", f"{purpose}-mac", version, **shown)
        except ClientError as error:
            wrong = error.response["Error"]["Code"] == "KMSInvalidMacException"
        else:
            return True
        if wrong:
            return False
        raise out_of_reach()

    def add_version(self, purpose: KeyPurpose) -> int:
        self._versions.pop(purpose, None)
        self._make(purpose, self.current_version(purpose) + 1)
        return self.current_version(purpose)

    def current_version(self, purpose: KeyPurpose) -> int:
        return max(self._known(purpose))

    def versions(self, purpose: KeyPurpose) -> frozenset[int]:
        return frozenset(number for number, lives in self._known(purpose).items() if lives)

    def destroy_version(self, purpose: KeyPurpose, version: int) -> None:
        self._versions.pop(purpose, None)
        if version == self.current_version(purpose):
            raise Conflict("The current key version still wraps.", code="key-in-use")
        self._living(purpose, version)
        for name in _names(purpose):
            key = self._reach(self._kms.describe_key, KeyId=self._alias(name, version))
            doomed = {"KeyId": key["KeyMetadata"]["KeyId"], "PendingWindowInDays": WAITING_DAYS}
            self._reach(self._kms.schedule_key_deletion, **doomed)
        self._versions.pop(purpose, None)

    def _living(self, purpose: KeyPurpose, version: int) -> int:
        """Return a version that unwraps; asked anew before one is said to be missing or destroyed."""
        if version not in self.versions(purpose):
            self._versions.pop(purpose, None)
        if version in self.versions(purpose):
            return version
        if 0 < version < self.current_version(purpose):
            raise DecryptError(DecryptCode.KEY_DESTROYED)
        raise out_of_reach(version=version)

    def _known(self, purpose: KeyPurpose) -> dict[int, bool]:
        """Return the versions, and whether each lives: one that is disabled for a while is out of reach, not destroyed."""
        seen, known = self._versions.get(purpose, (0.0, {}))
        if not known or monotonic() - seen > FRESH:
            known = self._listed(purpose)
            self._versions[purpose] = monotonic(), known
        if not known:
            raise out_of_reach()
        return known

    def _listed(self, purpose: KeyPurpose) -> dict[int, bool]:
        stem, found = self._alias(purpose, ""), dict[int, bool]()
        pages = self._kms.get_paginator("list_aliases").paginate()
        for page in self._reach(lambda: list(pages)):
            for alias in page["Aliases"]:
                number = alias["AliasName"].removeprefix(stem)
                if number != alias["AliasName"] and number.isdecimal():
                    told = self._reach(self._kms.describe_key, KeyId=alias["AliasName"])
                    found[int(number)] = told["KeyMetadata"]["KeyState"] not in _DOOMED
        return found

    def _make(self, purpose: KeyPurpose, version: int) -> str:
        """Make a version. The key that wraps comes last: with its alias, the version is there."""
        for name in _names(purpose):
            made = self._reach(self._kms.create_key, **(_WRAPS if name == purpose else _MAKES_MACS))
            given = {"AliasName": self._alias(name, version)}
            self._reach(self._kms.create_alias, **given, TargetKeyId=made["KeyMetadata"]["KeyId"])
        self._versions.pop(purpose, None)
        return self._alias(purpose, version)

    def _alias(self, name: str, version: int | str) -> str:
        return f"alias/{self._prefix}-{name}-v{version}"

    def _call(self, what: str, name: str, version: int, **given: Any) -> Any:
        """Call KMS about one version; its refusals go on as ClientError, all else is out of reach."""
        function = getattr(self._kms, what)
        try:
            return function(KeyId=self._alias(name, version), **given)
        except BotoCoreError:
            pass
        raise out_of_reach()

    def _reach(self, function: Callable[..., Any], **given: Any) -> Any:
        try:
            return function(**given)
        except (BotoCoreError, ClientError):
            pass
        raise out_of_reach()


def _names(purpose: KeyPurpose) -> list[str]:
    """Return the KMS keys that a version of a purpose is made of."""
    return [f"{purpose}-mac", purpose] if purpose is KeyPurpose.AUDIT else [purpose]


def _bound(context: bytes) -> dict[str, str]:
    """Return the encryption context: a digest, since it stands in CloudTrail, which need not know our patients' ids."""
    return {"confide": sha256(context).hexdigest()}


def _digest(label: bytes, message: bytes) -> bytes:
    return lp("confide/mac/v1", label, sha256(message).digest())


def _is_forgery(error: ClientError) -> bool:
    """Tell a blob that is no wrap of ours from a grant that is missing: KMS calls both a denial where the blob names another key."""
    told = error.response["Error"]
    denied = told["Code"] == "AccessDeniedException"
    return told["Code"] in _FORGED or (denied and "not authorized" not in str(told.get("Message")))
