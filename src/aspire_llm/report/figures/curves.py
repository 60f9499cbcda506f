"""Accuracy, risk and ROC by threshold, a line per method on the same answers: as SVG, the main one also as PNG."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from matplotlib.axes import Axes
from numpy.typing import NDArray

from aspire_llm.records import Answers, MethodScores
from aspire_llm.report.figures.bands import Band, accuracy_band, group_weights
from aspire_llm.report.figures.canvas import (
    FRAME,
    PAGE_COLOURS,
    PRINT_COLOURS,
    SIZE,
    FigureView,
    draw_band,
    draw_line,
    new_figure,
    percent_axes,
    to_png,
    to_svg,
)
from aspire_llm.report.palette import Colours
from aspire_llm.report.styles import MethodStyle, method_style
from aspire_llm.selection import Undefined
from aspire_llm.selection.metrics import accuracy_coverage_curve, roc_curve

_MAX_POINTS = 300
_BAND_COVERAGES = np.linspace(0.01, 1.0, 67)
_COVERAGE_LABEL = "Coverage (questions answered)"
_SUFFIX = {Answers.TUNED: "", Answers.UNTUNED: ", before tuning"}


@dataclass(frozen=True, slots=True)
class CoverageCurve:
    """The accuracy of a method's i surest answers of n, i = 1…n, float[n]; `band` is None with a single group."""

    style: MethodStyle
    accuracy: NDArray[np.float64]
    band: Band | None


