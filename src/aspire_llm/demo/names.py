"""Invented proper names, put together from syllables; equal random states give equal names."""

import random
from collections.abc import Sequence

ONSETS = ("b", "br", "d", "dr", "f", "g", "gr", "h", "k", "kr", "l", "m", "n", "p", "r", "s", "st", "t", "tr", "v", "z")
VOWELS = ("a", "e", "i", "o", "u")
CODAS = ("", "", "l", "n", "r", "s", "k", "m")

GIVEN_ENDINGS = ("a", "an", "el", "en", "i", "in", "is", "o", "or", "us")
SURNAME_ENDINGS = ("ack", "arn", "eck", "ell", "ick", "ing", "old", "olm", "oss", "ov", "und", "urst")
CITY_ENDINGS = ("avik", "burg", "dal", "ford", "ham", "mar", "port", "stad")
COMPANY_ENDINGS = ("ane", "ex", "io", "ix", "on", "um")
COUNTRY_ENDINGS = ("avia", "ania", "onia", "uria")
RIVER_ENDINGS = ("e", "esse", "ine", "une")


class NameMaker:
    """Draws names that differ from each other and from every name drawn before.

    Args:
        rng: The source of randomness.
    """

    def __init__(self, rng: random.Random) -> None:
        self._rng = rng
        self._used: set[str] = set()

    def draw(self, endings: Sequence[str], syllables: int = 1) -> str:
        """One new name: `syllables` syllables, an onset and one of the endings."""
        while True:
            name = self._compose(endings, syllables)
            if name not in self._used:
                self._used.add(name)
                return name

    def _compose(self, endings: Sequence[str], syllables: int) -> str:
        rng = self._rng
        stem = "".join(rng.choice(ONSETS) + rng.choice(VOWELS) + rng.choice(CODAS) for _ in range(syllables))
        joint = "" if stem[-1] not in "aeiou" and rng.random() < 0.5 else rng.choice("lmnrtv")
        return (stem + joint + rng.choice(endings)).capitalize()
