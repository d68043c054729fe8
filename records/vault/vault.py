"""Sealing and opening PHI. Nothing opens without a Permit that covers the very row.

A row comes with its key's row, joined in the same SELECT (`sealed_columns`): whether a key is still
alive is asked of the database each time, never of the cache, so that a shredded patient is gone at once everywhere.
"""

import secrets
from collections.abc import Callable, Iterable, Mapping
from typing import Any, Final, TypeVar
from uuid import UUID

from sqlalchemy import ColumnElement, Join, Select, select

from core.crypto.envelope import DataKey, DecryptCode, DecryptError, Place, Value
from core.crypto.kek import KekProvider, KeyPurpose, Wrapped, ask
from core.crypto.primitives import lp
from policies.permit import Permit
from records.base import Executor, Protected, phi_columns, phi_names, table_of
from records.vault.cache import KeyCache
from records.vault.models import KeyState, PatientKey

_KEY: Final = table_of(PatientKey).c
Result = TypeVar("Result")
_NOT_ITSELF: Final = "a permit for another row was shown to the vault"


def sealed_columns(kind: type[Protected]) -> list[ColumnElement[Any]]:
    """Return what a SELECT must fetch of a table (and its key) for the vault to open its rows."""
    return [*key_columns(kind), *phi_columns(kind)]


def key_columns(kind: type[Protected]) -> list[ColumnElement[Any]]:
    """Return what a SELECT must fetch of a table and its key for the vault to seal another row with that key."""
    row = table_of(kind).c
    return [
        row.id.label("row_id"),
        row[kind.resource].label("resource_id"),
        row.patient_id,
        row.key_id,
        _KEY.version.label("key_version"),
        _KEY.state.label("key_state"),
        _KEY.kek_version,
        _KEY.wrapped,
    ]


def sealed_rows(kind: type[Protected], *others: Any) -> Select[Any]:
    """Return a SELECT of a table's sealed rows, each with its key and with the `others` asked for."""
    return select(*sealed_columns(kind), *others).select_from(with_key(kind))


def with_key(kind: type[Protected]) -> Join:
    """Return a table of sealed rows, each with the row of its key."""
    row = table_of(kind)
    return row.join(table_of(PatientKey), _KEY.key_id == row.c.key_id)


async def locked_row(
    session: Executor, statement: Select[Any], parameters: Mapping[str, Any]
) -> Mapping[str, Any] | None:
    """Return the sealed row that a SELECT … FOR UPDATE names, or None.

    A row whose key turned while one waited for the lock is hidden from that statement, whose snapshot lacks the new key. So
    nothing is asked for twice before it is said not to be there.
    """
    for _ in range(2):
        row: Mapping[str, Any] | None
        row = (await session.execute(statement, parameters)).mappings().first()
        if row:
            return row
    return None


def still_there() -> ColumnElement[bool]:
    """Return the WHERE, for `sealed_rows`, that leaves out who was erased."""
    return _KEY.state != KeyState.DESTROYED


