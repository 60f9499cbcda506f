"""How the figures move with a setting."""

from collections.abc import Sequence

import numpy as np

from aspire_llm.methods.catalogue import in_order
from aspire_llm.report.figures.canvas import (
    SIZE,
    FigureView,
    add_axes,
    draw_band,
    draw_line,
    new_figure,
    percent_axes,
    to_svg,
)
from aspire_llm.report.styles import method_style
from aspire_llm.results.studies import Sweep

_LOG_RATIO = 30  # values that span more than this stand on a logarithmic axis
_METRICS = {"auroc": ("AUROC", (0.14, 0.57, 0.82, 0.40)), "auacc": ("AUACC", (0.14, 0.12, 0.82, 0.40))}


def sweep_figures(sweeps: Sequence[Sweep]) -> list[FigureView]:
    """A figure per setting."""
    return [
        FigureView(f"Sensitivity to {sweep.label}", sweep.parameter, sweep_svg(sweep, f"sweep-{number}"))
        for number, sweep in enumerate(sweeps, start=1)
    ]


def sweep_svg(sweep: Sweep, name: str) -> str:
    """AUROC above AUACC against the values of a setting, a line per method with its 95% band."""
    figure, first = new_figure((SIZE[0], 1.25 * SIZE[1]), _METRICS["auroc"][1])
    values = [point.value for point in sweep.points]
    is_number = all(isinstance(value, int | float) and not isinstance(value, bool) for value in values)
    x = values if is_number else list(range(len(values)))
    words = [f"{value:g}" if is_number else str(value) for value in values]
    methods = in_order({name for point in sweep.points for name in point.methods})
    for metric, (label, frame) in _METRICS.items():
        axes = first if metric == "auroc" else add_axes(figure, frame)
        for method in reversed(methods):
            # None where the method did not score the answers, or they do not define the figure: a gap.
            figures = [point.methods.get(method) for point in sweep.points]
            low, high = np.array([getattr(own, f"{metric}_ci", None) or (None, None) for own in figures], float).T
            draw_band(axes, method_style(method), x, low, high)
            line = np.array([getattr(own, metric, None) for own in figures], float)
            draw_line(axes, method_style(method), x, line, marker="o", markersize=3.5)
        if is_number and min(x) > 0 and max(x) / min(x) > _LOG_RATIO:
            axes.set_xscale("log")
        axes.set_xticks(x, words if axes.get_xscale() == "log" else _apart(x, words))
        axes.minorticks_off()
        axes.set_ylabel(label)
        percent_axes(axes.yaxis)
    first.tick_params(axis="x", labelbottom=False)
    figure.axes[-1].set_xlabel(sweep.label)
    return to_svg(figure, name, f"AUROC and AUACC by {sweep.label}, a line per method with its 95% interval")


def _apart(places: Sequence[float], labels: Sequence[str]) -> list[str]:
    """Labels of which none stands nearer to the one before than a tenth of the axis; the others are left empty."""
    room = 0.1 * (max(places) - min(places))
    shown: list[str] = []
    last = -float("inf")
    for place, label in zip(places, labels, strict=True):
        shown.append(label if place - last >= room else "")
        last = place if shown[-1] else last
    return shown
