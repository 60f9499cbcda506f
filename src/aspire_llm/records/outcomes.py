"""What becomes of a question: an answer, an abstention, or an error."""

from dataclasses import dataclass, field
from enum import StrEnum

from aspire_llm.records.answers import LabelledAnswer, SampledAnswer, ScoredAnswer
from aspire_llm.records.questions import Question

ABSTENTION = "I don't know"


class Reason(StrEnum):
    """Why an answer is given or withheld."""

    SURE_ENOUGH = "sure_enough"
    BELOW_THRESHOLD = "below_threshold"
    NOVEL_QUESTION = "novel_question"  # unlike the calibration questions
    NO_CALIBRATION = "no_calibration"  # given, though nothing vouches for it
    NOTHING_RIGHT = "nothing_right"  # all calibration answers are wrong
    NOT_CERTIFIED = "not_certified"  # no threshold is certified for the target risk


@dataclass(frozen=True, slots=True)
class Mark:
    """A person's judgement of an answer.

    Attributes:
        answer: The text of the answer, given or withheld.
        correct: What was said of it.
    """

    answer: str
    correct: bool


@dataclass(frozen=True, slots=True)
class PassedOver:
    """The likeliest answer to a question, where the score ranks another of the beams first.

    Attributes:
        scored: The answer with its scores.
        rouge_l: As of a prediction.
        correct: As of a prediction.
    """

    scored: ScoredAnswer
    rouge_l: float | None
    correct: bool | None


@dataclass(frozen=True, slots=True)
class Prediction:
    """What the system says to one question: an answer, or an abstention.

    Attributes:
        question: The question asked.
        scored: The answer with its scores, also where the system abstains: the likeliest, or where `score.candidates`
            says so the one of the likeliest beams that the score ranks first.
        confidence: Calibrated probability that the answer is correct, or None where the run has no calibration. It is
            about questions like those that calibrated it, so it says nothing of one that is withheld as novel.
        abstained: True where the system says "I don't know" rather than `answer`.
        why: One clause that explains the decision.
        reason: The same for programs; None in files of earlier versions.
        rouge_l: Best Rouge-L F over the references, or None where no reference is known.
        correct: Whether the answer is correct, by the mark if that is about this answer, else at the evaluation
            threshold; None where neither a mark nor a reference tells.
        novelty: p-value of the question among the calibration questions, 0 to 1: low where it is unlike them. None
            where there are too few of them to tell.
        context_cut: Whether the end of the context was left out, because it does not fit the model's window.
        target_risk: The certified share of wrong answers that the decision stands on; None where it stands on the
            confidence.
        mark: What a person said of an answer to the question, this one or another; None where nobody did.
        passed_over: The likeliest answer, where `scored` is another.
        abstention: What is said where the system abstains.
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
    mark: Mark | None = None
    passed_over: PassedOver | None = field(default=None, repr=False)
    abstention: str = field(default=ABSTENTION, compare=False)

    @property
    def sampled(self) -> SampledAnswer:
        """The answer, also where the system abstains."""
        return self.scored.answer

    @property
    def likeliest(self) -> "Prediction":
        """The same of the likeliest answer, which methods are compared on; no decision is known of it where it was
        passed over."""
        own = self.passed_over
        if own is None:
            return self
        return Prediction(
            self.question,
            own.scored,
            rouge_l=own.rouge_l,
            correct=own.correct,
            novelty=self.novelty,
            context_cut=self.context_cut,
            mark=self.mark,
            abstention=self.abstention,
        )

    @property
    def answer(self) -> str | None:
        """The answer given, or None for an abstention."""
        return None if self.abstained else self.scored.answer.text

    @property
    def text(self) -> str:
        """What is said to whoever asked: the answer, or the text of an abstention."""
        return self.abstention if self.abstained else self.scored.answer.text

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
