"""Is a cascade worth it? Pairs of finished runs, pooled: what it answers and gets wrong beside either run alone.

`python -m evidence.cascade SMALL LARGE [SMALL LARGE …]`: each pair, such as the runs of one seed, is certified on its
common calibration questions and held against its common test questions. Shares are over all pairs, with paired
intervals by bootstrap over groups; a question that stands in several pairs is drawn in all of them or in none.
"""

import argparse
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

from aspire_llm.errors import ConfigError
from aspire_llm.records import Split
from aspire_llm.report import contenders
from aspire_llm.report.tables import percent, points
from aspire_llm.results.cascade import CascadeRun, CertifiedCascade, certify_pairs, judged_pairs
from aspire_llm.results.common_answers import CommonAnswers, StoredAnswers
from aspire_llm.selection import Certified, RiskTarget, defined
from aspire_llm.selection.cascading import JudgedPairs
from aspire_llm.selection.decided import Decided, Share

RISKS = (0.1, 0.2, 0.3)
NAMES = ("small", "large", "cascade")


@dataclass(frozen=True, slots=True)
class Outcome:
    """Of one way to answer, over all pairs.

    Attributes:
        name: Of it.
        certified: Share of the pairs that certified a threshold.
        promised: Mean share of the calibration questions that are answered; 0 where nothing is certified.
        asks_large: Mean share of the test questions that the large run has to answer.
        test: What came of it.
    """

    name: str
    certified: float
    promised: float
    asks_large: float
    test: Decided


def outcomes(pairs: Sequence[dict[Split, JudgedPairs]], target: RiskTarget) -> list[Outcome]:
    """Small, large and cascade.

    Args:
        pairs: Answers to common validation, calibration and test questions, of each pair of runs.
        target: To be guaranteed.
    """
    runs = [CascadeRun(name, Path(), "") for name in NAMES[:2]]
    found = []
    for own in pairs:
        promise = certify_pairs(own, target, score="")
        cascade = CertifiedCascade(runs[0], runs[1], own[Split.CALIBRATION].path, (promise,))
        found.append(contenders(cascade, promise, own, (None, None)))
    pooled = []
    for name, ways in zip(NAMES, zip(*found, strict=True), strict=True):
        certified = [way.guarantee.outcome for way in ways if isinstance(way.guarantee.outcome, Certified)]
        pooled.append(
            Outcome(
                name,
                certified=len(certified) / len(pairs),
                promised=sum(own.coverage for own in certified) / len(pairs),
                asks_large=sum(way.asks_large or 0.0 for way in ways) / len(pairs),
                test=Decided.pooled([way.test for way in ways if way.test is not None]),
            )
        )
    return pooled


def read_pair(small: Path, large: Path) -> dict[Split, JudgedPairs]:
    """The common answers of two finished runs.

    Raises:
        ConfigError: They have no test question in common.
    """
    pairs = judged_pairs(CommonAnswers.of(StoredAnswers.read(small), StoredAnswers.read(large)))
    if Split.TEST not in pairs:
        raise ConfigError(f"{small} and {large} have no test question in common; nothing can be said of them")
    return pairs


def lines(found: Sequence[Outcome], target: RiskTarget) -> Iterator[str]:
    """Rows of a Markdown table."""
    *alone, cascade = found
    for own in found:
        coverage, risk = own.test.coverage(), own.test.risk()
        cells = [f"{100 * target.risk:g}%", own.name, percent(own.certified), percent(own.promised)]
        yield f"| {' | '.join([*cells, _shown(coverage), _shown(risk), percent(own.asks_large)])} |"
    for own in alone:
        coverage = cascade.test.coverage().minus(own.test.coverage())
        risk = cascade.test.risk().minus(own.test.risk())
        cells = [f"{100 * target.risk:g}%", f"cascade − {own.name}", "", ""]
        yield f"| {' | '.join([*cells, _shown(coverage, points), _shown(risk, points), ''])} |"


def _shown(share: Share, words: Callable[[float], str] = percent) -> str:
    bounds = defined(share.ci)
    if share.value is None:
        return "–"
    return words(share.value) + (f" [{words(bounds[0])}, {words(bounds[1])}]" if bounds else "")


def main(arguments: Sequence[str] | None = None) -> None:
    """Print a table."""
    parser = argparse.ArgumentParser(prog="python -m evidence.cascade")
    parser.add_argument("runs", type=Path, nargs="+", metavar="SMALL LARGE")
    parser.add_argument("--delta", type=float, default=0.05)
    options = parser.parse_args(arguments)
    if len(options.runs) % 2:
        parser.error(f"{len(options.runs)} runs; a pair is SMALL LARGE")
    pairs = [read_pair(*own) for own in zip(options.runs[::2], options.runs[1::2], strict=True)]
    sizes = ((split.value, " + ".join(str(len(own[split].scores)) for own in pairs)) for split in pairs[0])
    print("; ".join(f"{split}: {size}" for split, size in sizes), end="\n\n")
    print("| at most | who | certified | answered | answered on test [95%] | wrong of these [95%] | large is asked |")
    print("|---|---|---|---|---|---|---|")
    for risk in RISKS:
        target = RiskTarget(risk, options.delta)
        for line in lines(outcomes(pairs, target), target):
            print(line, flush=True)


if __name__ == "__main__":
    main()
