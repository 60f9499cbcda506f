"""Methods on drawn answers against slow versions written from the papers' formulas, in plain Python."""

import math

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from rouge_score.rouge_scorer import RougeScorer

from aspire_llm.methods.lexical_similarity import lexical_similarity
from aspire_llm.methods.predictive_entropy import predictive_entropy
from aspire_llm.methods.sar import TEMPERATURE, sar, token_sar
from aspire_llm.methods.semantic_entropy import classes, semantic_entropy
from aspire_llm.records import DrawnAnswer

log_probs = st.lists(st.floats(-8, -0.001), min_size=1, max_size=6).map(tuple)
drawn = st.lists(st.tuples(st.sampled_from(["Paris", "paris!", "in Rome", "Rome"]), log_probs), min_size=1, max_size=8)


def answers(pairs) -> list[DrawnAnswer]:
    return [DrawnAnswer(text, (), own) for text, own in pairs]


@given(drawn)
def test_predictive_entropy(pairs) -> None:
    expected = sum(-sum(own) / len(own) for _, own in pairs) / len(pairs)
    assert predictive_entropy(answers(pairs)) == pytest.approx(expected)


@given(drawn)
def test_semantic_entropy(pairs) -> None:
    meaning = {"Paris": "paris", "paris!": "paris", "in Rome": "in rome", "Rome": "rome"}
    found = classes(len(pairs), lambda i, j: meaning[pairs[i][0]] == meaning[pairs[j][0]])
    by_meaning: dict[str, float] = {}
    for text, own in pairs:
        by_meaning[meaning[text]] = by_meaning.get(meaning[text], 0.0) + math.exp(sum(own) / len(own))
    expected = -sum(math.log(p) for p in by_meaning.values()) / len(by_meaning)
    assert semantic_entropy(answers(pairs), found) == pytest.approx(expected, abs=1e-9)


def test_classes_are_greedy_and_in_order() -> None:
    near = {(0, 2), (2, 3)}  # 3 is like 2, but 2 joined 0's class, whose first member it is not like
    assert classes(4, lambda i, j: (i, j) in near) == [0, 1, 0, 2]


def test_one_meaning_is_less_uncertain_than_many() -> None:
    pairs = [("a", (-1.0,)), ("b", (-1.0,)), ("c", (-1.0,))]
    together = semantic_entropy(answers(pairs), [0, 0, 0])
    assert together == pytest.approx(1.0 - math.log(3))
    assert semantic_entropy(answers(pairs), [0, 1, 2]) == pytest.approx(1.0)


@given(st.lists(st.sampled_from(["the old piano", "an old piano", "piano", "a violin of old"]), min_size=2, max_size=6))
def test_lexical_similarity_is_rouge_s_own(texts: list[str]) -> None:
    scorer = RougeScorer(["rougeL"])
    scores = [scorer.score(a, b)["rougeL"].fmeasure for i, a in enumerate(texts) for b in texts[i + 1 :]]
    assert lexical_similarity(texts) == pytest.approx(sum(scores) / len(scores))


def test_similarity_of_a_single_answer_and_of_no_words() -> None:
    assert lexical_similarity(["Paris"]) == 1.0
    assert lexical_similarity(["?!", "?!"]) == 1.0
    assert lexical_similarity(["", "Paris"]) == 0.0


@given(st.lists(st.tuples(st.floats(-8, -0.001), st.just(0.0) | st.floats(1e-6, 1)), min_size=1, max_size=6))
def test_token_sar(pairs) -> None:
    total = sum(relevance for _, relevance in pairs)
    if total > 0:
        expected = sum(-p * relevance / total for p, relevance in pairs)
    else:
        expected = sum(-p for p, _ in pairs) / len(pairs)
    assert token_sar(np.array([p for p, _ in pairs]), np.array([r for _, r in pairs])) == pytest.approx(expected)


@given(st.lists(st.floats(0.01, 5), min_size=1, max_size=5), st.integers(0, 99))
def test_sar(token_scores: list[float], seed: int) -> None:
    m = len(token_scores)
    g = np.random.default_rng(seed).random((m, m))
    total = 0.0
    for j in range(m):
        support = sum(g[j, k] * math.exp(-token_scores[k]) for k in range(m) if k != j)
        total += -math.log(math.exp(-token_scores[j]) + support / TEMPERATURE)
    assert sar(np.array(token_scores), g) == pytest.approx(total / m)
