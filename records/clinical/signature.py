"""Signatures: the SHA-256 of a version's canonical JSON (RFC 8785), with who signed it and when inside.

From the first signature on, every version of a record is signed by who wrote it. A read computes the digest again:
what the database says now of content, status, label, author or time must be what was signed.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import UTC, datetime
from hashlib import sha256
from hmac import compare_digest
from typing import Any, Final
from uuid import UUID

from core.canonical import canonical
from records.clinical.models import UNSIGNED, RecordAct

_OPEN: Final = ("id", "patient_id", "kind", "act", "status", "sensitivity", "writer_id")
_SEALED: Final = ("title", "content", "reason")


@dataclass(frozen=True, slots=True)
class Signature:
    """Who signed a version, when, and the digest (hex) of what was signed."""

    signer_id: UUID
    signed_at: datetime
    digest: str


def digest(version: Mapping[str, Any], phi: Mapping[str, Any]) -> bytes:
    """Return the digest of a version: of its open columns, and of its opened sealed ones."""
    stated: dict[str, Any] = {name: str(version[name]) for name in _OPEN}
    stated["number"] = version["number"]
    stated["categories"] = sorted(version["categories"])
    stated["signed_at"] = version["written_at"].astimezone(UTC).isoformat(timespec="microseconds")
    for name in _SEALED:
        stated[name] = phi.get(name)
    return sha256(canonical(stated)).digest()


def signature(version: Mapping[str, Any], phi: Mapping[str, Any]) -> Signature | None:
    """Return the signature of a version. Only drafts and what another system signed have none.

    Raises ValueError when the version is not what was signed, or its signature is gone.
    """
    kept = phi["digest"]
    if kept is None:
        imported = version["source"] and version["act"] == RecordAct.WRITE
        if version["status"] in UNSIGNED or imported:
            return None
        raise ValueError("a signature is missing")
    assert isinstance(kept, bytes)
    if not compare_digest(kept, digest(version, phi)):
        raise ValueError("this is not what was signed")
    return Signature(version["writer_id"], version["written_at"], kept.hex())
