"""What is certified of a run, beside what its thresholds come to on the test questions."""

from collections.abc import Sequence

from aspire_llm.records import Prediction
from aspire_llm.report.estimates import estimate
from aspire_llm.report.tables import Column, Estimate, Kind, Table
from aspire_llm.report.writers import as_text
from aspire_llm.results.calibration import Calibrated, judged_scores, sliced_scores
from aspire_llm.selection import Certified, Guarantee, JudgedScores, Realised, realised


def realised_guarantees(
    calibrated: Calibrated, predictions: Sequence[Prediction], novelty_level: float
) -> list[tuple[Guarantee, Realised | None]]:
    """The guarantees, each with what its threshold comes to; None without a threshold or judged answers.

    Args:
        calibrated: With the guarantees.
        predictions: The test answers, scored by what the guarantees are about.
        novelty_level: Below which a question counts as novel.
    """
    judged = [prediction for prediction in predictions if prediction.correct is not None]
    everyone = judged_scores(judged, novelty_level) if judged else None
    found = [(own, _realised(own, everyone)) for own in calibrated.guarantees]
    for sliced in calibrated.slices:
        parts = sliced_scores(judged, str(sliced.target.per), novelty_level)
        found += [(own, _realised(own, parts.get(value))) for value, own in sliced.by_value.items()]
    return found


def _realised(own: Guarantee, scores: JudgedScores | None) -> Realised | None:
    if scores is None or not isinstance(own.outcome, Certified):
        return None
    return realised(own.outcome.threshold, scores)


def guarantees_table(guarantees: Sequence[tuple[Guarantee, Realised | None]], joint: float) -> Table:
    """A row per target, and per value of a field: what is certified, and what came of it.

    Args:
        guarantees: With what their thresholds come to on test.
        joint: The largest probability that any of them fails.
    """
    left = [own for own, _ in guarantees if own.about and not isinstance(own.outcome, Certified)]
    shown = [pair for pair in guarantees if pair[0] not in left] or guarantees
    own, found = [guarantee for guarantee, _ in shown], [result for _, result in shown]
    columns = [
        Column("target", "Wrong answers, at most", [f"{100 * guarantee.target.risk:g}%" for guarantee in own]),
        *([Column("about", "Questions", list(map(_whose, own)))] if any(map(_is_sliced, own)) else []),
        Column("certainty", "Certainty", [Estimate(1 - guarantee.target.delta) for guarantee in own], Kind.PERCENT),
        Column("answered", "Answered", [_coverage(guarantee) for guarantee in own], Kind.PERCENT),
        Column("test_answered", "Answered on test", [_realised_coverage(result) for result in found], Kind.PERCENT),
        Column("test_wrong", "Wrong of these [95%]", [_risk(result) for result in found], Kind.PERCENT),
    ]
    notes = [f"{guarantee.sentence} ({guarantee.conditions})" for guarantee in own]
    if left and shown is not guarantees:
        those = ", ".join(f"{guarantee.about.strip()} ({guarantee.num_questions})" for guarantee in left)
        notes.append(
            f"Nothing is certified for questions {those}: answers to them are withheld. calibration.json says why."
        )
    notes += jointly(len(guarantees), joint)
    if any(result is not None for result in found):
        notes.append(
            "On test: the run's own test questions, which had no part in it. What is promised is about all such "
            "questions; the share on these scatters around it, within the interval."
        )
    return Table("guarantees", "What is certified, and what came of it", columns, notes)


def jointly(count: int, delta: float) -> list[str]:
    """With which certainty several promises hold together, in a sentence; nothing where there is one, or none does.

    Args:
        count: Of the promises.
        delta: The largest probability that any of them fails.
    """
    if count < 2 or delta >= 1.0:
        return []
    return [f"Each holds with its own certainty; all of them together with at least {100 * (1 - delta):.4g}%."]


def guarantees_text(calibrated: Calibrated, predictions: Sequence[Prediction], novelty_level: float) -> str:
    """The same for a terminal; without a guarantee, what the confidence stands on."""
    if not calibrated.targets:
        return "No target was asked for: --target-risk 0.1 certifies at most 10% wrong answers."
    found = realised_guarantees(calibrated, predictions, novelty_level)
    return as_text(guarantees_table(found, calibrated.joint_delta))


def _is_sliced(guarantee: Guarantee) -> bool:
    return bool(guarantee.about)


def _whose(guarantee: Guarantee) -> str:
    return guarantee.about.strip() or "all"


def _coverage(guarantee: Guarantee) -> Estimate | None:
    outcome = guarantee.outcome
    return Estimate(outcome.coverage) if isinstance(outcome, Certified) else None


def _risk(result: Realised | None) -> Estimate | None:
    return None if result is None else estimate(result.risk, result.risk_ci)


def _realised_coverage(result: Realised | None) -> Estimate | None:
    return None if result is None else Estimate(result.coverage)
