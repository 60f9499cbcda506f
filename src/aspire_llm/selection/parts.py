"""The parts of a fused score: single numbers that say how sure to be of an answer (beyond the paper)."""

import math
from collections.abc import Callable
from enum import StrEnum

from aspire_llm.errors import ModelError
from aspire_llm.records import Evidence
from aspire_llm.selection.agreement import log_agreement_mass, log_margin

_LARGEST_LOG_ODDS = 30.0  # beyond, a probability is 0 or 1 in float64


class Part(StrEnum):
    """What each says of an answer; higher = more confident, but for the length, of which that is not known."""

    MEAN = "mean_log_likelihood"
    SUM = "sequence_log_probability"
    AGREEMENT = "log_agreement_mass"
    MARGIN = "log_margin"
    LENGTH = "num_tokens"
    STATES = "states"
    VERDICT = "verdict"

    @property
    def is_learned(self) -> bool:
        """Whether it is learned from labelled answers, and costs something at inference."""
        return self in (Part.STATES, Part.VERDICT)

    def of(self, evidence: Evidence) -> float:
        """The number for an answer.

        Raises:
            ModelError: The evidence lacks it.
        """
        value = _PARTS[self](evidence)
        if value is None:
            raise ModelError(f"the score takes {self}, which is not known of this answer")
        return value


def _verdict(evidence: Evidence) -> float | None:
    """Log-odds of z_c against z_w."""
    if evidence.log_self_eval is None:
        return None
    against = -math.expm1(evidence.log_self_eval)  # P(z_w)
    log_odds = evidence.log_self_eval - math.log(against) if against > 0.0 else _LARGEST_LOG_ODDS
    return max(-_LARGEST_LOG_ODDS, min(_LARGEST_LOG_ODDS, log_odds))


_PARTS: dict[Part, Callable[[Evidence], float | None]] = {
    Part.MEAN: lambda evidence: evidence.answer.log_likelihood,
    Part.SUM: lambda evidence: evidence.answer.sequence_log_probability,
    Part.AGREEMENT: lambda evidence: log_agreement_mass(evidence.answer, evidence.beams) if evidence.beams else None,
    Part.MARGIN: lambda evidence: log_margin(evidence.answer, evidence.beams) if evidence.beams else None,
    Part.LENGTH: lambda evidence: float(evidence.answer.num_tokens),
    Part.STATES: lambda evidence: evidence.states,
    Part.VERDICT: _verdict,
}
