"""ASPIRE's own scores, as predictions hold them (Chen et al., 2023, §4.3 and §4.4)."""

from aspire_llm.methods.answer_set import AnswerSet
from aspire_llm.methods.method import Method, Needs

SOURCE = "Chen et al., 2023"


def _aspire(answers: AnswerSet) -> list[float]:
    """g = (1 − α)·log-likelihood + α·log P(z_c)."""
    return [line["selection_score"] for line in answers.lines]


def _self_evaluation(answers: AnswerSet) -> list[float]:
    """log P(z_c) alone."""
    return [line["log_self_eval"] for line in answers.lines]


ASPIRE = Method("aspire", SOURCE, _aspire, Needs.VERDICT)
SELF_EVALUATION = Method("self_evaluation", SOURCE, _self_evaluation, Needs.VERDICT)
