"""The figures of the report as inline SVG, and the main one as a PNG file."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from matplotlib.axes import Axes
from matplotlib.ticker import PercentFormatter
from numpy.typing import NDArray

from aspire_llm.errors import RunDirectoryError
from aspire_llm.records import MethodScores
from aspire_llm.report.canvas import FRAME, PAGE_COLOURS, PRINT_COLOURS, SIZE, Colours, new_figure, to_png, to_svg
from aspire_llm.report.labels import method_label
from aspire_llm.report.run_results import AnswerRow, read_run_results
from aspire_llm.selection.metrics import accuracy_coverage_curve, roc_curve
from aspire_llm.selection.outcomes import Undefined

_KNOWN_METHODS = ("aspire", "perplexity", "self_evaluation", "sequence_log_probability", "perplexity_untuned")
# Lengths of dash and gap, so that methods stay apart without colour too.
_DASHES: tuple[tuple[float, ...], ...] = ((), (6, 2.5), (1.5, 2), (7, 2, 1.5, 2), (3, 1.5))
_MAX_POINTS = 400


@dataclass(frozen=True, slots=True)
class LineStyle:
    """How a method is drawn, in figures and legends alike."""

    label: str
    role: str
    dashes: tuple[float, ...]
    width: float

    @property
    def dash_array(self) -> str:
        """The dashes as the value of SVG's stroke-dasharray."""
        return " ".join(str(length) for length in self.dashes) or "none"


def line_style(name: str) -> LineStyle:
    """The style of a method, the same in every figure; methods without one of their own share the last."""
    place = _KNOWN_METHODS.index(name) if name in _KNOWN_METHODS else len(_KNOWN_METHODS) - 1
    return LineStyle(method_label(name), f"method-{place + 1}", _DASHES[place], 2.2 if place == 0 else 1.5)


def accuracy_coverage_svg(methods: Sequence[MethodScores]) -> str:
    """Accuracy of the answers given against the share of questions answered, a line a method on the same answers."""
    figure, axes = new_figure(PAGE_COLOURS)
    _draw_accuracy_coverage(axes, methods, PAGE_COLOURS)
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
    return to_svg(figure, "accuracy-coverage", "Accuracy of the answers given, by share of questions answered", frame)


def on_same_answers(methods: Sequence[MethodScores]) -> list[MethodScores]:
    """The methods that score the same answers as the first one does.

    The accuracy of another model's answers says nothing about a score, and would squeeze the scale besides.
    """
    return [method for method in methods if method.correct == methods[0].correct]


def roc_svg(methods: Sequence[MethodScores]) -> str:
    """Share of right answers accepted against the share of wrong ones; methods without an ROC curve are left out."""
    figure, axes = new_figure(PAGE_COLOURS)
    axes.plot([0, 1], [0, 1], color=PAGE_COLOURS["muted"], linewidth=1, dashes=(1, 2))
    for method in reversed(methods):
        curve = roc_curve(method.correct, method.scores)
        if not isinstance(curve, Undefined):
            keep = _thinned(len(curve[0]))
            _plot(axes, method.name, curve[0][keep], curve[1][keep], PAGE_COLOURS)
    axes.set(xlim=(-0.01, 1.01), ylim=(-0.01, 1.01), xlabel="Wrong answers accepted", ylabel="Right answers accepted")
    _percent_axes(axes)
    return to_svg(figure, "roc", "ROC curves: right answers accepted, by wrong answers accepted")


def score_histogram_svg(rows: Sequence[AnswerRow]) -> str:
    """Histograms of the selection score of right and of wrong answers; the lowest 1% of scores join the first bin."""
    figure, axes = new_figure(PAGE_COLOURS)
    judged = [row for row in rows if row.selection_score is not None and row.correct is not None]
    scores = np.array([row.selection_score for row in judged], dtype=np.float64)
    right = np.array([row.correct for row in judged], dtype=np.bool_)
    low, high = np.quantile(scores[np.isfinite(scores)], [0.01, 1.0])
    edges = np.linspace(low, high if high > low else low + 1.0, 31)
    for role, chosen in (("right", right), ("wrong", ~right)):
        counts, _ = np.histogram(np.clip(scores[chosen], low, high), edges)
        axes.stairs(counts, edges, fill=True, alpha=0.25, color=PAGE_COLOURS[role])
        axes.stairs(counts, edges, linewidth=1.6, color=PAGE_COLOURS[role])
    threshold = _threshold(judged)
    if threshold is not None and low <= threshold <= high:
        axes.axvline(threshold, color=PAGE_COLOURS["ink"], linewidth=1.2, dashes=(4, 3))
    axes.set(xlabel="Selection score (nats)", ylabel="Answers")
    return to_svg(figure, "histogram", "Histogram of the selection score of right and of wrong answers")


