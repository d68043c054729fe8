"""Data keys in memory: few, and for minutes. The cache saves an unwrapping; it never says that a key is valid."""

from collections import OrderedDict
from time import monotonic
from typing import Final

from core.crypto.envelope import DataKey

ENTRIES: Final = 4096
SECONDS: Final = 300.0


class KeyCache:
    """Least recently used first out; nothing older than five minutes."""

    def __init__(self) -> None:
        self._keys: OrderedDict[int, tuple[float, DataKey]] = OrderedDict()

    def get(self, key_id: int) -> DataKey | None:
        """Return a key that is still fresh."""
        entry = self._keys.get(key_id)
        if entry is None:
            return None
        if monotonic() - entry[0] > SECONDS:
            del self._keys[key_id]
            return None
        self._keys.move_to_end(key_id)
        return entry[1]

    def put(self, key_id: int, key: DataKey) -> DataKey:
        """Keep a key, and return it."""
        self._keys[key_id] = (monotonic(), key)
        if len(self._keys) > ENTRIES:
            self._keys.popitem(last=False)
        return key

    def clear(self) -> None:
        """Forget every key."""
        self._keys.clear()
