"""How much likelier the answer is than the likeliest beam that disagrees (beyond the paper)."""

from aspire_llm.methods.answer_set import AnswerSet
from aspire_llm.selection import Part


def score(answers: AnswerSet) -> list[float]:
    """The difference of log-probabilities."""
    return answers.scored_by(Part.MARGIN)
