"""Which texts were met before, in a few bytes a text however long it is."""

import hashlib
from array import array


class HashSet:
    """Texts by their 64-bit hashes, in a table that is at most two thirds full: 12 to 24 bytes a text.

    Among n texts, two that differ pass for one with a probability of about n² / 2⁶⁵: 3·10⁻⁸ for a million.
    """

    def __init__(self) -> None:
        self._table, self._count = array("Q", [0]) * 1024, 0

    def add(self, text: str) -> bool:
        """Take note of a text; whether it is new."""
        digest = hashlib.blake2b(text.encode("utf-8", "surrogatepass"), digest_size=8).digest()
        if not self._put(int.from_bytes(digest, "little") or 1):  # 0 marks a free place
            return False
        self._count += 1
        if 3 * self._count > 2 * len(self._table):
            known = self._table
            self._table = array("Q", [0]) * (2 * len(known))
            for key in known:
                if key:
                    self._put(key)
        return True

    def _put(self, key: int) -> bool:
        """Whether a hash was not there yet."""
        place = key % len(self._table)
        while self._table[place] not in (0, key):
            place = (place + 1) % len(self._table)
        is_new = not self._table[place]
        self._table[place] = key
        return is_new
