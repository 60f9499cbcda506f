"""ASPIRE's selection score, as predictions hold it (Chen et al., 2023, §4.4)."""

from aspire_llm.methods.answer_set import AnswerSet


def score(answers: AnswerSet) -> list[float]:
    """g = (1 − α)·log-likelihood + α·log P(z_c)."""
    return [prediction.scored.selection_score for prediction in answers.predictions]
