"""The learned self-evaluation alone (Chen et al., 2023, §4.3)."""

from aspire_llm.methods.answer_set import AnswerSet
from aspire_llm.selection import AspireScore


def score(answers: AnswerSet) -> list[float]:
    """log P(z_c)."""
    return answers.scored_by(AspireScore(alpha=1.0))
