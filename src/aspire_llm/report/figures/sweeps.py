"""How the figures move with a setting, from `sweep.json`."""

from collections.abc import Sequence

import numpy as np

from aspire_llm.report.canvas import (
    PAGE_COLOURS,
    SIZE,
    add_axes,
    draw_band,
    draw_line,
    new_figure,
    percent_axes,
    to_svg,
)
from aspire_llm.report.labels import METRIC_LABELS
from aspire_llm.report.methods import in_order, method_style
from aspire_llm.report.robustness import Estimate, Sweep

_LOG_RATIO = 30  # values that span more than this stand on a logarithmic axis
_FRAMES = {"auroc": (0.14, 0.57, 0.82, 0.40), "auacc": (0.14, 0.12, 0.82, 0.40)}


def sweep_svg(sweep: Sweep, name: str) -> str:
    """AUROC above AUACC against the values of a setting, a line a method with its 95% band."""
    figure, first = new_figure(PAGE_COLOURS, (SIZE[0], 1.25 * SIZE[1]), _FRAMES["auroc"])
    words = [value for value in sweep.values if isinstance(value, str)]
    numbers = [value for value in sweep.values if not isinstance(value, str)]
    x = np.arange(len(words)) if words else np.array(numbers)
    for metric, by_method in sweep.estimates.items():
        axes = first if metric == "auroc" else add_axes(figure, PAGE_COLOURS, _FRAMES[metric])
        for method in reversed(in_order(by_method)):
            style, estimates = method_style(method), by_method[method]
            low, high = np.array([_bounds(estimate) for estimate in estimates]).T
            draw_band(axes, style, x, low, high, PAGE_COLOURS)
            values = [np.nan if estimate is None else estimate.value for estimate in estimates]
            draw_line(axes, style, x, values, PAGE_COLOURS, marker="o", markersize=3.5)
        if numbers and min(numbers) > 0 and max(numbers) / min(numbers) > _LOG_RATIO:
            axes.set_xscale("log")
        labels = words or [f"{value:g}" for value in numbers]
        axes.set_xticks(x, labels if axes.get_xscale() == "log" else _apart(x.tolist(), labels))
        axes.minorticks_off()
        axes.set_ylabel(METRIC_LABELS[metric])
        percent_axes(axes.yaxis)
    first.tick_params(axis="x", labelbottom=False)
    figure.axes[-1].set_xlabel(sweep.label)
    return to_svg(figure, name, f"AUROC and AUACC by {sweep.label}, a line a method with its 95% interval")


def _bounds(estimate: Estimate | None) -> tuple[float, float]:
    return (np.nan, np.nan) if estimate is None or estimate.ci is None else estimate.ci


def _apart(places: Sequence[float], labels: Sequence[str]) -> list[str]:
    """Labels of which none stands nearer to the one before than a tenth of the axis; the others are left empty."""
    room = 0.1 * (max(places) - min(places))
    shown: list[str] = []
    last = -float("inf")
    for place, label in zip(places, labels, strict=True):
        shown.append(label if place - last >= room else "")
        last = place if shown[-1] else last
    return shown
