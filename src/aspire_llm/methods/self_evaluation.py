"""The learned self-evaluation alone (Chen et al., 2023, §4.3)."""

from aspire_llm.methods.answer_set import AnswerSet
from aspire_llm.selection import AspireScore


def score(answers: AnswerSet) -> list[float]:
    """log P(z_c)."""
    verdict_alone = AspireScore(alpha=1.0)
    return [verdict_alone.score(prediction.scored.evidence) for prediction in answers.predictions]
