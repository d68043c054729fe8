import hmac
import pickle
from datetime import UTC, date, datetime

import pytest
from hypothesis import given
from hypothesis import strategies as st

from core.crypto.blind_index import IndexKey, normal_code, normal_date, normal_text
from core.crypto.primitives import lp

SECRET = bytes(range(32))
KEY = IndexKey(SECRET)
PARTS = st.lists(st.text(max_size=3), max_size=3)
NAMES = st.tuples(*[st.text("ab", max_size=2)] * 3)


def _bits(token: bytes) -> str:
    return "".join(f"{byte:08b}" for byte in token)


@pytest.mark.parametrize("bits", [-1, 0, 129, 256])
def test_a_token_of_no_bits_or_more_than_fit_the_column_is_refused(bits: int):
    with pytest.raises(ValueError, match="1 to 128 bits"):
        KEY.token("patient", "name", "last", ["x"], bits)


def test_an_index_key_never_leaves_the_process_nor_shows_itself():
    with pytest.raises(TypeError, match="IndexKey"):
        pickle.dumps(KEY)
    assert not hasattr(KEY, "__dict__")
    with pytest.raises(ValueError, match="32 bytes"):
        IndexKey(bytes(16))


@given(NAMES, PARTS, NAMES, PARTS)
def test_only_the_same_parts_in_the_same_index_share_a_token(
    names: tuple[str, str, str], parts: list[str], others: tuple[str, str, str], more: list[str]
):
    same = KEY.token(*names, parts, 128) == KEY.token(*others, more, 128)
    assert same == ((names, parts) == (others, more))


@given(PARTS, st.integers(1, 128))
def test_a_shorter_token_is_the_beginning_of_the_longer_one_with_zeros_behind(
    parts: list[str], bits: int
):
    whole, token = (KEY.token("patient", "name", "last", parts, n) for n in (128, bits))
    assert len(token) == -(-bits // 8)
    assert _bits(token) == _bits(whole)[:bits].ljust(8 * len(token), "0")


def test_a_token_is_the_hmac_of_the_format():
    key = hmac.digest(SECRET, lp("confide/bidx/v1", "patient", "name", "last") + b"\1", "sha256")
    tag = hmac.digest(key, b"\0\3ann\0\1b", "sha256")
    assert KEY.token("patient", "name", "last", ["ann", "b"], 128) == tag[:16]
    assert KEY.token("patient", "name", "last", ["ann", "b"], 14) == bytes([tag[0], tag[1] & 0xFC])


def test_another_root_key_gives_other_tokens():
    index = "patient", "name", "last", ["ann"]
    assert IndexKey(bytes(32)).token(*index, 128) != KEY.token(*index, 128)


@pytest.mark.parametrize(
    "spellings",
    [
        ["O'Brien", "OBRIEN", "o\u2019brien ", "O Brien"],
        ["Müller", "Mu\u0308ller", "MULLER", "muller"],
        ["Smith-Jones", "smith jones", "SmithJones"],
        ["Łukasz Ðorđe", "lukasz dorde"],
        ["STRASSE", "straße"],
        ["İlker", "ilker", "\u0131lker", "ILKER"],
        ["\uff21\uff42\uff43", "abc"],
        ["ﬁsher", "Fisher"],
    ],
)
def test_spellings_of_one_name_are_found_alike(spellings: list[str]):
    assert len(set(map(normal_text, spellings))) == 1


def test_different_names_stay_different():
    assert normal_text("Nguyễn") != normal_text("Nguyen Van")
    assert normal_text("陳大文") == "陳大文"


@given(st.text())
def test_normal_text_is_normal_already_and_blind_to_case(text: str):
    once = normal_text(text)
    assert normal_text(once) == once
    assert once == "" or once.isalnum()


@given(st.text())
def test_a_normal_code_is_normal_already(text: str):
    assert normal_code(normal_code(text)) == normal_code(text)


def test_a_code_keeps_letters_and_digits_in_upper_case():
    assert normal_code(" mrn-00 12/ab\uff11") == "MRN0012AB1"


def test_a_day_is_an_iso_date_with_or_without_a_time():
    assert normal_date(date(987, 6, 5)) == "0987-06-05"
    assert normal_date(datetime(1980, 1, 2, 23, 59, tzinfo=UTC)) == "1980-01-02"
