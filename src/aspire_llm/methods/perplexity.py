"""Mean log-likelihood per token: it comes with the answer's own decoding (Malinin & Gales, 2021)."""

from aspire_llm.methods.answer_set import AnswerSet


def score(answers: AnswerSet) -> list[float]:
    """Mean log-probability per token, which is −log of the perplexity."""
    return [answer.log_likelihood for answer in answers.sampled]
