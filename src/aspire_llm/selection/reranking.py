"""Which of the likeliest beams to answer with, when a score knows more than their likelihood (beyond the paper)."""

from dataclasses import replace

from aspire_llm.errors import ModelError
from aspire_llm.records import Evidence
from aspire_llm.selection.parts import Part
from aspire_llm.selection.score import Scoring


def reranked(evidence: Evidence, scoring: Scoring, candidates: int) -> Evidence:
    """What is known of the beam that a score ranks first among the likeliest ones; of equals the likelier.

    Args:
        evidence: Of the likeliest answer, with all beams.
        scoring: Takes nothing that is known of the likeliest answer alone: no verdict.
        candidates: How many of the beams may be the answer; with 1 it stays the likeliest.

    Raises:
        ModelError: The score takes something that is not known of the beams.
    """
    others = evidence.beams[1:candidates]
    if others and Part.STATES in scoring.needs and len(evidence.beam_states) < len(evidence.beams):
        raise ModelError(
            "score.candidates takes the states of every beam, and an earlier version stored those of the likeliest "
            "alone; set score.candidates to 1, or make the run again (--fresh)"
        )
    states = evidence.beam_states[1:candidates] or (None,) * len(others)
    known = [
        replace(evidence, answer=beam, states=own, log_self_eval=None) for beam, own in zip(others, states, strict=True)
    ]
    return max([evidence, *known], key=scoring.score) if known else evidence
