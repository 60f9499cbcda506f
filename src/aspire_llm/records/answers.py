"""Answers that a model generated, what is known of them, and what methods say of many."""

import math
from dataclasses import dataclass, field


@dataclass(frozen=True, slots=True)
class SampledAnswer:
    """One answer that the model generated.

    Attributes:
        text: The decoded answer, stripped.
        token_ids: Generated tokens without the terminator.
        log_likelihood: Mean log-probability per token in nats, terminator counted where one was generated.
        num_tokens: Tokens that the mean runs over (terminator counted where one was generated).
        terminated: False where the answer was cut off at the token limit.
    """

    text: str
    token_ids: tuple[int, ...]
    log_likelihood: float
    num_tokens: int
    terminated: bool = True

    @property
    def sequence_log_probability(self) -> float:
        """Summed log-probability of the answer, in nats."""
        return self.log_likelihood * self.num_tokens

    @property
    def likelihoods(self) -> tuple[float, float]:
        """Summed log-probability, and its mean per token, in nats."""
        return self.sequence_log_probability, self.log_likelihood


@dataclass(frozen=True, slots=True)
class DrawnAnswer:
    """An answer that was drawn, for methods that look at several.

    Attributes:
        text: The answer.
        token_ids: Its tokens, without terminator.
        log_probs: Of the generated tokens, the terminator included where there is one, in nats.
    """

    text: str
    token_ids: tuple[int, ...]
    log_probs: tuple[float, ...]

    @property
    def mean_log_prob(self) -> float:
        """Length-normalised log-likelihood in nats."""
        return sum(self.log_probs) / len(self.log_probs)


@dataclass(frozen=True, slots=True)
class LabelledAnswer:
    """A sampled answer with its agreement with the references.

    Attributes:
        answer: The sampled answer.
        rouge_l: Best Rouge-L F over the references, 0 to 1; 0 where a question is unanswerable.
        correct: Whether `rouge_l` is strictly above the threshold in force.
    """

    answer: SampledAnswer
    rouge_l: float
    correct: bool


@dataclass(frozen=True, slots=True)
class Evidence:
    """What is known of an answer when it is scored.

    Attributes:
        answer: The answer.
        log_self_eval: log P(z_c | x, ŷ) in nats, computed without leaving log space; None where θs was not asked.
        states: Log-odds of a correct answer by the hidden states of `[θp] [x] [ŷ]` and its likelihood; None where they
            were not read.
        beams: All hypotheses of the search, likeliest first, the answer among them; empty where they are not known.
        beam_states: What `states` is, of each of the beams; empty where they were not read.
    """

    answer: SampledAnswer
    log_self_eval: float | None = None
    states: float | None = None
    beams: tuple[SampledAnswer, ...] = field(default=(), repr=False)
    beam_states: tuple[float, ...] = field(default=(), repr=False)

    @property
    def self_eval(self) -> float | None:
        """P(z_c | x, ŷ), the probability of the verdict "correct" over the verdict pair, 0 to 1."""
        return None if self.log_self_eval is None else math.exp(self.log_self_eval)


@dataclass(frozen=True, slots=True)
class ScoredAnswer:
    """An answer with the model's judgement of it.

    Attributes:
        evidence: All that the score is made from.
        selection_score: Higher = more confident.
    """

    evidence: Evidence
    selection_score: float

    @property
    def answer(self) -> SampledAnswer:
        """The answer."""
        return self.evidence.answer


@dataclass(frozen=True, slots=True)
class MethodScores:
    """What one selection method says of every test answer; the input of the metrics.

    Attributes:
        name: The method, e.g. ``aspire``.
        scores: One finite score per answer; higher = more confident.
        correct: Whether each answer is correct.
        groups: The group of each answer's question (the unit of the bootstrap).
    """

    name: str
    scores: tuple[float, ...]
    correct: tuple[bool, ...]
    groups: tuple[str, ...] = field(repr=False)
