"""The fused score without what is learned (states, verdict): a control for what learning adds (beyond the paper)."""

from aspire_llm.methods.answer_set import AnswerSet
from aspire_llm.methods.fused import fused_scores
from aspire_llm.selection import Part


def score(answers: AnswerSet) -> list[float]:
    """Log-odds of a correct answer by likelihoods, length and the agreement of the beams."""
    return fused_scores(answers, [part for part in Part if not part.is_learned])
