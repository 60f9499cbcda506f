"""ASPIRE against its rivals: paired differences, and quality against cost."""

from collections.abc import Sequence
from dataclasses import dataclass

from matplotlib.ticker import FixedLocator, FuncFormatter, NullLocator

from aspire_llm.report.canvas import PAGE_COLOURS, SIZE, new_figure, percent_axes, to_svg
from aspire_llm.report.methods import REFERENCE, family_of, method_label, method_style
from aspire_llm.report.placing import Label, label_points

_LABEL_SIZE = 8.5
_ROW_HEIGHT, _AXIS_HEIGHT = 0.25, 0.62  # inches
_TICKS = [1, 1.5, 2, 3, 5, 10, 20, 30, 50, 100, 200, 300, 500, 1000]


@dataclass(frozen=True, slots=True)
class IntervalRow:
    """An estimate of a method with its 95% interval, as shares."""

    method: str
    estimate: float
    ci: tuple[float, float]


@dataclass(frozen=True, slots=True)
class CostPoint:
    """What a method costs and is worth.

    Attributes:
        relative: Time of answering with the method over the time of answering alone, at least 1.
        auroc: With its 95% interval, or None where it has none.
    """

    method: str
    relative: float
    auroc: float
    ci: tuple[float, float] | None


def differences_svg(rows: Sequence[IntervalRow]) -> str:
    """Paired AUROC differences in points, a line a rival, in the order given."""
    height = _AXIS_HEIGHT + _ROW_HEIGHT * max(len(rows), 3)
    bottom = _AXIS_HEIGHT / height
    figure, axes = new_figure(PAGE_COLOURS, (SIZE[0], height), (0.41, bottom, 0.55, 0.99 - bottom))
    axes.axvline(0.0, color=PAGE_COLOURS["ink"], linewidth=1)
    for place, row in enumerate(rows):
        colour = PAGE_COLOURS[method_style(row.method).role]
        low, high = (100 * bound for bound in row.ci)
        axes.plot([low, high], [place, place], color=colour, linewidth=2.4, solid_capstyle="round")
        axes.plot([100 * row.estimate], [place], "o", color=colour, markersize=6)
    axes.set_yticks(range(len(rows)), [method_label(row.method) for row in rows], fontsize=9)
    axes.tick_params(axis="y", colors=PAGE_COLOURS["ink"])
    axes.set(ylim=(max(len(rows), 3) - 0.5, -0.5), xlabel="AUROC points by which ASPIRE is ahead")
    axes.grid(visible=False, axis="y")
    axes.margins(x=0.06)
    return to_svg(figure, "differences", "Differences in AUROC between ASPIRE and each rival with 95% intervals")


def cost_quality_svg(points: Sequence[CostPoint]) -> str:
    """AUROC against relative cost on a logarithmic axis; every point is labelled."""
    size = SIZE[0], max(SIZE[1], 0.24 * len(points))
    figure, axes = new_figure(PAGE_COLOURS, size)
    axes.set_xscale("log")
    dearest = max(point.relative for point in points)
    bounds = [bound for point in points for bound in (point.ci or (point.auroc, point.auroc))]
    margin = 0.06 * (max(bounds) - min(bounds)) + 0.005
    # Most methods cost next to nothing: the room for their labels lies right of 1.
    axes.set(xlim=(0.93, max(1.5, dearest**1.25)), ylim=(min(bounds) - margin, max(bounds) + margin))
    for point in points:
        colour = PAGE_COLOURS[method_style(point.method).role]
        if point.ci is not None:
            axes.plot([point.relative] * 2, point.ci, color=colour, linewidth=1.6, alpha=0.45)
        size_of_marker = 8 if point.method == REFERENCE else 5.5
        axes.plot([point.relative], [point.auroc], "o", color=colour, markersize=size_of_marker)
    ordered = sorted(points, key=lambda point: -point.auroc)
    labels = [
        Label(method_label(at.method), at.relative, at.auroc, at.ci, PAGE_COLOURS[f"{family_of(at.method)}-1"])
        for at in ordered
    ]
    label_points(axes, labels, _LABEL_SIZE)
    ticks = [tick for tick in _TICKS if tick <= axes.get_xlim()[1]]
    if len(ticks) > 7:
        ticks = [tick for tick in ticks if tick not in (1.5, 3, 30, 300)]
    axes.xaxis.set_major_locator(FixedLocator(ticks))
    axes.xaxis.set_minor_locator(NullLocator())
    axes.xaxis.set_major_formatter(FuncFormatter(lambda value, _: f"×{value:g}"))
    percent_axes(axes.yaxis)
    axes.set(xlabel="Time a question, relative to answering once", ylabel="AUROC")
    return to_svg(figure, "cost-quality", "AUROC of each method with its 95% interval, by relative cost")
