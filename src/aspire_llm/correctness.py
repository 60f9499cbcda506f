"""How well one answer agrees with the references, and whether it is correct. Higher is better, all in 0 to 1.

An answer or a reference can vanish when it is normalised ("%", "🚁"; "The" for exact match). Then the two are equal
only if their texts are, but for case, compatibility forms, variation selectors ("❤️" is "❤") and white space around
them. An answer of nothing but white space agrees with nothing.
"""

import re
import string
import unicodedata
from collections import Counter
from collections.abc import Callable, Iterable, Sequence
from enum import StrEnum
from functools import lru_cache
from typing import Any

import regex  # type: ignore[import-untyped]

from aspire_llm.errors import DataError
from aspire_llm.records import LabelledAnswer, Question, SampledAnswer

# In scripts written without spaces between words, each letter with its marks is a token; elsewhere a word is. (V1: sets
# of characters can be intersected and subtracted; scx: a script's characters, also those it shares.)
_UNSPACED_SCRIPTS = "".join(
    rf"\p{{scx={name}}}" for name in ["Han", "Hira", "Kana", "Bopo", "Thai", "Laoo", "Khmr", "Mymr"]
)
_UNSPACED = rf"[[\p{{L}}\p{{N}}]&&[{_UNSPACED_SCRIPTS}]]"
# Marks without a letter or digit are no token: "❤️" would be the mark that asks for a coloured heart.
_SPACED = rf"[[\p{{L}}\p{{N}}]--{_UNSPACED}]"
_TOKEN = regex.compile(rf"(?V1){_UNSPACED}\p{{M}}*|\p{{M}}*{_SPACED}(?:{_SPACED}|\p{{M}})*")
_VARIATION = regex.compile(r"\p{Variation_Selector}+")  # which of its forms a character takes, not which one it is
_INVISIBLE = regex.compile(r"[\p{Cf}\p{Variation_Selector}\p{Default_Ignorable_Code_Point}]+")  # joiners, fillers
_ARTICLES = re.compile(r"\b(a|an|the)\b")
_PUNCTUATION = str.maketrans("", "", string.punctuation)


def rouge_l(answer: str, references: Iterable[str]) -> float:
    """Best Rouge-L F over the references; 0 without any.

    F = 2·P·R / (P + R), P = LCS / tokens of the answer, R = LCS / tokens of the reference, where LCS is the length of
    their longest common subsequence of tokens. Tokens are words, casefolded, in compatibility form (NFKC), not stemmed;
    in scripts without spaces between words (Chinese, Japanese, Thai and others) they are characters. On ASCII text
    this is what rouge-score's own tokenizer gives.

    Source: Lin, "ROUGE: A Package for Automatic Evaluation of Summaries" (2004), section 3.1.

    >>> rouge_l("in Paris", ["Paris", "the city of Paris"])
    0.6666666666666666
    """
    return _best(answer, references, _rouge_l_of_pair)


def exact_match(answer: str, references: Iterable[str]) -> bool:
    """Whether the answer equals a reference in SQuAD's normal form: lower case, no ASCII punctuation, no articles.

    Source: the official evaluation script of SQuAD (Rajpurkar et al. 2016).

    >>> exact_match("the Eiffel Tower.", ["Eiffel tower"])
    True
    """
    return _best(answer, references, _exact_match_of_pair) == 1.0


def f1(answer: str, references: Iterable[str]) -> float:
    """Best F1 over the references of the bags of words in SQuAD's normal form (see `exact_match`); 0 without any.

    F1 = 2·P·R / (P + R), P and R the shares of the answer's and of the reference's words that they have in common.

    >>> f1("tower of Paris", ["the Eiffel tower"])
    0.4
    """
    return _best(answer, references, _f1_of_pair)


class Measure(StrEnum):
    """The agreement with the references that is held against a threshold."""

    ROUGE_L = "rouge_l"
    EXACT_MATCH = "exact_match"  # 1 or 0
    F1 = "f1"