@dataclass(frozen=True, slots=True)
class CoverageCurves:
    """The curves of several methods on the same answers, and that of the ideal order, right before wrong."""

    methods: tuple[CoverageCurve, ...]
    ideal: NDArray[np.float64]

    @property
    def floor(self) -> float:
        """Where the scale of accuracy begins: a little below the lowest curve, at a multiple of 10%."""
        # The first few answers make any curve jump; they shall not set the scale.
        lowest = min(curve.accuracy[len(curve.accuracy) // 20 :].min() for curve in self.methods)
        return float(max(0.0, np.floor(10 * (lowest - 0.02)) / 10))


def curve_figures(scores: Mapping[Answers, Sequence[MethodScores]], reference: str) -> list[FigureView]:
    """Accuracy and risk by coverage, and ROC curves, of the tuned answers and then of the untuned ones.

    Answers that are all right or all wrong have no ROC curve, and untuned ones of that kind, which are common, none.
    """
    mixed = {answers: methods for answers, methods in scores.items() if methods and len(set(methods[0].correct)) == 2}
    figures = _coverage_figures(Answers.TUNED, scores[Answers.TUNED], reference) if scores[Answers.TUNED] else []
    figures += [
        FigureView(
            f"ROC curves{_SUFFIX[answers]}",
            "A lower threshold accepts more right answers, and more wrong ones. The dotted diagonal is a score that "
            "knows nothing.",
            roc_svg(methods, answers),
        )
        for answers, methods in mixed.items()
    ]
    return figures + (
        _coverage_figures(Answers.UNTUNED, mixed[Answers.UNTUNED], reference) if Answers.UNTUNED in mixed else []
    )


def _coverage_figures(answers: Answers, methods: Sequence[MethodScores], reference: str) -> list[FigureView]:
    drawn = coverage_curves(methods)
    return [
        FigureView(
            f"Accuracy by coverage{_SUFFIX[answers]}",
            "Answer only the surest questions: how accurate are the answers? The dotted line is the best possible "
            "order, with every right answer before every wrong one; bands are 95% intervals.",
            accuracy_coverage_svg(drawn, answers),
            has_slider=answers is Answers.TUNED and any(method.name == reference for method in methods),
        ),
        FigureView(
            f"Risk by coverage{_SUFFIX[answers]}",
            "The same from the other side: the share of wrong answers among those given. Lower is better.",
            risk_coverage_svg(drawn, answers),
        ),
    ]


def coverage_curves(methods: Sequence[MethodScores]) -> CoverageCurves:
    """Curves and bands of methods that score the same answers; there is at least one."""
    weights = group_weights(methods[0].groups)
    curves = [
        CoverageCurve(
            method_style(method.name),
            accuracy_coverage_curve(method.correct, method.scores),
            None if weights is None else accuracy_band(method, _BAND_COVERAGES, weights),
        )
        for method in methods
    ]
    correct = np.asarray(methods[0].correct, dtype=np.bool_)
    return CoverageCurves(tuple(curves), accuracy_coverage_curve(correct, correct))


def accuracy_coverage_svg(curves: CoverageCurves, answers: Answers) -> str:
    """Accuracy of the answers given against the share of questions answered."""
    figure, axes = new_figure()
    _draw_accuracy_coverage(axes, curves)
    low, high = axes.get_ylim()
    left, bottom, width, height = FRAME
    # Where the axes lie in the figure's own units, for the page's coverage slider.
    frame = {
        "left": 72 * SIZE[0] * left,
        "right": 72 * SIZE[0] * (left + width),
        "top": 72 * SIZE[1] * (1 - bottom - height),
        "bottom": 72 * SIZE[1] * (1 - bottom),
        "low": low,
        "high": high,
        "span": axes.get_xlim()[1],
    }
    description = f"Accuracy of the {answers} model’s answers, by share of questions answered, a line per method"
    return to_svg(figure, f"accuracy-coverage-{answers}", description, frame)


def risk_coverage_svg(curves: CoverageCurves, answers: Answers) -> str:
    """Share of wrong answers among those given against the share of questions answered."""
    figure, axes = new_figure()
    _draw_curves(axes, curves, risk=True)
    top = 1.0 - curves.floor
    axes.set(xlim=(0, 1.01), ylim=(-0.02 * top, top), xlabel=_COVERAGE_LABEL, ylabel="Risk (wrong answers given)")
    percent_axes(axes.xaxis, axes.yaxis)
    description = f"Risk of the {answers} model’s answers, by share of questions answered, a line per method"
    return to_svg(figure, f"risk-coverage-{answers}", description)


def roc_svg(methods: Sequence[MethodScores], answers: Answers) -> str:
    """Share of right answers accepted against the share of wrong ones; methods without an ROC curve are left out."""
    figure, axes = new_figure()
    axes.plot([0, 1], [0, 1], color=PAGE_COLOURS["muted"], linewidth=1, dashes=(1, 2))
    for method in reversed(methods):
        curve = roc_curve(method.correct, method.scores)
        if not isinstance(curve, Undefined):
            keep = _thinned(len(curve[0]))
            draw_line(axes, method_style(method.name), curve[0][keep], curve[1][keep])
    axes.set(xlim=(-0.01, 1.01), ylim=(-0.01, 1.01), xlabel="Wrong answers accepted", ylabel="Right answers accepted")
    percent_axes(axes.xaxis, axes.yaxis)
    description = f"ROC curves on the {answers} model’s answers: right answers accepted, by wrong answers accepted"
    return to_svg(figure, f"roc-{answers}", description)


def accuracy_coverage_png(methods: Sequence[MethodScores], path: Path) -> None:
    """Write the first of these figures, with a legend, as a PNG file."""
    figure, axes = new_figure(colours=PRINT_COLOURS)
    _draw_accuracy_coverage(axes, coverage_curves(methods), PRINT_COLOURS)
    axes.legend(loc="lower left", frameon=False, fontsize=9, labelcolor=PRINT_COLOURS["ink"], reverse=True)
    to_png(figure, path)


def _draw_accuracy_coverage(axes: Axes, curves: CoverageCurves, colours: Colours = PAGE_COLOURS) -> None:
    _draw_curves(axes, curves, colours)
    floor = curves.floor
    axes.set(xlim=(0, 1.01), ylim=(floor, 1.0 + 0.02 * (1 - floor)))
    axes.set(xlabel=_COVERAGE_LABEL, ylabel="Accuracy of the answers given")
    percent_axes(axes.xaxis, axes.yaxis)


def _draw_curves(axes: Axes, curves: CoverageCurves, colours: Colours = PAGE_COLOURS, *, risk: bool = False) -> None:
    """Bands below, lines above, ASPIRE's on top; with `risk` one minus the accuracy."""

    def shown(accuracy: NDArray[Any]) -> NDArray[Any]:
        return 1.0 - accuracy if risk else accuracy

    n = len(curves.ideal)
    keep = _thinned(n)
    coverage = (keep + 1) / n
    for curve in curves.methods:
        if curve.band is not None:
            low, high = shown(curve.band.low), shown(curve.band.high)
            draw_band(axes, curve.style, _BAND_COVERAGES, low, high, colours)
    ideal = shown(curves.ideal[keep])
    axes.plot(coverage, ideal, color=colours["muted"], linewidth=1, dashes=(1, 2), label="Ideal order")
    for curve in reversed(curves.methods):
        draw_line(axes, curve.style, coverage, shown(curve.accuracy[keep]), colours)


def _thinned(n: int) -> NDArray[np.int64]:
    """Indices of at most a few hundred of n points, the first and the last among them."""
    return np.unique(np.linspace(0, n - 1, min(n, _MAX_POINTS)).round().astype(np.int64))
