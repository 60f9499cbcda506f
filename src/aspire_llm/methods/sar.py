"""SAR: tokens and answers count by their relevance (Duan et al., 2024, "Shifting Attention to Relevance").

A token is relevant when the answer without it means something else; an answer is when other answers mean the same.
Similarity of meaning is the NLI model's where `rivals.nli_model` names one, with the question before both texts as in
the paper. Without one it is Rouge-L of the answers alone: words of the question would be in both and make all alike.
"""

from collections.abc import Callable, Sequence
from functools import partial

import numpy as np
from numpy.typing import NDArray

from aspire_llm.methods.answer_set import AnswerSet
from aspire_llm.methods.entailment import EntailmentModel
from aspire_llm.methods.lexical_similarity import similarity
from aspire_llm.records import DrawnAnswer

TEMPERATURE = 0.001  # t of the paper
Similarities = Callable[[str, Sequence[tuple[str, str]]], Sequence[float]]  # of pairs of answers to a question


def token_sar(log_probs: NDArray[np.float64], relevance: NDArray[np.float64]) -> float:
    """Σ_i R̃_i · (−log p_i) with R̃ = R / Σ R; the mean where no token is relevant. In nats."""
    total = relevance.sum()
    weights = relevance / total if total > 0 else np.full(len(relevance), 1 / len(relevance))
    return float(-(weights * log_probs).sum())


def sar(token_scores: NDArray[np.float64], similarities: NDArray[np.float64]) -> float:
    """−(1/m) Σ_j log(p_j + Σ_{k≠j} g(j, k) p_k / t) with p = exp(−token SAR).

    Args:
        token_scores: Token SAR of each answer, `[m]`.
        similarities: g of each pair, `[m, m]`; the diagonal does not count.
    """
    probabilities = np.exp(-token_scores)
    others = similarities - np.diag(np.diag(similarities))
    return float(-np.log(probabilities + others @ probabilities / TEMPERATURE).mean())


def score(answers: AnswerSet) -> list[float]:
    """Minus SAR."""
    with answers.offline():
        decode, name = answers.source.encoder.decode, answers.config.rivals.nli_model
        compare = _symmetric(EntailmentModel(name, answers.source.model.backbone.device)) if name else _lexical
    return [
        -_of_question(samples, decode, partial(compare, question.question))
        for question, samples in zip(answers.questions, answers.samples, strict=True)
    ]


def _of_question(
    samples: Sequence[DrawnAnswer],
    decode: Callable[[Sequence[int]], str],
    compare: Callable[[Sequence[tuple[str, str]]], Sequence[float]],
) -> float:
    token_scores = np.zeros(len(samples))
    for j, sample in enumerate(samples):
        ids = sample.token_ids
        without = [(sample.text, decode([*ids[:i], *ids[i + 1 :]])) for i in range(len(ids))]
        relevance = np.zeros(len(sample.log_probs))  # the terminator means nothing
        relevance[: len(ids)] = 1 - np.asarray(compare(without))
        token_scores[j] = token_sar(np.asarray(sample.log_probs), relevance)
    pairs = [(a.text, b.text) for a in samples for b in samples]
    return sar(token_scores, np.reshape(compare(pairs), (len(samples), len(samples))))


def _lexical(_question: str, pairs: Sequence[tuple[str, str]]) -> list[float]:
    return [similarity(a, b) for a, b in pairs]


def _symmetric(model: EntailmentModel) -> Similarities:
    def compare(question: str, pairs: Sequence[tuple[str, str]]) -> list[float]:
        full = [(f"{question} {a}", f"{question} {b}") for a, b in pairs]
        there, back = model.probabilities(full), model.probabilities([(b, a) for a, b in full])
        return [(a + b) / 2 for a, b in zip(there, back, strict=True)]

    return compare
