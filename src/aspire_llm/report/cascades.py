"""A cascade beside either of its runs alone: what is certified of each, what came of it, and what it costs."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np

from aspire_llm.records import Split
from aspire_llm.report.guarantees import jointly
from aspire_llm.report.tables import Column, Estimate, Kind, Table
from aspire_llm.report.writers import as_text
from aspire_llm.results.cascade import CertifiedCascade, Promise
from aspire_llm.selection import Certified, Guarantee, JudgedScores, defined, guarantee
from aspire_llm.selection.cascading import JudgedPairs
from aspire_llm.selection.decided import Decided, Share


@dataclass(frozen=True, slots=True)
class Contender:
    """One of the ways to answer, certified for a target on the common calibration questions.

    Attributes:
        name: Of it.
        guarantee: What is certified of it.
        test: What its threshold does on the common test questions; None where there are none.
        asks_large: Share of those that the large run has to answer; None where there are none.
        seconds: For a question; None where it is not known.
    """

    name: str
    guarantee: Guarantee
    test: Decided | None
    asks_large: float | None
    seconds: float | None


def contenders(
    cascade: CertifiedCascade,
    promise: Promise,
    pairs: Mapping[Split, JudgedPairs],
    seconds: tuple[float | None, float | None],
    *,
    seed: int = 0,
) -> list[Contender]:
    """The small run, the large run and their cascade, for one target.

    Args:
        cascade: Both runs.
        promise: What is certified of them.
        pairs: Their answers by split.
        seconds: What a question takes each of them, where it is known.
        seed: Of all that is drawn.
    """
    target, score = promise.guarantee.target, promise.guarantee.score
    found = []
    answers = [{split: own.small for split, own in pairs.items()}, {split: own.large for split, own in pairs.items()}]
    for run, own, asks, time in zip((cascade.small, cascade.large), answers, (0.0, 1.0), seconds, strict=True):
        alone = guarantee(own[Split.CALIBRATION], own[Split.VALIDATION], target, score=score, seed=seed)
        found.append(Contender(f"{run.name} alone", alone, _decided(alone, own.get(Split.TEST)), asks, time))
    test = pairs.get(Split.TEST)
    asks_large = None if test is None else _withheld_by_small(promise, test)
    total = None
    if asks_large is not None and seconds[0] is not None and seconds[1] is not None:
        total = seconds[0] + asks_large * seconds[1]
    return [*found, Contender("cascade", promise.guarantee, _decided(promise.guarantee, test), asks_large, total)]


def _decided(promised: Guarantee, test: JudgedScores | None) -> Decided | None:
    outcome = promised.outcome
    return None if test is None else Decided.at(test, outcome.threshold if isinstance(outcome, Certified) else None)


def _withheld_by_small(promise: Promise, test: JudgedPairs) -> float:
    """Where nothing is certified nobody is asked."""
    if promise.level is None:
        return 0.0
    return float(test.weights @ ~test.by_small(np.array([promise.level]))[0])


def cascade_text(cascade: CertifiedCascade, compared: Sequence[Sequence[Contender]]) -> str:
    """The sentences and tables of a cascade, for a terminal.

    Args:
        cascade: Both runs, and what is certified of them.
        compared: Of each target, what `contenders` found.
    """
    sentences = [f"{cascade.sentence(own)} ({own.guarantee.conditions})" for own in cascade.promises]
    sentences += jointly(len(cascade.promises), sum(own.guarantee.target.delta for own in cascade.promises))
    rows = [own for part in compared for own in part]
    tables = [_figures(rows)]
    if any(own.test is not None for own in rows):
        tables.append(_differences(compared))
    return "\n\n".join(["\n".join(sentences), *map(as_text, tables)])


def _figures(rows: Sequence[Contender]) -> Table:
    coverage = [None if own.test is None else _estimate(own.test.coverage()) for own in rows]
    risk = [None if own.test is None else _estimate(own.test.risk()) for own in rows]
    columns = [
        Column("target", "Wrong answers, at most", [_target(own) for own in rows]),
        Column("answers", "Who answers", [own.name for own in rows]),
        Column("answered", "Answered", [_certified(own) for own in rows], Kind.PERCENT),
        Column("test_answered", "Answered on test [95%]", coverage, Kind.PERCENT),
        Column("test_wrong", "Wrong of these [95%]", risk, Kind.PERCENT),
        Column("asks_large", "Large is asked", [Estimate(own.asks_large) for own in rows], Kind.PERCENT),
        Column("seconds", "Seconds per question", [Estimate(own.seconds) for own in rows], Kind.NUMBER),
    ]
    notes = [
        "All of them are certified on the same calibration questions, and held against the same test questions, which "
        "had no part in that.",
        "Seconds are those of each run where it was made.",
    ]
    return Table("cascade", "What is certified, what came of it, and what it costs", columns, notes)


def _differences(compared: Sequence[Sequence[Contender]]) -> Table:
    pairs = [(alone, cascade) for *others, cascade in compared for alone in others]
    known = [(one.test, other.test) for one, other in pairs]
    coverage = [None if a is None or c is None else _estimate(c.coverage().minus(a.coverage())) for a, c in known]
    risk = [None if a is None or c is None else _estimate(c.risk().minus(a.risk())) for a, c in known]
    columns = [
        Column("target", "Wrong answers, at most", [_target(own) for own, _ in pairs]),
        Column("minus", "Cascade minus", [own.name for own, _ in pairs]),
        Column("answered", "Answered on test [95%]", coverage, Kind.POINTS),
        Column("wrong", "Wrong of these [95%]", risk, Kind.POINTS),
    ]
    notes = ["In percentage points; paired intervals, by bootstrap over groups."]
    return Table("cascade_differences", "The cascade against either run alone", columns, notes)


def _target(own: Contender) -> str:
    return f"{100 * own.guarantee.target.risk:g}%"


def _certified(own: Contender) -> Estimate | None:
    outcome = own.guarantee.outcome
    return Estimate(outcome.coverage) if isinstance(outcome, Certified) else None


def _estimate(share: Share) -> Estimate:
    low, high = defined(share.ci) or (None, None)
    return Estimate(share.value, low, high)
