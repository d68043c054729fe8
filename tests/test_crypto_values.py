import unicodedata
from datetime import UTC, date, datetime
from decimal import Decimal
from enum import StrEnum
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from core.canonical import canonical
from core.crypto.values import MAX_PLAINTEXT, Value, decode, encode, read
from core.errors import Invalid

SAFE = 2**53 - 1
TEXT = st.text(max_size=200)
JSON = st.recursive(
    st.none()
    | st.booleans()
    | st.integers(-SAFE, SAFE)
    | st.floats(allow_nan=False, allow_infinity=False)
    | TEXT,
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(TEXT, inner, max_size=4),
    max_leaves=10,
)
VALUES = (
    TEXT
    | st.dates()
    | st.integers()
    | st.decimals(allow_nan=False, allow_infinity=False)
    | st.booleans()
    | st.dictionaries(TEXT, JSON, max_size=4)
    | st.lists(JSON, max_size=4)
    | st.binary(max_size=300)
)


@pytest.mark.parametrize(
    "value",
    [
        None,
        1.5,
        datetime(2026, 1, 2, tzinfo=UTC),
        ("canary",),
        {1},
        object(),
        memoryview(b"canary"),
    ],
)
def test_a_type_that_would_not_come_back_is_refused_by_its_name(value: Any):
    with pytest.raises(TypeError) as refusal:
        encode(value)
    assert str(refusal.value) == f"{type(value).__name__} is no type that can be sealed"


@pytest.mark.parametrize(
    "value",
    [
        "canary\ud800",
        {"canary": 2**60},
        {"canary": float("nan")},
        [object()],
        {1: "canary"},
        Decimal("NaN"),
    ],
)
def test_a_value_without_an_encoding_is_refused_without_being_named(value: Any):
    with pytest.raises(ValueError, match=r"^this \w+ cannot be sealed$") as refusal:
        encode(value)
    assert refusal.value.__context__ is None


def test_a_value_over_16_kib_is_refused():
    assert len(encode("x" * MAX_PLAINTEXT)[1]) == MAX_PLAINTEXT
    with pytest.raises(Invalid) as refusal:
        encode("x" * (MAX_PLAINTEXT + 1))
    assert refusal.value.code == "value-too-long"


def test_bytes_that_are_not_of_their_kind_decode_to_none():
    wrong = [
        (1, b"\xff"),
        (2, b"02.01.26"),
        (4, b"many"),
        (6, b"{"),
        (0x81, b"no mark"),
        (0x81, b"\0"),
    ]
    assert [decode(kind, raw) for kind, raw in wrong] == [None] * len(wrong)


@given(VALUES, st.booleans())
def test_any_value_comes_back_as_it_was(value: Value, padded: bool):
    back = decode(*encode(value, padded=padded))
    assert type(back) is type(value)
    assert back == (unicodedata.normalize("NFC", value) if isinstance(value, str) else value)


def test_text_is_sealed_in_its_composed_form_however_it_was_typed():
    assert encode("Mu\u0308ller") == encode("M\u00fcller") == (1, b"M\xc3\xbcller")


@given(VALUES)
def test_what_was_opened_seals_again_to_the_same_bytes(value: Value):
    sealed = encode(value)
    opened = decode(*sealed)
    assert opened is not None
    assert encode(opened) == sealed


@given(st.dictionaries(TEXT, JSON, max_size=4) | st.lists(JSON, max_size=4), st.booleans())
def test_json_left_unread_is_read_sealed_and_signed_as_if_it_had_been_read(value, padded: bool):
    kind, plaintext = encode(value, padded=padded)
    unread = decode(kind, plaintext, unread=True)
    assert read(unread) == value
    assert encode(unread, padded=padded) == (kind, plaintext)
    assert canonical({"part": unread}) == canonical({"part": value})


@given(st.decimals(allow_nan=False, allow_infinity=False))
def test_a_decimal_keeps_its_trailing_zeros(value: Decimal):
    assert str(decode(*encode(value))) == str(value)


def test_an_enum_comes_back_as_the_text_it_equals():
    colour = StrEnum("Colour", ["RED"])
    assert decode(*encode(colour.RED)) == colour.RED


def test_each_type_has_the_type_byte_of_the_format():
    values = ["a", date(2026, 1, 2), 1, Decimal(1), True, {}, [], b"a"]
    assert [encode(value)[0] for value in values] == [1, 2, 3, 4, 5, 6, 6, 7]
    assert encode("a", padded=True)[0] == 0x81


@given(st.integers(0, 2000))
def test_padding_leaves_only_the_bucket_to_see(length: int):
    size = len(encode(b"x" * length, padded=True)[1])
    buckets = [16, 32, 64, 128, 256, *range(512, 4096, 256)]
    assert size == next(bucket for bucket in buckets if bucket > length)
