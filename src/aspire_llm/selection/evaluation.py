"""All figures of all methods, and what sets the reference method apart: the content of `metrics.json`."""

import os
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from typing import Any

import numpy as np

from aspire_llm.errors import ConfigError, DataError
from aspire_llm.records import MethodScores
from aspire_llm.records.fields import Kind, by_name, field, maybe, number
from aspire_llm.selection import metrics
from aspire_llm.selection.bootstrap import Draws, Interval, bootstrap, group_weights, percentile_interval
from aspire_llm.selection.outcomes import Undefined, figure_from_json, figure_to_json, interval_from_json
from aspire_llm.selection.reliability import ConfidenceMetrics

COVERAGES = (0.5, 0.8, 0.9)
RISKS = (0.05, 0.1)


@dataclass(frozen=True, slots=True)
class MethodMetrics:
    """Figures of one method; all are shares from 0 to 1, intervals cover 95%.

    Attributes:
        accuracy: Share of right answers at full coverage, the same for every method on the same answers.
        auroc, prr: Undefined where all answers are right or all wrong.
        accuracy_ci, auroc_ci, auacc_ci: Bootstrap over groups; undefined with a single group.
        accuracy_at_coverage: By coverage.
        coverage_at_risk: By risk.
    """

    accuracy: float
    accuracy_ci: Interval | Undefined
    auroc: float | Undefined
    auroc_ci: Interval | Undefined
    auacc: float
    auacc_ci: Interval | Undefined
    aurc: float
    e_aurc: float
    prr: float | Undefined
    accuracy_at_coverage: dict[float, float]
    coverage_at_risk: dict[float, float]
    tied_share: float

    def to_json(self) -> dict[str, Any]:
        """Named values; an undefined figure is null with a reason beside it."""
        content: dict[str, Any] = {
            "accuracy": self.accuracy,
            **figure_to_json("accuracy_ci", self.accuracy_ci),
            **figure_to_json("auroc", self.auroc),
            **figure_to_json("auroc_ci", self.auroc_ci),
            "auacc": self.auacc,
            **figure_to_json("auacc_ci", self.auacc_ci),
            "aurc": self.aurc,
            "e_aurc": self.e_aurc,
            **figure_to_json("prr", self.prr),
        }
        content["accuracy_at_coverage"] = {
            str(coverage): value for coverage, value in self.accuracy_at_coverage.items()
        }
        content["coverage_at_risk"] = {str(risk): value for risk, value in self.coverage_at_risk.items()}
        content["tied_share"] = self.tied_share
        return content

    @classmethod
    def from_json(cls, content: Any) -> "MethodMetrics":
        """The record that `to_json` wrote."""
        return cls(
            accuracy=field(content, "accuracy", number),
            accuracy_ci=interval_from_json("accuracy_ci", content),
            auroc=figure_from_json("auroc", content),
            auroc_ci=interval_from_json("auroc_ci", content),
            auacc=field(content, "auacc", number),
            auacc_ci=interval_from_json("auacc_ci", content),
            aurc=field(content, "aurc", number),
            e_aurc=field(content, "e_aurc", number),
            prr=figure_from_json("prr", content),
            accuracy_at_coverage=field(content, "accuracy_at_coverage", _at_each(COVERAGES)),
            coverage_at_risk=field(content, "coverage_at_risk", _at_each(RISKS)),
            tied_share=field(content, "tied_share", number),
        )


@dataclass(frozen=True, slots=True)
class Difference:
    """Reference method minus a rival in one metric; the interval is of the paired bootstrap."""

    estimate: float | Undefined
    ci: Interval | Undefined

    def to_json(self) -> dict[str, Any]:
        """Named values; an undefined figure is null with a reason beside it."""
        return {**figure_to_json("estimate", self.estimate), **figure_to_json("ci", self.ci)}

    @classmethod
    def from_json(cls, content: Any) -> "Difference":
        """The record that `to_json` wrote."""
        return cls(figure_from_json("estimate", content), interval_from_json("ci", content))


@dataclass(frozen=True, slots=True)
class Evaluation:
    """What `evaluate` found.

    Attributes:
        methods: Figures by method name.
        differences: By "reference - rival", then by metric (auroc, auacc).
        confidence: Of the answers that are given; None where they have none.
    """

    methods: dict[str, MethodMetrics]
    differences: dict[str, dict[str, Difference]]
    confidence: ConfidenceMetrics | None

    def to_json(self) -> dict[str, Any]:
        """The keys `methods`, `differences` and `confidence` of `metrics.json`; an undefined figure is null with a
        reason beside it."""
        return {
            "methods": {name: figures.to_json() for name, figures in self.methods.items()},
            "differences": {
                pair: {metric: difference.to_json() for metric, difference in by_metric.items()}
                for pair, by_metric in self.differences.items()
            },
            "confidence": None if self.confidence is None else self.confidence.to_json(),
        }

    @classmethod
    def from_json(cls, content: Any) -> "Evaluation":
        """The record that `to_json` wrote."""
        return cls(
            methods=field(content, "methods", by_name(MethodMetrics.from_json)),
            differences=field(content, "differences", by_name(_differences_from_json)),
            confidence=field(content, "confidence", maybe(ConfidenceMetrics.from_json)),
        )


