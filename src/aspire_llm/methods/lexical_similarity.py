"""Lexical similarity: do the model's answers look alike? (Fomicheva et al., 2020; Kuhn et al., 2023, as a baseline)"""

from collections.abc import Sequence
from itertools import combinations

import numpy as np

from aspire_llm.correctness import rouge_l
from aspire_llm.methods.answer_set import AnswerSet


def lexical_similarity(texts: Sequence[str]) -> float:
    """Mean Rouge-L F over all pairs of drawn answers, 0 to 1; 1 for a single one."""
    pairs = list(combinations(texts, 2))
    return float(np.mean([similarity(a, b) for a, b in pairs])) if pairs else 1.0


def similarity(text: str, other: str) -> float:
    """Rouge-L F; equal texts are similar also where nothing of them is a word."""
    return 1.0 if text == other else rouge_l(text, [other])


def score(answers: AnswerSet) -> list[float]:
    """Mean similarity, 0 to 1."""
    return [lexical_similarity([sample.text for sample in samples]) for samples in answers.samples]
