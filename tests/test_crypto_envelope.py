import copy
import hmac
import json
import pickle
import struct
from collections.abc import Callable
from itertools import count
from typing import Any
from uuid import UUID

import orjson
import pytest
from hypothesis import assume, given
from hypothesis import strategies as st

from core.crypto.envelope import NONCE_LIMIT, Cell, DataKey, DecryptError, Place, Value, key_id_of
from core.crypto.primitives import aead, lp
from core.errors import Unavailable
from tests.test_crypto_values import VALUES

CANARY = "Schizophrenia-canary-7391"
SECRET = bytes(range(32))
PLACE = Place("medical_record", "summary", UUID(int=1), UUID(int=2))
KEY = DataKey(7, 1, SECRET)

NAMES = st.text("ab_", min_size=0, max_size=4)
PLACES = st.builds(Place, NAMES, NAMES, st.uuids(), st.uuids())
KEYS = st.builds(
    DataKey, st.integers(0, 3), st.integers(0, 3), st.sampled_from([SECRET, bytes(32)])
)


def _refused(key: DataKey, place: Place, cell: bytes) -> str:
    """Return the code of the refusal, having looked for plaintext in all it says."""
    with pytest.raises(DecryptError) as caught:
        key.open(place, cell)
    said = f"{caught.value!s}{caught.value!r}{caught.value.args}{vars(caught.value)}"
    assert CANARY not in said
    assert caught.value.__context__ is None
    assert str(caught.value) == f"{caught.value.code}: {place.table}.{place.column} {place.row_id}"
    return caught.value.code