def evaluate(
    methods: Sequence[MethodScores],
    *,
    reference_method: str = "aspire",
    seed: int,
    num_resamples: int = 1000,
    confidence: MethodScores | None = None,
) -> Evaluation:
    """Score every method, and the reference method against each rival on the same answers.

    Args:
        methods: One entry per method. Methods of another model (other `correct`) are scored but not compared.
        reference_method: The name of the method that the differences are about.
        seed: Of the bootstrap.
        num_resamples: Of the bootstrap.
        confidence: Calibrated probability of each answer that is given (other methods may score others), or None.

    Raises:
        ConfigError: The reference method is missing, or a name stands twice.
        DataError: A method's scores, answers and groups differ in number, or a score is not finite.
    """
    names = [method.name for method in methods]
    if reference_method not in names or len(set(names)) < len(names):
        raise ConfigError(f"methods are {', '.join(names)}; each must stand once and {reference_method} among them")
    for method in methods:
        _check(method)
    group_weights(methods[0].groups, seed, num_resamples)  # drawn now and kept: each thread would draw them for itself
    with ThreadPoolExecutor(os.cpu_count()) as threads:  # numpy lets several work at once
        drawn = threads.map(lambda own: bootstrap(own, seed=seed, num_resamples=num_resamples), methods)
        draws = dict(zip(names, drawn, strict=True))
    figures = {method.name: _method_metrics(method, draws[method.name]) for method in methods}
    reference = next(method for method in methods if method.name == reference_method)
    differences = {
        f"{reference_method} - {rival.name}": _differences(
            figures[reference_method], draws[reference_method], figures[rival.name], draws[rival.name]
        )
        for rival in methods
        if rival is not reference and (rival.correct, rival.groups) == (reference.correct, reference.groups)
    }
    calibration = None
    if confidence is not None:
        calibration = ConfidenceMetrics.of(confidence.correct, confidence.scores, confidence.groups, seed=seed)
    return Evaluation(figures, differences, calibration)


def _method_metrics(method: MethodScores, draws: Draws | Undefined) -> MethodMetrics:
    correct, score = np.asarray(method.correct, dtype=np.bool_), np.asarray(method.scores, dtype=np.float64)
    return MethodMetrics(
        accuracy=float(correct.mean()),
        accuracy_ci=draws if isinstance(draws, Undefined) else percentile_interval(draws.accuracy),
        auroc=metrics.auroc(correct, score),
        auroc_ci=draws if isinstance(draws, Undefined) else percentile_interval(draws.auroc),
        auacc=metrics.auacc(correct, score),
        auacc_ci=draws if isinstance(draws, Undefined) else percentile_interval(draws.auacc),
        aurc=metrics.aurc(correct, score),
        e_aurc=metrics.e_aurc(correct, score),
        prr=metrics.prr(correct, score),
        accuracy_at_coverage={c: metrics.accuracy_at_coverage(correct, score, c) for c in COVERAGES},
        coverage_at_risk={r: metrics.coverage_at_risk(correct, score, r) for r in RISKS},
        tied_share=metrics.tied_share(score),
    )


def _differences(
    reference: MethodMetrics, reference_draws: Draws | Undefined, rival: MethodMetrics, rival_draws: Draws | Undefined
) -> dict[str, Difference]:
    auroc_ci: Interval | Undefined
    auacc_ci: Interval | Undefined
    if isinstance(reference_draws, Undefined) or isinstance(rival_draws, Undefined):
        auroc_ci = auacc_ci = Undefined("all answers stem from one group; an interval takes at least two")
    else:
        paired = reference_draws.minus(rival_draws)
        auroc_ci, auacc_ci = percentile_interval(paired.auroc), percentile_interval(paired.auacc)
    if isinstance(reference.auroc, Undefined) or isinstance(rival.auroc, Undefined):
        auroc = Difference(Undefined("AUROC takes both right and wrong answers"), auroc_ci)
    else:
        auroc = Difference(reference.auroc - rival.auroc, auroc_ci)
    return {"auroc": auroc, "auacc": Difference(reference.auacc - rival.auacc, auacc_ci)}


def _differences_from_json(content: Any) -> dict[str, Difference]:
    return {metric: field(content, metric, Difference.from_json) for metric in ("auroc", "auacc")}


def _at_each(shares: Sequence[float]) -> Kind[dict[float, float]]:
    """Figures by the share that they are at, among which these must be."""

    def read(content: Any) -> dict[float, float]:
        found = {number(float(share)): value for share, value in by_name(number)(content).items()}
        if lacking := [share for share in shares if share not in found]:
            raise ValueError(f"{lacking[0]} is missing")
        return found

    return read


def _check(method: MethodScores) -> None:
    sizes = len(method.scores), len(method.correct), len(method.groups)
    if len(set(sizes)) > 1 or not sizes[0]:
        raise DataError(
            f"method {method.name} has {sizes} scores, answers and groups; need one of each for every answer"
        )
    bad = int((~np.isfinite(np.asarray(method.scores, dtype=np.float64))).sum())
    if bad:
        raise DataError(
            f"method {method.name} has {bad} scores of {sizes[0]} that are NaN or infinite; drop it or mend it"
        )
