"""Which of the likeliest beams to answer with, when a score knows more than their likelihood (beyond the paper)."""

from collections.abc import Sequence
from dataclasses import replace

from aspire_llm.correctness import label
from aspire_llm.records import Evidence, Prediction
from aspire_llm.selection.parts import Part
from aspire_llm.selection.score import Scoring


def reranked(evidence: Evidence, scoring: Scoring, candidates: int) -> Evidence:
    """What is known of the beam that a score ranks first among the likeliest ones; of equals the likelier.

    Args:
        evidence: Of the likeliest answer, with all beams.
        scoring: Takes nothing that is known of one answer alone: no verdict.
        candidates: How many of the beams may be the answer.

    Raises:
        ModelError: The score takes something that is not known of the beams.
    """
    states = evidence.beam_states or (None,) * len(evidence.beams)
    known = [
        replace(evidence, answer=beam, states=own, log_self_eval=None)
        for beam, own in zip(evidence.beams[:candidates], states[:candidates], strict=True)
    ]
    best = max(known, key=scoring.score)
    return evidence if best.answer == evidence.answer else best


def reranked_correct(
    predictions: Sequence[Prediction], scoring: Scoring, candidates: int, threshold: float
) -> list[bool] | None:
    """Whether each question would be answered rightly by the beam that the score ranks first.

    Args:
        predictions: With references.
        scoring: That ranks.
        candidates: How many of the beams may be the answer.
        threshold: Rouge-L F above which (strictly) an answer is correct.

    Returns:
        None where the score takes the verdict, which is known of the likeliest answer alone.
    """
    if Part.VERDICT in scoring.needs:
        return None
    chosen = [reranked(own.scored.evidence, scoring, candidates).answer for own in predictions]
    return [
        bool(own.correct) if answer == own.sampled else label(answer, own.question, threshold).correct
        for own, answer in zip(predictions, chosen, strict=True)
    ]
