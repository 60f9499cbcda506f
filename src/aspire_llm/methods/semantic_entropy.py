"""Semantic entropy: the entropy over meanings rather than texts (Kuhn, Gal & Farquhar, 2023).

Answers that mean the same form a class. Kuhn et al. ask an NLI model whether each entails the other, with the question
before both.
"""

from collections.abc import Callable, Sequence

import numpy as np
from scipy.special import logsumexp

from aspire_llm.methods.answer_set import AnswerSet
from aspire_llm.methods.entailment import EntailmentModel
from aspire_llm.records import DrawnAnswer, Question

Same = Callable[[int, int], bool]


def classes(count: int, same: Same) -> list[int]:
    """The class of each of `count` answers: that of the first answer that begins a class and is the `same`, greedily
    in order (Kuhn et al., algorithm 1)."""
    first: list[int] = []  # the answer that began each class
    found = []
    for i in range(count):
        index = next((c for c, begun in enumerate(first) if same(begun, i)), len(first))
        if index == len(first):
            first.append(i)
        found.append(index)
    return found


def semantic_entropy(samples: Sequence[DrawnAnswer], found: Sequence[int]) -> float:
    """−(1/C) Σ_c log p(c | x) with p(c | x) = Σ_{s in c} f_norm(s | x), in nats (Kuhn et al., equation 4).

    Args:
        samples: Drawn answers; f_norm is the likelihood normalised for length, as they use it.
        found: The class of each.
    """
    log_probs = np.array([sample.mean_log_prob for sample in samples])
    members = np.asarray(found)
    return -float(np.mean([logsumexp(log_probs[members == index]) for index in range(max(found) + 1)]))


def score(answers: AnswerSet) -> list[float]:
    """Minus the entropy over classes of answers that entail each other, in nats."""
    with answers.offline():
        model = EntailmentModel(str(answers.config.rivals.nli_model), answers.source.model.backbone.device)
    scores = []
    for question, samples in zip(answers.questions, answers.samples, strict=True):
        means_same = _bidirectional(model, question, sorted({sample.text for sample in samples}))
        found = classes(
            len(samples),
            lambda i, j, own=samples, table=means_same: table(own[i].text, own[j].text),  # type: ignore[misc]
        )
        scores.append(-semantic_entropy(samples, found))
    return scores


def _bidirectional(model: EntailmentModel, question: Question, texts: Sequence[str]) -> Callable[[str, str], bool]:
    """Whether two of the texts entail each other as answers to the question; all pairs are asked in one batch."""
    pairs = [(a, b) for a in texts for b in texts if a != b]
    full = [(f"{question.question} {a}", f"{question.question} {b}") for a, b in pairs]
    entails = dict(zip(pairs, model.entails(full), strict=True))
    return lambda a, b: a == b or (entails[a, b] and entails[b, a])