@pytest.mark.parametrize("value", [CANARY, True, {"a": [CANARY]}, b""])
def test_a_cell_with_any_single_bit_flipped_is_refused(value: Value):
    cell = KEY.seal(PLACE, value)
    for bit in range(8 * len(cell)):
        forged = bytearray(cell)
        forged[bit // 8] ^= 1 << bit % 8
        code = _refused(KEY, PLACE, bytes(forged))
        assert code in ({"format"} if bit < 24 else {"format", "auth"} if bit < 32 else {"auth"})


def test_a_cell_cut_or_extended_at_any_length_is_refused():
    cell = KEY.seal(PLACE, CANARY)
    for cut in range(len(cell)):
        assert _refused(KEY, PLACE, cell[:cut]) == ("format" if cut < 72 else "auth")
    for more in range(1, 33):
        assert _refused(KEY, PLACE, cell + bytes(more)) == "auth"
    assert _refused(KEY, PLACE, cell + bytes(20_000)) == "format"


@pytest.mark.parametrize("plain", [b"", b"Schizophrenia-canary-7391", b"\xe5\x01", bytes(200)])
def test_bytes_that_are_no_cell_are_a_format_error_never_plaintext(plain: bytes):
    assert _refused(KEY, PLACE, plain) == "format"
    with pytest.raises(DecryptError, match=r"^format$"):
        key_id_of(plain)


@pytest.mark.parametrize("kind", [0, 8, 0x7F, 0x80, 0x88, 0xFF])
def test_a_cell_of_an_unknown_type_is_a_format_error(kind: int):
    cell = KEY.seal(PLACE, CANARY)
    assert _refused(KEY, PLACE, cell[:3] + bytes([kind]) + cell[4:]) == "format"


@pytest.mark.parametrize(
    "elsewhere",
    [
        {"table": "patient"},
        {"column": "note"},
        {"table": "medical_recor", "column": "dsummary"},
        {"row_id": UUID(int=3)},
        {"patient_id": UUID(int=3)},
        {"row_id": PLACE.patient_id, "patient_id": PLACE.row_id},
    ],
)
def test_a_cell_moved_to_another_table_column_row_or_patient_does_not_open(
    elsewhere: dict[str, Any],
):
    assert _refused(KEY, PLACE._replace(**elsewhere), KEY.seal(PLACE, CANARY)) == "auth"


@pytest.mark.parametrize(
    "other", [DataKey(8, 1, SECRET), DataKey(7, 2, SECRET), DataKey(7, 1, bytes(32))]
)
def test_a_cell_does_not_open_under_another_key_id_version_or_secret(other: DataKey):
    assert _refused(other, PLACE, KEY.seal(PLACE, CANARY)) == "auth"


def test_table_and_column_are_authenticated_even_where_the_column_key_is_the_same():
    """The column key covers table and column already: here the AAD alone can refuse."""
    cell = KEY.seal(PLACE, CANARY)
    column, spoofed = KEY._column(PLACE), DataKey(7, 1, SECRET)
    for other in (PLACE._replace(table="t"), PLACE._replace(column="c")):
        aad = spoofed._column(other).aad
        spoofed._columns[other.table, other.column] = column._replace(aad=aad)
        assert _refused(spoofed, other, cell) == "auth"


@given(PLACES, KEYS, PLACES, KEYS)
def test_a_cell_opens_nowhere_but_where_it_was_sealed(
    place: Place, key: DataKey, other_place: Place, other_key: DataKey
):
    same = (place, key.key_id, key.version, key._secret) == (
        (other_place, other_key.key_id, other_key.version, other_key._secret)
    )
    assume(not same)
    _refused(other_key, other_place, key.seal(place, CANARY))


@given(st.tuples(KEYS, PLACES, st.integers(0, 255)), st.tuples(KEYS, PLACES, st.integers(0, 255)))
def test_no_two_places_keys_and_types_authenticate_alike(
    one: tuple[DataKey, Place, int], other: tuple[DataKey, Place, int]
):
    def aad(key: DataKey, place: Place, kind: int) -> bytes:
        return key._aad(bytes([kind]) + key._id, key._column(place), place)

    def tuple_of(key: DataKey, place: Place, kind: int) -> tuple[object, ...]:
        return key.key_id, key.version, place, kind

    assert (aad(*one) == aad(*other)) == (tuple_of(*one) == tuple_of(*other))


@given(st.lists(st.binary(max_size=3), max_size=4), st.lists(st.binary(max_size=3), max_size=4))
def test_length_prefixes_keep_lists_of_parts_apart(parts: list[bytes], others: list[bytes]):
    assert (lp(*parts) == lp(*others)) == (parts == others)


@given(PLACES, KEYS, VALUES, st.booleans())
def test_any_value_opens_where_it_was_sealed(
    place: Place, key: DataKey, value: Value, padded: bool
):
    cell = key.seal(place, value, padded=padded)
    assert key_id_of(cell) == key.key_id
    opened = key.open(place, bytes(cell))
    assert type(opened) is type(value)
    assert key.open(place, key.seal(place, opened)) == opened


def test_a_cell_written_by_hand_from_the_format_opens():
    def prefixed(text: str) -> bytes:
        return struct.pack(">H", len(text)) + text.encode()

    info = prefixed("confide/field/v1") + prefixed("medical_record") + prefixed("summary")
    okm = hmac.digest(SECRET, info + b"\1", "sha512")
    header = bytes.fromhex("e5010101") + struct.pack(">Q", 7)
    aad = header + prefixed("confide/aad/v1") + prefixed("medical_record") + prefixed("summary")
    aad += UUID(int=1).bytes + UUID(int=2).bytes + struct.pack(">I", 1)
    box = aead(okm[:32]).encrypt(bytes(12), b"well", aad)
    assert KEY.open(PLACE, header + bytes(12) + okm[32:] + box) == "well"


def test_a_cell_is_72_bytes_longer_than_its_plaintext_and_never_the_same_twice():
    cells = {KEY.seal(PLACE, "x" * 64) for _ in range(100)}
    assert {len(cell) for cell in cells} == {136}
    assert len({cell[12:24] for cell in cells}) == 100


def test_a_key_refuses_to_seal_past_its_nonce_limit_and_still_opens():
    key = DataKey(7, 1, SECRET)
    key._columns["medical_record", "summary"] = key._column(PLACE)._replace(
        sealed=count(NONCE_LIMIT - 1)
    )
    last = key.seal(PLACE, "last")
    with pytest.raises(Unavailable) as refusal:
        key.seal(PLACE, CANARY)
    assert refusal.value.code == "key-exhausted"
    assert key.open(PLACE, last) == "last"
    assert (
        key.open(PLACE._replace(column="other"), key.seal(PLACE._replace(column="other"), 1)) == 1
    )


def test_a_cell_is_not_sealed_again():
    with pytest.raises(TypeError, match="already sealed"):
        KEY.seal(PLACE, KEY.seal(PLACE, CANARY))


@pytest.mark.parametrize(
    "render", [pickle.dumps, copy.copy, copy.deepcopy, json.dumps, orjson.dumps, "{}".format]
)
def test_a_cell_refuses_to_be_pickled_copied_serialised_or_formatted(
    render: Callable[[Cell], object],
):
    with pytest.raises(TypeError):
        render(KEY.seal(PLACE, CANARY))


def test_a_cell_shows_nothing_of_itself():
    cell = KEY.seal(PLACE, CANARY)
    assert {repr(cell), str(cell), "%s" % cell, repr([cell])} == {"<sealed>", "[<sealed>]"}  # noqa: UP031
    assert isinstance(cell, Cell)


def test_a_data_key_shows_its_number_and_never_leaves_the_process():
    assert repr(KEY) == "<DataKey 7 v1>"
    with pytest.raises(TypeError, match="DataKey is not to be pickled"):
        pickle.dumps(KEY)


@pytest.mark.parametrize("size", [0, 16, 31, 33])
def test_a_secret_that_is_not_256_bits_long_makes_no_key(size: int):
    with pytest.raises(ValueError, match=f"a key has 32 bytes, not {size}"):
        DataKey(7, 1, bytes(size))


def test_every_column_has_a_key_of_its_own():
    names = [("t", "c"), ("t", "cc"), ("tc", ""), ("", "tc"), ("tt", "c")]
    commitments = {KEY._derive(*name).commitment for name in names}
    assert len(commitments) == len(names)
