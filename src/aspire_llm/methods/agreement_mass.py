"""The probability of the beams that agree with the answer, in that of all (beyond the paper)."""

from aspire_llm.methods.answer_set import AnswerSet
from aspire_llm.selection import Part


def score(answers: AnswerSet) -> list[float]:
    """Its logarithm."""
    return answers.scored_by(Part.AGREEMENT)
