"""What is said to whoever asked where an answer is withheld, in the language of the question."""

from collections.abc import Sequence
from typing import Annotated

import regex  # type: ignore[import-untyped]
from pydantic import StringConstraints

from aspire_llm.data_config import Section
from aspire_llm.records import ABSTENTION

Text = Annotated[str, StringConstraints(strip_whitespace=True, min_length=1)]

# The scripts that a language is told by. Equal counts are those of a text in Han characters alone: Chinese comes first.
_SCRIPTS = {
    "ar": ("Arabic",),
    "el": ("Greek",),
    "he": ("Hebrew",),
    "hi": ("Devanagari",),
    "ko": ("Hangul",),
    "ru": ("Cyrillic",),
    "th": ("Thai",),
    "zh": ("Han", "Bopomofo"),
    "ja": ("Han", "Hiragana", "Katakana"),
}


def _letters(scripts: Sequence[str]) -> "regex.Pattern[str]":
    """A letter of any of some scripts."""
    named = "".join(rf"\p{{Script={name}}}" for name in scripts)
    return regex.compile(rf"(?V1)[\p{{L}}&&[{named}]]")


_LETTER = regex.compile(r"\p{L}")
_LETTERS = {language: _letters(scripts) for language, scripts in _SCRIPTS.items()}
_LEAST_SHARE = (
    1 / 3
)  # of the letters: "iPhone 15 Pro는 언제 나왔나요?" is Korean, "What does 東京 mean?" is not Japanese


class AbstentionConfig(Section):
    """The text of an abstention: `default`, or that of the language that a question is in, where one is given.

    Languages are told by their script, see `language_of`; texts change nothing that a run computes or stores.
    """

    default: Text = ABSTENTION
    ar: Text | None = None
    el: Text | None = None
    he: Text | None = None
    hi: Text | None = None
    ja: Text | None = None
    ko: Text | None = None
    ru: Text | None = None
    th: Text | None = None
    zh: Text | None = None

    def text_for(self, question: str) -> str:
        """What is said where the answer to a question is withheld.

        >>> AbstentionConfig(ko="모르겠습니다").text_for("피아노는 어디에서 만들었나요?")
        '모르겠습니다'
        """
        texts: dict[str | None, str | None] = {language: getattr(self, language) for language in _SCRIPTS}
        language = language_of(question)
        if language == "zh" and self.zh is None:
            language = "ja"  # which is also written in Han characters alone
        return texts.get(language) or self.default


def language_of(text: str) -> str | None:
    """The language whose script most letters of a text are of, and at least a third; None for any other.

    Scripts that several languages share count as one of them: Cyrillic as Russian, Devanagari as Hindi, Arabic letters
    as Arabic; Han characters as Japanese beside Kana, else as Chinese. Latin letters tell no language.
    """
    counts = {language: len(letters.findall(text)) for language, letters in _LETTERS.items()}
    language = max(counts, key=counts.__getitem__)
    total = len(_LETTER.findall(text))
    return language if total and counts[language] >= _LEAST_SHARE * total else None