def is_correct(
    answer: str, question: Question, rouge_l: float, threshold: float, measure: Measure = Measure.ROUGE_L
) -> bool:
    """Whether the agreement of an answer with the references is strictly above a threshold.

    To an unanswerable question every answer is wrong.

    Args:
        answer: Its text.
        question: With the references.
        rouge_l: The Rouge-L F of the two, which is stored with every answer.
        threshold: On the measure, 0 to 1.
        measure: Of the agreement.
    """
    references = question.references if question.answerable else ()
    match measure:
        case Measure.ROUGE_L:
            agreement = rouge_l
        case Measure.EXACT_MATCH:
            agreement = float(exact_match(answer, references))
        case Measure.F1:
            agreement = f1(answer, references)
    return round(agreement, 12) > threshold  # 14 of 20 words are 0.7, not the 0.7000000000000001 of a float


def rouge_l_of(answer: str, question: Question) -> float:
    """The Rouge-L F of an answer with the references of its question; 0 without any."""
    return rouge_l(answer, question.references if question.answerable else ())


def is_same_answer(one: str, other: str) -> bool:
    """Whether two answers are the same text but for white space around them, or match exactly."""
    return one.strip() == other.strip() or exact_match(one, [other])


def label(
    answer: SampledAnswer, question: Question, threshold: float, measure: Measure = Measure.ROUGE_L
) -> LabelledAnswer:
    """Judge a sampled answer, see `is_correct`.

    To an unanswerable question every answer is wrong, with a Rouge-L of 0.

    Args:
        answer: What the model generated.
        question: With the references.
        threshold: On the measure, 0 to 1.
        measure: Of the agreement with the references.

    Raises:
        DataError: The question is answerable and has no reference: nobody can tell.
    """
    if not question.answerable:
        return LabelledAnswer(answer, rouge_l=0.0, correct=False)
    if not question.references:
        raise DataError(f"the question {question.id!r} has no reference answer to judge by; give one, or only predict")
    score = rouge_l(answer.text, question.references)
    return LabelledAnswer(answer, score, is_correct(answer.text, question, score, threshold, measure))


def normal_words(text: str) -> tuple[str, ...]:
    """The words of a text in SQuAD's normal form: lower case, no ASCII punctuation, no articles."""
    return tuple(_ARTICLES.sub(" ", text.lower().translate(_PUNCTUATION)).split())


def _best(answer: str, references: Iterable[str], compare: Callable[[str, str], float]) -> float:
    best = 0.0
    for reference in references:
        best = max(best, compare(answer, reference))
        if best == 1.0:
            break
    return best


def _rouge_l_of_pair(answer: str, reference: str) -> float:
    if not (_tokenize(answer) and _tokenize(reference)):
        return _same_text(answer, reference)
    return float(_scorer().score(target=reference, prediction=answer)["rougeL"].fmeasure)


def _exact_match_of_pair(answer: str, reference: str) -> float:
    words, expected = normal_words(answer), normal_words(reference)
    return float(words == expected) if words and expected else _same_text(answer, reference)


def _f1_of_pair(answer: str, reference: str) -> float:
    words, expected = normal_words(answer), normal_words(reference)
    if not (words and expected):
        return _same_text(answer, reference)
    common = sum((Counter(words) & Counter(expected)).values())
    return 2 * common / (len(words) + len(expected))


def _same_text(answer: str, reference: str) -> float:
    if answer.strip() == reference.strip():
        return float(bool(answer.strip()))
    one, other = (_VARIATION.sub("", _fold(text)).strip() for text in (answer, reference))
    return float(bool(one) and one == other)


@lru_cache(maxsize=100_000)  # stage 2 compares each reference with every answer of its question
def _tokenize(text: str) -> tuple[str, ...]:
    return tuple(_TOKEN.findall(_INVISIBLE.sub("", _fold(text))))


def _fold(text: str) -> str:
    """Casefolded and in compatibility form, so that "ﬁ", "FI" and "fi", or "é" and "e" + accent, are the same."""
    # Casefolding can leave the normal form, hence the second normalisation.
    return unicodedata.normalize("NFKC", unicodedata.normalize("NFKC", text).casefold())


class _UnicodeTokenizer:
    """What rouge-score calls; its own tokenizer keeps ASCII letters and digits only, so Korean would score 0."""

    def tokenize(self, text: str) -> Sequence[str]:
        return _tokenize(text)


@lru_cache(maxsize=1)
def _scorer() -> Any:
    from rouge_score.rouge_scorer import RougeScorer  # takes over a second to import

    return RougeScorer(["rougeL"], tokenizer=_UnicodeTokenizer())
