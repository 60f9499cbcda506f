"""The figures of a run: what `metrics.json` holds."""

from dataclasses import dataclass
from typing import Any

from aspire_llm.records import Answers
from aspire_llm.records.fields import by_name, each, field, maybe, natural, number, optional, text
from aspire_llm.rundir.files import Document
from aspire_llm.selection import ConfidenceMetrics, Difference, Evaluation, MethodMetrics, Undefined
from aspire_llm.selection.bootstrap import Interval
from aspire_llm.selection.outcomes import figure_to_json, interval_from_json

REFERENCE = "aspire"


@dataclass(frozen=True, slots=True)
class Origin:
    """Whose answers a method scores, and where the method was published."""

    answers: Answers
    source: str

    @classmethod
    def from_json(cls, figures: Any) -> "Origin":
        """That of a method, which stands among its figures."""
        return cls(field(figures, "answers", Answers), field(figures, "source", text))


@dataclass(frozen=True, slots=True)
class Answered:
    """The share of questions that are answered rather than withheld, and the accuracy of those answers.

    Attributes:
        share: 0 to 1.
        accuracy: 0 to 1, or None where every answer is withheld.
    """

    share: float
    accuracy: float | None

    @classmethod
    def from_json(cls, content: Any) -> "Answered":
        """The value of `answered` in `metrics.json`."""
        return cls(field(content, "share", number), field(content, "accuracy", maybe(number)))


@dataclass(frozen=True, slots=True)
class Reranked:
    """What comes of answering with the beam that the score ranks first, rather than with the likeliest.

    Attributes:
        candidates: How many of the likeliest beams may be the answer.
        changed: Share of the questions that are given another answer than the likeliest, 0 to 1.
        accuracy: Share of right answers among all that are given, 0 to 1.
        accuracy_ci: Its 95% interval by bootstrap over groups; undefined with a single group.
        gain: That accuracy minus the one of the likeliest answers, paired.
    """

    candidates: int
    changed: float
    accuracy: float
    accuracy_ci: Interval | Undefined
    gain: Difference

    def to_json(self) -> dict[str, Any]:
        """The value of `reranked` in `metrics.json`."""
        return {
            "candidates": self.candidates,
            "changed": self.changed,
            "accuracy": self.accuracy,
            **figure_to_json("accuracy_ci", self.accuracy_ci),
            "gain": self.gain.to_json(),
        }

    @classmethod
    def from_json(cls, content: Any) -> "Reranked":
        """The record that `to_json` wrote."""
        return cls(
            field(content, "candidates", natural),
            field(content, "changed", number),
            field(content, "accuracy", number),
            interval_from_json("accuracy_ci", content),
            field(content, "gain", Difference.from_json),
        )


@dataclass(frozen=True, slots=True)
class RunMetrics:
    """The figures of a run on its test split, or on other data.

    Attributes:
        n: Questions.
        accuracy: Share of right answers among the likeliest to all of them, which methods are compared on, 0 to 1.
        accuracy_ci: Its 95% interval by bootstrap over groups; undefined with a single group.
        accuracy_before: The same of the model before tuning, or None where it has not answered.
        accuracy_before_ci: Its interval.
        malformed: Share of the answers given that are empty or cut off.
        answered: What is left when the system abstains.
        methods: Figures by method, the tuned model's answers first.
        origins: Of the same methods.
        differences: By "reference - rival", then by metric (auroc, auacc).
        confidence: How well confidence is calibrated; None where the run has none.
        notes: What a reader must know, in sentences.
        reference: The method that decides in this run; differences are from it to the others.
        reranked: Of the answers that are given, where they need not be the likeliest; else None.
    """

    n: int
    accuracy: float
    accuracy_ci: Interval | Undefined
    accuracy_before: float | None
    accuracy_before_ci: Interval | Undefined | None
    malformed: float
    answered: Answered
    methods: dict[str, MethodMetrics]
    origins: dict[str, Origin]
    differences: dict[str, dict[str, Difference]]
    confidence: ConfidenceMetrics | None
    notes: tuple[str, ...]
    reference: str = REFERENCE
    reranked: Reranked | None = None

    @property
    def evaluation(self) -> Evaluation:
        """Its figures, without regard to where they come from."""
        return Evaluation(self.methods, self.differences, self.confidence)

    def to_json(self) -> dict[str, Any]:
        """The content of `metrics.json`; an undefined figure is null with a reason beside it."""
        evaluation = self.evaluation.to_json()
        for name, origin in self.origins.items():
            evaluation["methods"][name] |= {"answers": str(origin.answers), "source": origin.source}
        before = self.accuracy_before_ci
        before_ci = {} if before is None else figure_to_json("accuracy_before_ci", before)
        return {
            "n": self.n,
            "accuracy": self.accuracy,
            **figure_to_json("accuracy_ci", self.accuracy_ci),
            "accuracy_before": self.accuracy_before,
            **before_ci,
            **({} if self.reranked is None else {"reranked": self.reranked.to_json()}),
            "malformed": self.malformed,
            "reference": self.reference,
            "answered": {"share": self.answered.share, "accuracy": self.answered.accuracy},
            **evaluation,
            "notes": list(self.notes),
        }

    @classmethod
    def from_json(cls, content: Any) -> "RunMetrics":
        """The record that `to_json` wrote."""
        evaluation = Evaluation.from_json(content)
        reference = optional(content, "reference", text) or REFERENCE
        if reference not in evaluation.methods:
            raise ValueError(f"reference: {reference!r} is none of the methods")
        return cls(
            n=field(content, "n", natural),
            accuracy=field(content, "accuracy", number),
            accuracy_ci=interval_from_json("accuracy_ci", content),
            accuracy_before=field(content, "accuracy_before", maybe(number)),
            accuracy_before_ci=(
                interval_from_json("accuracy_before_ci", content) if "accuracy_before_ci" in content else None
            ),
            malformed=field(content, "malformed", number),
            answered=field(content, "answered", Answered.from_json),
            methods=evaluation.methods,
            origins=field(content, "methods", by_name(Origin.from_json)),
            differences=evaluation.differences,
            confidence=evaluation.confidence,
            notes=field(content, "notes", each(text)),
            reference=reference,
            reranked=optional(content, "reranked", Reranked.from_json),
        )


METRICS = Document("metrics.json", "metrics of a run", RunMetrics.to_json, RunMetrics.from_json)