class Vault:
    """The only holder of data keys, each unwrapped when first needed and forgotten soon after."""

    def __init__(self, provider: KekProvider) -> None:
        self.provider = provider
        self._cache = KeyCache()

    async def new_key(self, patient_id: UUID, version: int = 1) -> tuple[PatientKey, DataKey]:
        """Return a fresh DEK for a patient, as the row to store and as the key to seal with."""
        key_id, secret = secrets.randbits(62), secrets.token_bytes(32)
        context = dek_context(patient_id, key_id, version)
        wrapped = await ask(self.provider, self.provider.wrap, KeyPurpose.RECORD, secret, context)
        row = PatientKey(
            key_id=key_id,
            patient_id=patient_id,
            version=version,
            kek_version=wrapped.version,
            wrapped=wrapped.blob,
        )
        return row, DataKey(key_id, version, secret)

    def key(self, row: Mapping[str, Any]) -> DataKey:
        """Return the DEK of a fetched row, or raise DecryptError when it is destroyed."""
        if row["key_state"] == KeyState.DESTROYED or row["wrapped"] is None:
            raise DecryptError(DecryptCode.KEY_DESTROYED)
        key_id: int = row["key_id"]
        return self._cache.get(key_id) or self._cache.put(key_id, self._unwrap(row))

    async def fetch(self, row: Mapping[str, Any]) -> DataKey:
        """Return what `key` does; a KEK that answers through the network is not waited for in the event loop."""
        await self.reach(row)
        return self.key(row)

    async def reach(self, row: Mapping[str, Any]) -> None:
        """See that the key of a fetched row is at hand, if it is to be had from elsewhere."""
        missing = self.provider.remote and row["wrapped"] and not self._cache.get(row["key_id"])
        if missing:
            self._cache.put(row["key_id"], await ask(self.provider, self._unwrap, row))

    def seal(
        self,
        permit: Permit,
        kind: type[Protected],
        key: DataKey,
        row_id: UUID,
        **values: Value | None,
    ) -> dict[str, Any]:
        """Return the sealed cells of a row's PHI columns by name, None staying None."""
        if permit.patient_id is None:
            raise PermissionError(_NOT_ITSELF)
        return _sealed(kind, key, row_id, permit.patient_id, values)

    def open(
        self,
        permit: Permit,
        kind: type[Protected],
        row: Mapping[str, Any],
        only: Iterable[str] | None = None,
        *,
        unread: bool = False,
    ) -> dict[str, Value | None]:
        """Open the PHI columns (or `only` some) of a row that `sealed_columns` fetched; JSON may stay `unread`."""
        if not permit.covers(row["resource_id"], row["patient_id"]):
            raise PermissionError(_NOT_ITSELF)
        return self._opened(kind, row, only or phi_names(kind), unread=unread)

    def reseal(
        self, kind: type[Protected], row: Mapping[str, Any], fresh: DataKey
    ) -> dict[str, Any]:
        """Return a fetched row's cells sealed under another key of the same patient.

        No Permit is asked for: the plain text is never outside this function.
        """
        values = self._opened(kind, row, phi_names(kind))
        return _sealed(kind, fresh, row["row_id"], row["patient_id"], values)

    def worked_out(
        self,
        kind: type[Protected],
        row: Mapping[str, Any],
        of: Callable[[Mapping[str, Any]], Result],
    ) -> Result:
        """Return what a function makes of a fetched row's plain text: search tokens, when their key turns. No Permit either."""
        return of(self._opened(kind, row, phi_names(kind)))

    def _opened(
        self,
        kind: type[Protected],
        row: Mapping[str, Any],
        names: Iterable[str],
        *,
        unread: bool = False,
    ) -> dict[str, Value | None]:
        key, table, opened = self.key(row), table_of(kind).name, dict[str, Value | None]()
        row_id, patient_id = row["row_id"], row["patient_id"]
        for name in names:
            cell = row[name]
            place = Place(table, name, row_id, patient_id)
            opened[name] = None if cell is None else key.open(place, cell, unread=unread)
        return opened

    def _unwrap(self, row: Mapping[str, Any]) -> DataKey:
        key_id, version = row["key_id"], row["key_version"]
        wrapped = Wrapped(row["kek_version"], row["wrapped"])
        context = dek_context(row["patient_id"], key_id, version)
        return DataKey(key_id, version, self.provider.unwrap(KeyPurpose.RECORD, wrapped, context))


def _sealed(
    kind: type[Protected],
    key: DataKey,
    row_id: UUID,
    patient_id: UUID,
    values: Mapping[str, Value | None],
) -> dict[str, Any]:
    assert values.keys() <= {*phi_names(kind)}, "these are no PHI columns"
    table, sealed = table_of(kind).name, dict[str, Any]()
    for column in phi_columns(kind):
        value = values.get(column.name)
        place = Place(table, column.name, row_id, patient_id)
        padded = column.info["padded"]
        sealed[column.name] = None if value is None else key.seal(place, value, padded=padded)
    return sealed


def dek_context(patient_id: UUID, key_id: int, version: int) -> bytes:
    """Return what a wrapped DEK is bound to."""
    return lp(
        "confide/dek/v1", patient_id.bytes, key_id.to_bytes(8, "big"), version.to_bytes(4, "big")
    )
