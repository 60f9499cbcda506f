"""Log-probability of the whole answer: it comes with the answer's own decoding (Hendrycks & Gimpel, 2017)."""

from aspire_llm.methods.answer_set import AnswerSet


def score(answers: AnswerSet) -> list[float]:
    """Summed log-probability: the maximum sequence probability."""
    return [answer.sequence_log_probability for answer in answers.sampled]
