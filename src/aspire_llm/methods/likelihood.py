"""Scores that the answer's own decoding gives: no pass of the model."""

from aspire_llm.methods.answer_set import AnswerSet
from aspire_llm.methods.method import Method


def _perplexity(answers: AnswerSet) -> list[float]:
    """Mean log-probability a token, which is −log of the perplexity."""
    return [line["log_likelihood"] for line in answers.lines]


def _sequence_log_probability(answers: AnswerSet) -> list[float]:
    """Log-probability of the whole answer: the maximum sequence probability."""
    return [line["log_likelihood"] * line["num_tokens"] for line in answers.lines]


PERPLEXITY = Method("perplexity", "Malinin & Gales, 2021", _perplexity, untuned=True)
SEQUENCE_LOG_PROBABILITY = Method(
    "sequence_log_probability", "Hendrycks & Gimpel, 2017", _sequence_log_probability, untuned=True
)
