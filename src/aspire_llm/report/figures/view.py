"""The figures of the page with their words, as far as the run's files allow."""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from typing import Any

from markupsafe import Markup

from aspire_llm.records import MethodScores
from aspire_llm.report import comparison_plots, curves, labels, score_plots
from aspire_llm.report.methods import (
    BASELINE,
    REFERENCE,
    Answers,
    Family,
    MethodStyle,
    answers_of,
    base_name,
    best_rival,
    family_of,
    in_order,
    method_style,
)
from aspire_llm.report.run_results import RunResults
from aspire_llm.report.sweep_plots import sweep_svg

_SUFFIX = {Answers.TUNED: "", Answers.UNTUNED: ", before tuning"}


@dataclass(frozen=True, slots=True)
class FigureView:
    """A drawing with its words.

    Attributes:
        labelled: Whether its words keep their size, so that it scrolls rather than shrinks on a narrow screen.
        has_slider: Whether the coverage slider stands below it.
        shows_answers: Whether it needs the legend of right and wrong answers.
    """

    title: str
    caption: str
    svg: Markup
    labelled: bool = False
    has_slider: bool = False
    shows_answers: bool = False


@dataclass(frozen=True, slots=True)
class Legend:
    """The switches of the methods, family by family; `shown` holds the series that are on at first."""

    families: tuple[tuple[Family, tuple[MethodStyle, ...]], ...] = ()
    shown: frozenset[str] = field(default_factory=frozenset)


def legend(names: Iterable[str], methods: Mapping[str, Mapping[str, Any]]) -> Legend:
    """A switch for each of the methods; ASPIRE, its best rival and perplexity are on at first, or else all."""
    bases = in_order({base_name(name) for name in names})
    by_family: dict[Family, list[MethodStyle]] = {}
    for name in bases:
        by_family.setdefault(family_of(name), []).append(method_style(name))
    preferred = {REFERENCE, BASELINE, best_rival(methods)}
    shown = [name for name in bases if name in preferred] or bases
    return Legend(
        tuple((family, tuple(styles)) for family, styles in by_family.items()),
        frozenset(method_style(name).series for name in shown),
    )


def curve_figures(scores: Mapping[Answers, list[MethodScores]]) -> list[FigureView]:
    """Accuracy and risk by coverage, and ROC curves, of the tuned answers and then of the untuned ones.

    Answers that are all right or all wrong have no ROC curve, and untuned ones of that kind, which are common, none.
    """
    mixed = {answers: methods for answers, methods in scores.items() if methods and len(set(methods[0].correct)) == 2}
    figures = _coverage_figures(Answers.TUNED, scores[Answers.TUNED]) if scores[Answers.TUNED] else []
    figures += [
        FigureView(
            f"ROC curves{_SUFFIX[answers]}",
            "A lower threshold accepts more right answers, and more wrong ones. The dotted diagonal is a score that "
            "knows nothing.",
            Markup(curves.roc_svg(methods, answers)),
        )
        for answers, methods in mixed.items()
    ]
    return figures + (_coverage_figures(Answers.UNTUNED, mixed[Answers.UNTUNED]) if Answers.UNTUNED in mixed else [])


def _coverage_figures(answers: Answers, methods: list[MethodScores]) -> list[FigureView]:
    drawn = curves.coverage_curves(methods)
    return [
        FigureView(
            f"Accuracy by coverage{_SUFFIX[answers]}",
            "Answer only the surest questions: how accurate are the answers? The dotted line is the best possible "
            "order, with every right answer before every wrong one; bands are 95% intervals.",
            Markup(curves.accuracy_coverage_svg(drawn, answers)),
            has_slider=answers is Answers.TUNED and any(method.name == REFERENCE for method in methods),
        ),
        FigureView(
            f"Risk by coverage{_SUFFIX[answers]}",
            "The same from the other side: the share of wrong answers among those given. Lower is better.",
            Markup(curves.risk_coverage_svg(drawn, answers)),
        ),
    ]


def comparison_figures(results: RunResults) -> list[FigureView]:
    """Paired differences where they have intervals, and quality against cost where it was measured."""
    figures = []
    rows = _difference_rows(results.metrics.get("differences") or {})
    if rows:
        figures.append(
            FigureView(
                "ASPIRE against each rival",
                "Differences in AUROC on the same answers with 95% intervals from a paired bootstrap over groups, the "
                "strongest rival first. An interval that crosses zero shows no difference.",
                Markup(comparison_plots.differences_svg(rows)),
            )
        )
    points = _cost_points(results.methods)
    if points:
        figures.append(
            FigureView(
                "What quality costs",
                "AUROC on the tuned answers with 95% intervals, against the time a question takes with the method "
                "compared with answering alone. Up and to the left is better.",
                Markup(comparison_plots.cost_quality_svg(points)),
                labelled=True,
            )
        )
    return figures


def score_figures(results: RunResults) -> list[FigureView]:
    """The histogram of ASPIRE's score and the reliability of the confidence made from it."""
    judged = [row for row in results.rows if row.correct is not None and row.selection_score is not None]
    figures = []
    if judged:
        figures.append(
            FigureView(
                "Selection scores of right and wrong answers",
                "The less the two overlap, the better a threshold tells them apart. The lowest 1% of scores stand in "
                "the first bar; a dashed line marks the run’s own threshold, if it has one.",
                Markup(score_plots.score_histogram_svg(judged)),
                shows_answers=True,
            )
        )
    sure = [row for row in judged if row.confidence is not None]
    if sure:
        calibration = results.metrics.get("confidence") or {}
        error = f" The expected calibration error is {labels.percent(calibration['ece'])}." if calibration else ""
        figures.append(
            FigureView(
                "Is the confidence right?",
                "Among answers given with 70% confidence, 70% should be right: the dotted diagonal. Each dot is "
                "about a tenth of the answers, with their number beside it, with the 95% interval of a bootstrap over "
                f"groups.{error}",
                Markup(score_plots.reliability_svg(sure)),
                labelled=True,
            )
        )
    return figures


def sweep_figures(results: RunResults) -> list[FigureView]:
    """One figure a setting that was swept."""
    return [
        FigureView(f"Sensitivity to {sweep.label}", sweep.parameter, Markup(sweep_svg(sweep, f"sweep-{number}")))
        for number, sweep in enumerate(results.sweeps, start=1)
    ]


def _difference_rows(differences: Mapping[str, Mapping[str, Any]]) -> list[comparison_plots.IntervalRow]:
    """The AUROC differences that have an interval, the strongest rival first."""
    rows = [
        comparison_plots.IntervalRow(labels.split_pair(pair)[1], auroc["estimate"], tuple(auroc["ci"]))
        for pair, by_metric in differences.items()
        if (auroc := by_metric.get("auroc", {})).get("estimate") is not None and auroc.get("ci")
    ]
    return sorted(rows, key=lambda row: (row.estimate, row.method))


def _cost_points(methods: Mapping[str, Mapping[str, Any]]) -> list[comparison_plots.CostPoint]:
    return [
        comparison_plots.CostPoint(
            name,
            float(figures["cost"]["relative"]),
            figures["auroc"],
            tuple(figures["auroc_ci"]) if figures.get("auroc_ci") else None,
        )
        for name, figures in methods.items()
        if figures.get("cost") and figures.get("auroc") is not None and answers_of(name, figures) is Answers.TUNED
    ]
