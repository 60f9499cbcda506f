"""Do the other beams say the same? What decoding has found anyway, weighed by its probability (beyond the paper).

Two answers agree where the words of one, in SQuAD's normal form, stand in a row within the other, as "Paris" does
within "in Paris, France". Free cousins of semantic entropy (Kuhn et al., 2023): nothing is drawn, no model compares.
"""

import math
from collections.abc import Sequence
from functools import lru_cache

from aspire_llm.correctness import normal_words
from aspire_llm.records import SampledAnswer


def agree(text: str, other: str) -> bool:
    """Whether one text holds the words of the other in a row; texts without a word agree where they are equal.

    >>> agree("Paris", "in Paris, France")
    True
    """
    ours, theirs = _normal_form(text), _normal_form(other)
    if not (ours.strip() and theirs.strip()):
        return text.strip() == other.strip()
    return ours in theirs or theirs in ours


def log_agreement_mass(answer: SampledAnswer, beams: Sequence[SampledAnswer]) -> float:
    """log of the share that the beams which agree with the answer have in the probability of all; in nats, at most 0.

    Args:
        answer: One of the beams.
        beams: Hypotheses of its question.
    """
    agreeing = [beam for beam in beams if agree(answer.text, beam.text)]
    return min(0.0, _log_sum(agreeing) - _log_sum(beams))


def log_margin(answer: SampledAnswer, beams: Sequence[SampledAnswer]) -> float:
    """Log-probability of the answer less that of the likeliest beam that disagrees, in nats.

    Where all agree, whatever disagrees is less likely than the least likely beam, which then stands for it.

    Args:
        answer: One of the beams.
        beams: Hypotheses of its question.
    """
    others = [beam.sequence_log_probability for beam in beams if not agree(answer.text, beam.text)]
    rival = max(others) if others else min(beam.sequence_log_probability for beam in beams)
    return answer.sequence_log_probability - rival


@lru_cache(maxsize=100_000)  # each beam is compared with every other
def _normal_form(text: str) -> str:
    """The words of a text with a space around each."""
    return f" {' '.join(normal_words(text))} "


def _log_sum(beams: Sequence[SampledAnswer]) -> float:
    """log Σ p, without leaving log space."""
    scores = [beam.sequence_log_probability for beam in beams]
    highest = max(scores)
    return highest + math.log(sum(math.exp(score - highest) for score in scores))
