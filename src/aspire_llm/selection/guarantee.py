"""A guarantee: what was promised of the answers that are given, on which questions it stands, and in which words."""

from dataclasses import asdict, dataclass, replace
from typing import Any

from aspire_llm.records import Question
from aspire_llm.records.fields import field, flag, maybe, natural, number, text
from aspire_llm.selection.bootstrap import Interval, ratio_interval
from aspire_llm.selection.outcomes import Undefined
from aspire_llm.selection.risk_control import Certified, Uncertified, certify, choose_unit
from aspire_llm.selection.risk_tests import JudgedScores, RiskTarget, Unit

_MEANING = {
    Unit.QUESTION: "",
    Unit.ONE_PER_GROUP: " (a random question of a random group)",
    Unit.GROUP_MEAN: " (a random question of a random group)",
}
_COUNTED = {
    Unit.QUESTION: "every question",
    Unit.ONE_PER_GROUP: "one question drawn from each group",
    Unit.GROUP_MEAN: "the means of groups",
}


@dataclass(frozen=True, slots=True)
class Guarantee:
    """What calibration questions certify of a target, or why they do not.

    Attributes:
        target: What was to be guaranteed.
        outcome: The threshold, or why there is none.
        unit: What was counted.
        score: The selection score that the threshold is of, ``aspire`` or ``fused``.
        num_questions: Calibration questions.
        num_groups: Groups of them.
        about: Which questions, as a clause; empty for all.
    """

    target: RiskTarget
    outcome: Certified | Uncertified
    unit: Unit
    score: str
    num_questions: int
    num_groups: int
    about: str = ""

    def of(self, question: Question) -> "Guarantee":
        """That of a question: this one, whatever it asks."""
        return self

    @property
    def caveat(self) -> str:
        """What a user must know of all decisions by it, as a clause; empty where there is nothing."""
        return f"every answer is withheld. {self.sentence}" if isinstance(self.outcome, Uncertified) else ""

    @property
    def sentence(self) -> str:
        """The promise with its conditions, or what could be promised instead."""
        risk, certainty = f"{100 * self.target.risk:g}%", f"{100 * (1 - self.target.delta):.4g}%"
        like = f"questions like the {self.num_questions} calibration questions{self.about}"
        match self.outcome:
            case Certified(coverage=coverage):
                return (
                    f"Of {like}{_MEANING[self.unit]}, at most {risk} of the answered ones are wrong, with {certainty} "
                    f"certainty; {100 * coverage:.0f}% are answered."
                )
            case Uncertified() as why:
                whose = f" for questions{self.about}" if self.about else ""
                what = f"At most {risk} wrong answers cannot be certified{whose} with {certainty} certainty"
                return f"{what}: {_instead(why)}"

    @property
    def conditions(self) -> str:
        """What was counted, by which score."""
        groups = "" if self.unit is Unit.QUESTION else f" in {self.num_groups} groups"
        return f"{self.num_questions} questions{groups}; counted was {_COUNTED[self.unit]}; score: {self.score}"

    def not_below(self, lowest: float) -> "Guarantee":
        """The same for the answers that were judged: no threshold below the lowest score among them.

        People mark answers that they see, so nothing may be known of lower scores; thresholds are tested as if answers
        of lower scores did not exist.
        """
        if isinstance(self.outcome, Uncertified):
            return self
        return replace(self, outcome=replace(self.outcome, threshold=max(self.outcome.threshold, lowest)))

    def to_json(self) -> dict[str, Any]:
        """Named values, and the sentence for whoever reads the file."""
        return {
            "sentence": self.sentence,
            "target_risk": self.target.risk,
            "delta": self.target.delta,
            "certified": isinstance(self.outcome, Certified),
            **asdict(self.outcome),
            "unit": str(self.unit),
            "score": self.score,
            "num_questions": self.num_questions,
            "num_groups": self.num_groups,
        }

    @classmethod
    def from_json(cls, content: Any) -> "Guarantee":
        """The guarantee that `to_json` wrote."""
        return cls(
            target=RiskTarget(field(content, "target_risk", number), field(content, "delta", number)),
            outcome=_certified(content) if field(content, "certified", flag) else _uncertified(content),
            unit=field(content, "unit", Unit),
            score=field(content, "score", text),
            num_questions=field(content, "num_questions", natural),
            num_groups=field(content, "num_groups", natural),
        )


def guarantee(
    calibration: JudgedScores, pilot: JudgedScores, target: RiskTarget, *, score: str, seed: int = 0, about: str = ""
) -> Guarantee:
    """Certify a target on calibration answers, or say why that cannot be done.

    Args:
        calibration: Answers that settled nothing before.
        pilot: Other answers (the validation split): they settle which thresholds are tested, and what is counted.
        target: To be guaranteed.
        score: The selection score, ``aspire`` or ``fused``.
        seed: Of all that is drawn.
        about: Which questions they are, as a clause; empty for all.
    """
    unit = choose_unit(pilot, target, calibration.groups, seed=seed)
    outcome = certify(calibration, target, pilot, unit, seed=seed)
    return Guarantee(target, outcome, unit, score, len(calibration.scores), len(set(calibration.groups)), about)


@dataclass(frozen=True, slots=True)
class Realised:
    """What a certified threshold does on other questions.

    Attributes:
        coverage: Share of them that are answered; each group weighs the same, as in what is promised.
        risk: Share of those answers that are wrong; None where nothing is answered.
        risk_ci: Its 95% interval by bootstrap over groups; undefined where there is one group, or nothing answered.
    """

    coverage: float
    risk: float | None
    risk_ci: Interval | Undefined


def realised(threshold: float, answers: JudgedScores, *, seed: int = 0) -> Realised:
    """What a threshold does on judged answers, which had no part in it."""
    answered = answers.weights * (answers.scores >= threshold)
    wrong = answered * ~answers.correct
    if not answered.any():
        return Realised(0.0, None, Undefined("nothing is answered"))
    return Realised(
        float(answered.sum()),
        float(wrong.sum() / answered.sum()),
        ratio_interval(wrong, answered, answers.groups, seed=seed),
    )


def _certified(content: Any) -> Certified:
    return Certified(
        threshold=field(content, "threshold", number),
        coverage=field(content, "coverage", number),
        risk=field(content, "risk", number),
        p_value=field(content, "p_value", number),
    )


def _uncertified(content: Any) -> Uncertified:
    return Uncertified(
        reason=field(content, "reason", text),
        lowest_risk=field(content, "lowest_risk", maybe(number)),
        least_withheld=field(content, "least_withheld", number),
        questions_needed=field(content, "questions_needed", maybe(natural)),
    )


def _instead(why: Uncertified) -> str:
    """The reason, and what there is to do, in sentences."""
    found = [why.reason]
    if why.least_withheld > 0.0:
        found.append(f"any method must withhold at least {100 * why.least_withheld:.0f}% of these questions")
    if why.lowest_risk is not None:
        found.append(f"the lowest target these questions certify is about {100 * why.lowest_risk:.0f}%")
    if why.questions_needed is None:
        found.append("more questions like these would not help")
    else:
        found.append(f"about {why.questions_needed:,} calibration questions like these would do")
    return "; ".join(found) + "."
