"""ASPIRE against its rivals: paired differences, and quality against cost."""

from collections.abc import Mapping

from matplotlib.axis import XAxis
from matplotlib.ticker import FixedLocator, FuncFormatter, NullLocator

from aspire_llm.methods.catalogue import PROPOSED, family_of, method_label
from aspire_llm.records import Answers
from aspire_llm.report.estimates import estimate
from aspire_llm.report.figures.canvas import PAGE_COLOURS, SIZE, FigureView, new_figure, percent_axes, to_svg
from aspire_llm.report.figures.placing import Label, label_points
from aspire_llm.report.run_results import RunResults
from aspire_llm.report.styles import method_style
from aspire_llm.report.tables import Estimate
from aspire_llm.report.wording import split_pair

_LABEL_SIZE = 8.5
_ROW_HEIGHT, _AXIS_HEIGHT = 0.25, 0.62  # inches
_TICKS = [1, 1.5, 2, 3, 5, 10, 20, 30, 50, 100, 200, 300, 500, 1000]


def rival_figures(results: RunResults) -> list[FigureView]:
    """Paired differences where they have intervals, and quality against cost where it was measured."""
    figures = []
    differences = {
        split_pair(pair)[1]: estimate(by_metric["auroc"].estimate, by_metric["auroc"].ci)
        for pair, by_metric in results.metrics.differences.items()
    }
    if known := {rival: own for rival, own in differences.items() if own.value is not None and own.low is not None}:
        figures.append(
            FigureView(
                f"{method_label(results.metrics.reference)} against each rival",
                "Differences in AUROC on the same answers with 95% intervals from a paired bootstrap over groups, the "
                "strongest rival first. An interval that crosses zero shows no difference.",
                differences_svg(known, method_label(results.metrics.reference)),
            )
        )
    measured = {
        name: (results.costs[name].relative, auroc)
        for name, figure in results.methods.items()
        if name in results.costs
        and results.metrics.origins[name].answers is Answers.TUNED
        and (auroc := estimate(figure.auroc, figure.auroc_ci)).value is not None
    }
    if measured:
        figures.append(
            FigureView(
                "What quality costs",
                "AUROC on the tuned answers with 95% intervals, against the time per question with the method "
                "compared with answering alone. Up and to the left is better.",
                cost_quality_svg(measured),
                labelled=True,
            )
        )
    return figures


def differences_svg(rivals: Mapping[str, Estimate], reference: str) -> str:
    """Paired AUROC differences in points by rival, each with its interval, the strongest rival first."""
    ordered = sorted(rivals, key=lambda name: (rivals[name].value or 0.0, name))
    num_rows = max(len(ordered), 3)
    height = _AXIS_HEIGHT + _ROW_HEIGHT * num_rows
    bottom = _AXIS_HEIGHT / height
    figure, axes = new_figure((SIZE[0], height), (0.41, bottom, 0.55, 0.99 - bottom))
    axes.axvline(0.0, color=PAGE_COLOURS["ink"], linewidth=1)
    for place, name in enumerate(ordered):
        colour = PAGE_COLOURS[method_style(name).role]
        value, *bounds = (100 * (part or 0.0) for part in (rivals[name].value, rivals[name].low, rivals[name].high))
        axes.plot(bounds, [place, place], color=colour, linewidth=2.4, solid_capstyle="round")
        axes.plot([value], [place], "o", color=colour, markersize=6)
    axes.set_yticks(range(len(ordered)), list(map(method_label, ordered)), fontsize=9)
    axes.tick_params(axis="y", colors=PAGE_COLOURS["ink"])
    axes.set(ylim=(num_rows - 0.5, -0.5), xlabel="AUROC points by which ASPIRE is ahead")
    axes.grid(visible=False, axis="y")
    axes.margins(x=0.06)
    return to_svg(figure, "differences", f"Differences in AUROC between {reference} and each rival with 95% intervals")


def cost_quality_svg(methods: Mapping[str, tuple[float, Estimate]]) -> str:
    """AUROC against relative cost on a logarithmic axis; every point is labelled.

    Args:
        methods: By name, the time of answering with the method over the time of answering alone (at least 1), and the
            AUROC.
    """
    figure, axes = new_figure((SIZE[0], max(SIZE[1], 0.24 * len(methods))))
    axes.set_xscale("log")
    points = {name: (relative, auroc.value or 0.0, _bar(auroc)) for name, (relative, auroc) in methods.items()}
    dearest = max(relative for relative, _, _ in points.values())
    bounds = [bound for _, auroc, bar in points.values() for bound in (bar or (auroc, auroc))]
    margin = 0.06 * (max(bounds) - min(bounds)) + 0.005
    # Most methods cost next to nothing: the room for their labels lies right of 1.
    axes.set(xlim=(0.93, max(1.5, dearest**1.25)), ylim=(min(bounds) - margin, max(bounds) + margin))
    for name, (relative, auroc, bar) in points.items():
        colour = PAGE_COLOURS[method_style(name).role]
        if bar is not None:
            axes.plot([relative] * 2, bar, color=colour, linewidth=1.6, alpha=0.45)
        axes.plot([relative], [auroc], "o", color=colour, markersize=8 if name in PROPOSED else 5.5)
    labels = [
        Label(method_label(name), *points[name], PAGE_COLOURS[f"{family_of(name)}-1"])
        for name in sorted(points, key=lambda name: -points[name][1])
    ]
    label_points(axes, labels, _LABEL_SIZE)
    _cost_ticks(axes.xaxis, axes.get_xlim()[1])
    percent_axes(axes.yaxis)
    axes.set(xlabel="Time per question, relative to answering once", ylabel="AUROC")
    return to_svg(figure, "cost-quality", "AUROC of each method with its 95% interval, by relative cost")


def _bar(auroc: Estimate) -> tuple[float, float] | None:
    return None if auroc.low is None or auroc.high is None else (auroc.low, auroc.high)


def _cost_ticks(axis: XAxis, end: float) -> None:
    """Round multiples at few enough places to be read."""
    ticks = [tick for tick in _TICKS if tick <= end]
    if len(ticks) > 7:
        ticks = [tick for tick in ticks if tick not in (1.5, 3, 30, 300)]
    axis.set_major_locator(FixedLocator(ticks))
    axis.set_minor_locator(NullLocator())
    axis.set_major_formatter(FuncFormatter(lambda value, _: f"×{value:g}"))
