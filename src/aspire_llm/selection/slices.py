"""A guarantee for every value of a field of the data, all of them together with one certainty (Bonferroni)."""

from collections.abc import Mapping
from dataclasses import dataclass, replace
from typing import Any

from aspire_llm.errors import DataError
from aspire_llm.records import Question
from aspire_llm.records.fields import by_name, field, number, text
from aspire_llm.selection.guarantee import Guarantee, guarantee
from aspire_llm.selection.risk_control import Uncertified
from aspire_llm.selection.risk_tests import JudgedScores, RiskTarget

MAX_SLICES = 50
_FEWEST_PILOTS = 30  # answers of a slice from which its own thresholds are made; else all are


@dataclass(frozen=True, slots=True)
class SlicedGuarantee:
    """What is promised of the questions of each value of a field.

    Attributes:
        target: What holds in all slices at once, with its certainty; `per` is the field.
        by_value: Of each value the guarantee, at δ over the number of values that have enough questions for one.
    """

    target: RiskTarget
    by_value: Mapping[str, Guarantee]

    def of(self, question: Question) -> Guarantee | None:
        """That of a question; None where no calibration question has its value."""
        return self.by_value.get(slice_of(question, str(self.target.per)))

    def not_below(self, lowest: Mapping[str, float]) -> "SlicedGuarantee":
        """The same with no threshold below the score of its value, see `Guarantee.not_below`."""
        return replace(self, by_value={value: own.not_below(lowest[value]) for value, own in self.by_value.items()})

    @property
    def caveat(self) -> str:
        """What a user must know of all decisions by it, as a clause; empty where there is nothing."""
        without = [value for value, own in self.by_value.items() if isinstance(own.outcome, Uncertified)]
        if not without:
            return ""
        named = ", ".join(repr(value) for value in without[:5]) + (", …" if len(without) > 5 else "")
        return (
            f"every answer is withheld where {self.target.per!r} is {named}: at most {100 * self.target.risk:g}% wrong "
            f"answers cannot be certified there"
        )

    def to_json(self) -> dict[str, Any]:
        """Named values."""
        return {
            "per": self.target.per,
            "target_risk": self.target.risk,
            "delta": self.target.delta,
            "values": {value: own.to_json() for value, own in self.by_value.items()},
        }

    @classmethod
    def from_json(cls, content: Any) -> "SlicedGuarantee":
        """The record that `to_json` wrote."""
        per = field(content, "per", text)
        target = RiskTarget(field(content, "target_risk", number), field(content, "delta", number), per)
        values = field(content, "values", by_name(Guarantee.from_json))
        return cls(target, {value: replace(own, about=_about(per, value)) for value, own in values.items()})


def slice_of(question: Question, field: str) -> str:
    """The value of a field of a question's metadata, as a text; empty where it has none."""
    return str(question.metadata.get(field, ""))


def sliced_guarantee(
    calibration: Mapping[str, JudgedScores],
    pilot: Mapping[str, JudgedScores],
    everything: JudgedScores,
    target: RiskTarget,
    *,
    score: str,
    seed: int = 0,
) -> SlicedGuarantee:
    """Certify a target for each value of its field.

    Args:
        calibration: By value, answers that settled nothing before.
        pilot: By value, other answers (the validation split); a value may be missing.
        everything: The pilot answers of all values: they stand in where a value has few.
        target: To be guaranteed in all slices at once.
        score: The selection score, ``aspire`` or ``fused``.
        seed: Of all that is drawn.

    Raises:
        DataError: No question has the field, or it has more values than a promise each can be made of.
    """
    field = str(target.per)
    if set(calibration) <= {""}:
        raise DataError(f"no calibration question has the field {field!r}, so nothing can be promised per {field}")
    if len(calibration) > MAX_SLICES:
        raise DataError(f"{field!r} has {len(calibration)} values; a promise per value takes at most {MAX_SLICES}")
    num_independent = {value: len(set(own.groups)) for value, own in calibration.items()}
    testable = _testable(num_independent, target)

    def of(value: str) -> Guarantee:
        # At this level one that has too few questions cannot pass, so it takes no share of δ from the others.
        delta = target.delta / (len(testable) if value in testable else len(calibration))
        own = pilot.get(value)
        enough = own is not None and len(own.scores) >= _FEWEST_PILOTS
        chosen = own if own is not None and enough else everything
        own_target, about = RiskTarget(target.risk, delta), _about(field, value)
        return guarantee(calibration[value], chosen, own_target, score=score, seed=seed, about=about)

    return SlicedGuarantee(target, {value: of(value) for value in sorted(calibration)})


def _testable(num_independent: Mapping[str, int], target: RiskTarget) -> frozenset[str]:
    """The most values of which each has so many independent questions that δ over their number can be reached.

    It depends on no label, so that δ need not be shared with the others.
    """
    largest = sorted(num_independent, key=lambda value: (-num_independent[value], value))
    for count in range(len(largest), 0, -1):
        if num_independent[largest[count - 1]] >= RiskTarget(target.risk, target.delta / count).fewest_answers:
            return frozenset(largest[:count])
    return frozenset()


def _about(field: str, value: str) -> str:
    return f" whose {field} is {value!r}" if value else f" without {field}"
