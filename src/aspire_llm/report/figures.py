"""The figures of the page with their words, as far as the run's files allow."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from markupsafe import Markup

from aspire_llm.records import MethodScores
from aspire_llm.report import labels, plots
from aspire_llm.report.run_results import RunResults


@dataclass(frozen=True, slots=True)
class FigureView:
    """A drawing with its words.

    Attributes:
        legend: The methods in it, by line style.
        shows_answers: Whether it needs the legend of right and wrong answers instead.
    """

    title: str
    caption: str
    svg: Markup
    legend: tuple[plots.LineStyle, ...] = ()
    shows_answers: bool = False


def figure_views(results: RunResults, scores: Sequence[MethodScores]) -> list[FigureView]:
    """Curves and histogram where the answers are known, differences where they have intervals."""
    figures = _curves(scores) if scores else []
    if any(method.name == "aspire" for method in scores):
        figures.append(
            FigureView(
                "Selection scores of right and wrong answers",
                "The less the two overlap, the better a threshold tells them apart. The lowest 1% of scores stand in "
                "the first bar; a dashed line marks the run’s own threshold, if it has one.",
                Markup(plots.score_histogram_svg(results.rows)),
                shows_answers=True,
            )
        )
    compared = _with_intervals(results.metrics.get("differences") or {})
    if compared:
        figures.append(
            FigureView(
                "ASPIRE against each rival",
                "Differences in AUROC on the same answers with 95% intervals from a paired bootstrap over groups. An "
                "interval that crosses zero shows no difference.",
                Markup(plots.differences_svg(compared)),
            )
        )
    return figures


def _curves(scores: Sequence[MethodScores]) -> list[FigureView]:
    same = plots.on_same_answers(scores)
    return [
        FigureView(
            "Accuracy by coverage",
            "Answer only the surest questions: how accurate are the answers? The dotted line is the best possible "
            "order, with every right answer before every wrong one.",
            Markup(plots.accuracy_coverage_svg(same)),
            tuple(plots.line_style(method.name) for method in same),
        ),
        FigureView(
            "ROC curves",
            "A lower threshold accepts more right answers, and more wrong ones. The dotted diagonal is a score "
            "that knows nothing.",
            Markup(plots.roc_svg(scores)),
            tuple(plots.line_style(method.name) for method in scores),
        ),
    ]


def _with_intervals(differences: Mapping[str, Mapping[str, Any]]) -> dict[str, tuple[float, Sequence[float]]]:
    """The AUROC difference and its interval by rival, of those pairs that have both."""
    return {
        labels.split_pair(pair)[1]: (by_metric["auroc"]["estimate"], by_metric["auroc"]["ci"])
        for pair, by_metric in differences.items()
        if by_metric.get("auroc", {}).get("estimate") is not None and by_metric["auroc"].get("ci")
    }
