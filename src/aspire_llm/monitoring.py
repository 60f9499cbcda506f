"""Live predictions of a run held against what calibrated it."""

import statistics
from collections import Counter
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path

from aspire_llm.data.files import read_rows
from aspire_llm.data.problems import Problem
from aspire_llm.data.validation import InvalidValueError, read_flag
from aspire_llm.errors import ConfigError, DataError, RunDirectoryError
from aspire_llm.records import Prediction, Question
from aspire_llm.results.calibration import CALIBRATION, stored_rule
from aspire_llm.results.predictions import CALIBRATION_PREDICTIONS, LABELLED_PREDICTIONS, Outcome, outcome_file
from aspire_llm.rundir.directory import RunDirectory
from aspire_llm.selection import RiskTarget
from aspire_llm.selection.drift import LEVEL, Watch, first_of_each, watch_risk, watch_values

MIN_CALIBRATION = 20


def drift(run: Path, source: Path, labelled: Path | None = None, target_risk: float | None = None) -> str:
    """Whether live questions, scores and risk are what they were at calibration, in sentences.

    Args:
        run: A finished run.
        source: What `aspire-llm predict` wrote for live questions, in the order in which they came.
        labelled: Rows with `id` and `correct` of some of them (JSON Lines, JSON or Parquet), in the order in which they
            were labelled; None where the predictions hold what is known.
        target_risk: The promised share of wrong answers among those given; None for the one that decided.

    Raises:
        DataError: The file holds no predictions, or it is not clear which of them a label is of.
        RunDirectoryError: Too few calibration answers are stored.
    """
    directory = RunDirectory.open(run)
    rule = stored_rule(run, directory.config)
    stored = LABELLED_PREDICTIONS if CALIBRATION.read(run).source else CALIBRATION_PREDICTIONS
    calibration = [rule.decide_again(own) for own in stored.read(run)]
    if len(calibration) < MIN_CALIBRATION:
        raise RunDirectoryError(f"{run} has {len(calibration)} calibration answers; it takes {MIN_CALIBRATION}")
    live = [own for own in _read(source) if isinstance(own, Prediction)]
    if not live:
        raise DataError(f"{source} holds no predictions")
    before, now = (first_of_each(part, _question) for part in (calibration, live))
    found = [
        _sentence("scores", ("have shifted", "have shifted"), before, now, lambda own: own.scored.selection_score),
        _sentence("questions", ("are new", "are all alike"), before, now, lambda own: own.novelty),
    ]
    risk = _risk(live, None if labelled is None else _marks(labelled), target_risk)
    about = f"{_counted(live, now, 'live')} against {_counted(calibration, before, 'calibration')}"
    return "\n".join([f"{about}; an alarm is false once in {1 / LEVEL:.0f} streams:", *filter(None, [*found, risk])])


def _question(prediction: Prediction) -> Question:
    return prediction.question


def _counted(predictions: Sequence[Prediction], drawn: Sequence[Prediction], name: str) -> str:
    """How many questions there are, and of how many groups, of each of which the first counts."""
    groups = "" if len(drawn) == len(predictions) else f" in {len(drawn)} groups, the first of each"
    return f"{len(predictions)} {name} questions{groups}"


def _sentence(
    what: str,
    verdicts: tuple[str, str],
    calibration: Sequence[Prediction],
    live: Sequence[Prediction],
    value: Callable[[Prediction], float | None],
) -> str | None:
    """What is seen of a value; the verdicts are of lower and of higher ones."""
    before, now = ([known for own in part if (known := value(own)) is not None] for part in (calibration, live))
    if not (before and now):
        return None
    watch = watch_values(before, now)
    own, theirs = statistics.median(now), statistics.median(before)
    return _said(watch, what, verdicts[own > theirs], f"median {own:.3g}, at calibration {theirs:.3g}")


def _risk(live: Sequence[Prediction], marks: Mapping[str, bool] | None, target: float | None) -> str | None:
    """What is known of wrong answers among those given."""
    if marks is None:
        judged = [(own, not own.correct) for own in live if own.correct is not None]
    else:
        judged = _marked(live, marks)
    answered = first_of_each([own for own in judged if not own[0].abstained], lambda own: own[0].question)
    wrong = [is_wrong for _, is_wrong in answered]
    if not wrong:
        return None
    decided = {own.target_risk for own, _ in judged}
    promised = target if target is not None else decided.pop() if len(decided) == 1 else None
    if promised is None:
        raise ConfigError("no target decided about these answers; give --target-risk")
    RiskTarget(promised)  # refuses what is no target
    figures = f"{sum(wrong)} of {len(wrong)} answers wrong, the target is {100 * promised:g}%"
    return _said(watch_risk(wrong, promised), "risk", "is above the target", figures)


def _marked(live: Sequence[Prediction], marks: Mapping[str, bool]) -> list[tuple[Prediction, bool]]:
    """The predictions that were marked, in the order of the marks, and whether each is wrong."""
    known, count = {own.question.id: own for own in live}, Counter(own.question.id for own in live)
    if unknown := [own for own in marks if own not in known]:
        raise DataError(f"labels of {len(unknown)} questions that are not among the predictions: {unknown[0]!r}")
    if unclear := [own for own in marks if count[own] > 1]:
        raise DataError(
            f"labels of {len(unclear)} questions whose id several predictions have, {unclear[0]!r} for one: give every "
            "question of the stream an id of its own"
        )
    return [(known[own], not correct) for own, correct in marks.items()]


def _said(watch: Watch, what: str, verdict: str, figures: str) -> str:
    if watch.alarm is None:
        return f"  {what}: no change seen (evidence {watch.peak:.3g} of {1 / watch.level:.0f}; {figures})"
    return f"  {what} {verdict}: alarm at number {watch.alarm} (evidence {watch.peak:.3g}; {figures})"


def _marks(path: Path) -> dict[str, bool]:
    """Whether answers are right, by the ids of their questions, as they come; of two marks of one the last counts.

    Raises:
        DataError: The file cannot be read, or a row lacks one of the two.
    """
    marks: dict[str, bool] = {}
    for row in read_rows(path):
        if isinstance(row, Problem):
            raise DataError(str(row))
        try:
            if missing := [name for name in ("id", "correct") if name not in row.record]:
                raise InvalidValueError(f"'{missing[0]}' is missing")
            correct = read_flag(row.record["correct"], "'correct'")
        except InvalidValueError as error:
            raise DataError(f"{path}, row {row.number}: {error}") from error
        if correct is not None:  # not every row has one
            marks[str(row.record["id"])] = correct
    return marks


def _read(path: Path) -> list[Outcome]:
    """What became of questions, in a file that is no part of a run."""
    try:
        return outcome_file(path.name).read(path.parent)
    except RunDirectoryError as error:
        raise DataError(f"{path} holds no lines that aspire-llm predict writes: {error}") from error
