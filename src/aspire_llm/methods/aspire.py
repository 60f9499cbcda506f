"""ASPIRE's selection score (Chen et al., 2023, §4.4)."""

from aspire_llm.methods.answer_set import AnswerSet
from aspire_llm.selection import AspireScore


def score(answers: AnswerSet) -> list[float]:
    """g = (1 − α)·log-likelihood + α·log P(z_c)."""
    return answers.scored_by(AspireScore(answers.config.score.alpha))
