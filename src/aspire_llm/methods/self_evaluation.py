"""The learned self-evaluation alone, as predictions hold it (Chen et al., 2023, §4.3)."""

from aspire_llm.methods.answer_set import AnswerSet


def score(answers: AnswerSet) -> list[float]:
    """log P(z_c)."""
    return [prediction.scored.log_self_eval for prediction in answers.predictions]
