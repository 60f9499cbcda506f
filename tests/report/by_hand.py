"""Figures written by hand; what a test does not name is of no concern to it."""

from typing import Any

from report.synthetic_run import origin

from aspire_llm.results.metrics import Answered, RunMetrics
from aspire_llm.selection import Difference, MethodMetrics, Undefined

NO_CI = Undefined("one group")
Interval = tuple[float, float]


def figures(auroc: float | str, auacc: float = 0.5, **more: Any) -> MethodMetrics:
    """The figures of a method; an AUROC in words is the reason why there is none."""
    values: dict[str, Any] = {
        "accuracy": 0.5,
        "accuracy_ci": NO_CI,
        "auroc": Undefined(auroc) if isinstance(auroc, str) else auroc,
        "auroc_ci": NO_CI,
        "auacc": auacc,
        "auacc_ci": NO_CI,
        "aurc": 0.1,
        "e_aurc": 0.05,
        "prr": Undefined("one class"),
        "accuracy_at_coverage": {0.5: 0.9, 0.8: 0.7, 0.9: 0.6},
        "coverage_at_risk": {0.05: 0.2, 0.1: 0.3},
        "tied_share": 0.0,
    }
    return MethodMetrics(**values | more)


def around(auroc: float, auacc: float) -> MethodMetrics:
    """Figures with intervals of ± 2 and of ± 1 points."""
    return figures(auroc, auacc, auroc_ci=(auroc - 0.02, auroc + 0.02), auacc_ci=(auacc - 0.01, auacc + 0.01))


def difference(estimate: float | None, ci: Interval | None = None) -> Difference:
    """A paired difference."""
    return Difference(Undefined("it is undefined") if estimate is None else estimate, NO_CI if ci is None else ci)


def run_metrics(methods: dict[str, MethodMetrics], **more: Any) -> RunMetrics:
    """The figures of a run; methods whose names say so score untuned answers."""
    values: dict[str, Any] = {
        "n": 200,
        "accuracy": 0.8,
        "accuracy_ci": NO_CI,
        "accuracy_before": 0.25,
        "accuracy_before_ci": None,
        "malformed": 0.0,
        "answered": Answered(1.0, 0.8),
        "methods": methods,
        "origins": {name: origin(name) for name in methods},
        "differences": {},
        "confidence": None,
        "notes": (),
    }
    return RunMetrics(**values | more)
