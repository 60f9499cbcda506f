"""The typed records that pass from one part to the next. All are frozen; none is a dict.

`Question` → `SampledAnswer` → `LabelledAnswer` → `ScoredAnswer` → `Prediction`.
Higher selection scores always mean more confident.
"""

import math
from dataclasses import dataclass, field
from enum import StrEnum


class Split(StrEnum):
    """The four disjoint parts of a data set; no group of questions stands in two of them."""

    TRAIN = "train"  # stages 1 to 3
    VALIDATION = "validation"  # early stopping
    CALIBRATION = "calibration"  # confidence
    TEST = "test"  # reported figures only


class Answers(StrEnum):
    """Whose answers are scored; figures of different answers are never compared."""

    TUNED = "tuned"
    UNTUNED = "untuned"


class Reason(StrEnum):
    """Why an answer is given or withheld."""

    SURE_ENOUGH = "sure_enough"
    BELOW_THRESHOLD = "below_threshold"
    NOVEL_QUESTION = "novel_question"  # unlike the calibration questions
    NO_CALIBRATION = "no_calibration"  # given, though nothing vouches for it
    NOTHING_RIGHT = "nothing_right"  # all calibration answers are wrong
    NOT_CERTIFIED = "not_certified"  # no threshold is certified for the target risk


@dataclass(frozen=True, slots=True)
class Question:
    """One question of a data set.

    Attributes:
        id: Unique within its data set.
        question: The text asked.
        references: Accepted answers, the first of which is the training target. Empty where the question is
            unanswerable or where nobody knows the answer yet (prediction).
        context: A passage to answer from, or None for closed-book questions.
        history: Earlier (question, answer) turns of a conversation, oldest first.
        group: Questions of one group (story, article, entity) never stand in two splits.
        answerable: False where the data set says that no answer is right (SQuAD v2.0): then any answer is wrong.
    """

    id: str
    question: str
    references: tuple[str, ...] = ()
    context: str | None = None
    history: tuple[tuple[str, str], ...] = ()
    group: str = ""
    answerable: bool = True

    @property
    def cluster(self) -> str:
        """What is drawn, split or left out as a whole: the group, or the question itself where it has none."""
        return self.group or self.id


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
class Prediction:
    """What the system says to one question: an answer, or an abstention.

    Attributes:
        question: The question asked.
        scored: The likeliest answer with its scores, also where the system abstains.
        confidence: Calibrated probability that the answer is correct, or None where the run has no calibration. It is
            about questions like those that calibrated it, so it says nothing of one that is withheld as novel.
        abstained: True where the system says "I don't know" rather than `answer`.
        why: One clause that explains the decision.
        reason: The same for programs; None in files of earlier versions.
        rouge_l: Best Rouge-L F over the references, or None where no reference is known.
        correct: Whether the answer is correct at the evaluation threshold, or None where no reference is known.
        novelty: p-value of the question among the calibration questions, 0 to 1: low where it is unlike them. None
            where there are too few of them to tell.
        context_cut: Whether the end of the context was left out, because it does not fit the model's window.
        target_risk: The certified share of wrong answers that the decision stands on; None where it stands on the
            confidence.
    """

    question: Question
    scored: ScoredAnswer
    confidence: float | None = None
    abstained: bool = False
    why: str = ""
    reason: Reason | None = None
    rouge_l: float | None = None
    correct: bool | None = None
    novelty: float | None = None
    context_cut: bool = False
    target_risk: float | None = None

    @property
    def sampled(self) -> SampledAnswer:
        """The likeliest answer, also where the system abstains."""
        return self.scored.answer

    @property
    def answer(self) -> str | None:
        """The answer given, or None for an abstention."""
        return None if self.abstained else self.scored.answer.text

    @property
    def withheld_answer(self) -> str | None:
        """The answer that the system keeps to itself, or None where it gives its answer."""
        return self.scored.answer.text if self.abstained else None


@dataclass(frozen=True, slots=True)
class Unanswered:
    """A question that could not be put to the model.

    Attributes:
        question: The question.
        error: What is wrong with it, and what to do.
    """

    question: Question
    error: str


@dataclass(frozen=True, slots=True)
class Unread:
    """A row of a file of questions that is none.

    Attributes:
        id: What its question would be called.
        error: What is wrong with it, and where it stands.
    """

    id: str
    error: str


@dataclass(frozen=True, slots=True)
class UntunedAnswer:
    """What the model answers to a question without any adapter."""

    question: Question
    labelled: LabelledAnswer

    @property
    def sampled(self) -> SampledAnswer:
        """The likeliest answer."""
        return self.labelled.answer

    @property
    def rouge_l(self) -> float:
        """Best Rouge-L F over the references, 0 to 1."""
        return self.labelled.rouge_l

    @property
    def correct(self) -> bool:
        """Whether the answer is correct at the evaluation threshold."""
        return self.labelled.correct


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
