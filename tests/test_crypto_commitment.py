"""GCM does not commit to its key: here one ciphertext opens under two. The commitment stops it."""

from uuid import UUID

import pytest
from cryptography.hazmat.primitives.ciphers import Cipher
from cryptography.hazmat.primitives.ciphers.algorithms import AES
from cryptography.hazmat.primitives.ciphers.modes import ECB

from core.crypto.envelope import SUITE, Cell, DataKey, DecryptError, Place
from core.crypto.primitives import KEY_BYTES, expand, lp

PLACE = Place("medical_record", "summary", UUID(int=1), UUID(int=2))
NONCE = bytes(12)
FIRST, SECOND = (DataKey(7, 1, bytes([n]) * 32) for n in (1, 2))


def _times(x: int, y: int) -> int:
    """Multiply in GCM's GF(2^128), most significant bit first."""
    product = 0
    for bit in range(127, -1, -1):
        product ^= y if x >> bit & 1 else 0
        y = y >> 1 ^ (0xE1 << 120 if y & 1 else 0)
    return product


def _inverse(x: int) -> int:
    """x^(2^128 - 2)."""
    result, square = 1 << 127, _times(x, x)
    for _ in range(127):
        result, square = _times(result, square), _times(square, square)
    return result


def _block(key: bytes, block: bytes) -> int:
    encryptor = Cipher(AES(key), ECB()).encryptor()  # noqa: S305  one bare block, to attack with
    return int.from_bytes(encryptor.update(block), "big")


def _tag(key: bytes, aad: bytes, block: int) -> int:
    """GCM's tag over one ciphertext block, from the definition."""
    padded = aad + bytes(-len(aad) % 16)
    blocks = [int.from_bytes(padded[at : at + 16], "big") for at in range(0, len(padded), 16)]
    hashed, subkey = 0, _block(key, bytes(16))
    for each in (*blocks, block, 8 * len(aad) << 64 | 128):
        hashed = _times(hashed ^ each, subkey)
    return hashed ^ _block(key, NONCE + b"\0\0\0\1")


def _column_key(key: DataKey) -> bytes:
    info = lp("confide/field/v1", PLACE.table, PLACE.column)
    return expand(key._secret, info, 2 * KEY_BYTES)[:KEY_BYTES]


def _salamander() -> Cell:
    """Solve for the one block whose tag is the same under both keys; it carries the first's commitment."""
    header = SUITE + b"\7" + (7).to_bytes(8, "big")
    column, keys = FIRST._column(PLACE), [_column_key(FIRST), _column_key(SECOND)]
    aad = FIRST._aad(header, column, PLACE)
    squares = [_times(subkey, subkey) for subkey in (_block(key, bytes(16)) for key in keys)]
    gap = _tag(keys[0], aad, 0) ^ _tag(keys[1], aad, 0)
    block = _times(gap, _inverse(squares[0] ^ squares[1]))
    box = block.to_bytes(16, "big") + _tag(keys[0], aad, block).to_bytes(16, "big")
    return Cell(header + NONCE + column.commitment + box)


def test_a_ciphertext_made_for_two_keys_opens_under_the_one_it_is_committed_to_only():
    cell = _salamander()
    with pytest.raises(DecryptError, match=r"^auth"):
        SECOND.open(PLACE, cell)
    assert len(FIRST.open(PLACE, cell)) == 16


def test_the_two_key_ciphertext_is_a_real_one_that_bare_gcm_opens_under_both():
    cell = _salamander()
    aad = FIRST._aad(cell[:12], FIRST._column(PLACE), PLACE)
    plaintexts = {
        key._column(PLACE).cipher.decrypt(NONCE, cell[56:], aad) for key in (FIRST, SECOND)
    }
    assert len(plaintexts) == 2
