"""The risk that certified thresholds come to on the test questions, on the curve that they were chosen from."""

from collections.abc import Sequence

import numpy as np

from aspire_llm.records import MethodScores
from aspire_llm.report.figures.canvas import PAGE_COLOURS, FigureView, draw_line, new_figure, percent_axes, to_svg
from aspire_llm.report.styles import method_style
from aspire_llm.selection import Certified, Guarantee, Realised, Undefined
from aspire_llm.selection.metrics import accuracy_coverage_curve


def guarantee_figures(method: MethodScores, found: Sequence[tuple[Guarantee, Realised | None]]) -> list[FigureView]:
    """The curve of the score that decides, with a mark for every certified target; nothing where there is none."""
    kept = [
        (guarantee, result)
        for guarantee, result in found
        if isinstance(guarantee.outcome, Certified) and result is not None and result.risk is not None
    ]
    if not kept:
        return []
    return [
        FigureView(
            "What was certified, and what came of it",
            "The line is the share of wrong answers on the test questions, by how many are answered. Each dot is a "
            "certified threshold there, with the 95% interval of a bootstrap over groups, and the dashed line over or "
            "under it is its target.",
            _svg(method, kept),
            labelled=True,
        )
    ]


def _svg(method: MethodScores, found: Sequence[tuple[Guarantee, Realised]]) -> str:
    figure, axes = new_figure()
    risk = 1.0 - accuracy_coverage_curve(method.correct, method.scores)
    coverage = np.arange(1, len(risk) + 1) / len(risk)
    shown = np.arange(len(risk)) >= len(risk) // 50  # the first few answers make any curve jump
    draw_line(axes, method_style(method.name), coverage[shown], risk[shown])
    for guarantee, result in found:
        target = guarantee.target.risk
        axes.plot([0, result.coverage], [target, target], color=PAGE_COLOURS["muted"], linewidth=1, dashes=(4, 3))
        if not isinstance(result.risk_ci, Undefined):
            axes.vlines(result.coverage, *result.risk_ci, color=PAGE_COLOURS["accent"], linewidth=2, alpha=0.55)
        axes.plot(result.coverage, result.risk or 0.0, "o", color=PAGE_COLOURS["accent"], markersize=5.5)
    axes.set(xlim=(0, 1.01), xlabel="Coverage (questions answered)", ylabel="Risk (wrong answers given)")
    axes.set_ylim(bottom=0.0)
    percent_axes(axes.xaxis, axes.yaxis)
    return to_svg(figure, "guarantees", "Risk by coverage on the test questions, with the certified thresholds")
