"""A linear read-out of hidden states beside the likelihood, learned from the sampled answers (beyond the paper)."""

from aspire_llm.methods.answer_set import AnswerSet
from aspire_llm.selection import Part


def score(answers: AnswerSet) -> list[float]:
    """Log-odds of a correct answer."""
    return answers.scored_by(Part.STATES)
