"""Semantic entropy without an NLI model: answers mean the same when SQuAD's normal form says so (after Kuhn et al.)."""

from aspire_llm.correctness import exact_match
from aspire_llm.methods.answer_set import AnswerSet
from aspire_llm.methods.semantic_entropy import classes, semantic_entropy


def score(answers: AnswerSet) -> list[float]:
    """Minus the entropy over classes of equal answers, in nats."""
    scores = []
    for samples in answers.samples:
        texts = [sample.text for sample in samples]
        scores.append(-semantic_entropy(samples, classes(len(texts), lambda i, j, own=texts: _equal(own[i], own[j]))))  # type: ignore[misc]
    return scores


def _equal(text: str, other: str) -> bool:
    return text == other or exact_match(text, [other])