def differences_svg(differences: Mapping[str, tuple[float, Sequence[float]]]) -> str:
    """Paired AUROC differences, in points; `differences` maps a rival to the estimate and its interval, as shares."""
    figure, axes = new_figure(PAGE_COLOURS)
    axes.axvline(0.0, color=PAGE_COLOURS["ink"], linewidth=1)
    for place, (rival, (estimate, (low, high))) in enumerate(differences.items()):
        colour = PAGE_COLOURS[line_style(rival).role]
        axes.plot([100 * low, 100 * high], [place, place], color=colour, linewidth=2.4, solid_capstyle="round")
        axes.plot([100 * estimate], [place], "o", color=colour, markersize=7)
        axes.annotate(
            method_label(rival), (100 * estimate, place), (0, 9), textcoords="offset points", ha="center", color=colour
        )
    axes.set(ylim=(len(differences) - 0.4, -0.8), yticks=[], xlabel="Points of AUROC; right of zero ASPIRE is ahead")
    axes.spines["left"].set_visible(False)
    axes.grid(visible=False, axis="y")
    axes.margins(x=0.25)
    return to_svg(figure, "differences", "Differences in AUROC between ASPIRE and each rival with 95% intervals")


def write_accuracy_coverage_png(run_dir: Path, path: Path) -> Path:
    """Draw a run's accuracy–coverage curves into a PNG file.

    Raises:
        RunDirectoryError: The run directory holds no judged answers.
    """
    methods = on_same_answers(read_run_results(run_dir).method_scores())
    if not methods:
        raise RunDirectoryError(f"{run_dir} holds no judged answers to draw; run `aspire-llm evaluate {run_dir}` first")
    figure, axes = new_figure(PRINT_COLOURS)
    _draw_accuracy_coverage(axes, methods, PRINT_COLOURS)
    axes.legend(loc="lower left", frameon=False, fontsize=9, labelcolor=PRINT_COLOURS["ink"], reverse=True)
    to_png(figure, path)
    return path


def _draw_accuracy_coverage(axes: Axes, methods: Sequence[MethodScores], colours: Colours) -> None:
    correct = np.asarray(methods[0].correct, dtype=np.bool_)
    coverage = np.arange(1, len(correct) + 1) / len(correct)
    keep = _thinned(len(correct))
    ideal = accuracy_coverage_curve(correct, correct)
    axes.plot(coverage[keep], ideal[keep], color=colours["muted"], linewidth=1, dashes=(1, 2), label="Ideal order")
    lowest = [correct.mean()]
    for method in reversed(methods):
        curve = accuracy_coverage_curve(method.correct, method.scores)
        keep = _thinned(len(curve))
        _plot(axes, method.name, (np.arange(1, len(curve) + 1) / len(curve))[keep], curve[keep], colours)
        # The first few answers make any curve jump; they shall not set the scale.
        lowest.append(curve[len(curve) // 20 :].min())
    floor = max(0.0, np.floor(10 * (min(lowest) - 0.02)) / 10)
    axes.set(xlim=(0, 1.01), ylim=(floor, 1.0 + 0.02 * (1 - floor)))
    axes.set(xlabel="Coverage (questions answered)", ylabel="Accuracy of the answers given")
    _percent_axes(axes)


def _plot(axes: Axes, name: str, x: NDArray[Any], y: NDArray[Any], colours: Colours) -> None:
    style = line_style(name)
    linestyle = (0, style.dashes) if style.dashes else "-"
    axes.plot(x, y, color=colours[style.role], linewidth=style.width, linestyle=linestyle, label=style.label)


def _threshold(rows: Sequence[AnswerRow]) -> float | None:
    """The lowest score that was answered, where scores alone explain who abstained."""
    answered = [row.selection_score for row in rows if not row.abstained and row.selection_score is not None]
    withheld = [row.selection_score for row in rows if row.abstained and row.selection_score is not None]
    return min(answered) if answered and withheld and max(withheld) <= min(answered) else None


def _thinned(n: int) -> NDArray[Any]:
    """Indices of at most a few hundred of n points, the first and the last among them."""
    return np.unique(np.linspace(0, n - 1, min(n, _MAX_POINTS)).round().astype(np.int64))


def _percent_axes(axes: Axes) -> None:
    for axis in (axes.xaxis, axes.yaxis):
        axis.set_major_formatter(PercentFormatter(1.0, decimals=0))
