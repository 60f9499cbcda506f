"""What the score and the confidence of the run are worth: its histogram, and its reliability diagram."""

from collections.abc import Sequence

import numpy as np

from aspire_llm.records import Prediction
from aspire_llm.report.figures.bands import group_weights, share_band
from aspire_llm.report.figures.canvas import PAGE_COLOURS, FigureView, new_figure, percent_axes, to_svg
from aspire_llm.report.figures.placing import Label, label_points
from aspire_llm.report.run_results import RunResults, group_of
from aspire_llm.report.tables import percent
from aspire_llm.selection.metrics import equal_mass_bins

_COUNT_SIZE = 8.0


def score_figures(results: RunResults) -> list[FigureView]:
    """The histogram of ASPIRE's score and the reliability of the confidence made from it."""
    judged = [prediction for prediction in results.predictions if prediction.correct is not None]
    figures = []
    if judged:
        figures.append(
            FigureView(
                "Selection scores of right and wrong answers",
                "The less the two overlap, the better a threshold tells them apart. The lowest 1% of scores stand in "
                "the first bar; a dashed line marks the run’s own threshold, if it has one.",
                score_histogram_svg(judged),
                shows_answers=True,
            )
        )
    sure = [prediction for prediction in judged if prediction.confidence is not None]
    if sure:
        calibration = results.metrics.confidence
        error = f" The expected calibration error is {percent(calibration.ece)}%." if calibration else ""
        figures.append(
            FigureView(
                "Is the confidence right?",
                "Among answers given with 70% confidence, 70% should be right: the dotted diagonal. Each dot is "
                "about a tenth of the answers, with their number beside it, with the 95% interval of a bootstrap over "
                f"groups.{error}",
                reliability_svg(sure),
                labelled=True,
            )
        )
    return figures


def score_histogram_svg(judged: Sequence[Prediction]) -> str:
    """Histograms of the selection score of right and of wrong answers; the lowest 1% of scores join the first bin.

    Args:
        judged: Answers with known correctness; at least one.
    """
    figure, axes = new_figure()
    scores = np.array([prediction.scored.selection_score for prediction in judged])
    right = np.array([prediction.correct for prediction in judged], dtype=np.bool_)
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


def reliability_svg(predictions: Sequence[Prediction]) -> str:
    """Share of right answers against the mean confidence, in bins of about equally many answers.

    Args:
        predictions: Answers with known correctness and a confidence; at least one.
    """
    figure, axes = new_figure()
    confidence = np.array([prediction.confidence for prediction in predictions], dtype=np.float64)
    right = np.array([prediction.correct for prediction in predictions], dtype=np.bool_)
    bins = equal_mass_bins(confidence)
    members = bins == np.arange(bins.max() + 1)[:, None]
    sizes = members.sum(axis=1)
    means, shares = members @ confidence / sizes, (members & right).sum(axis=1) / sizes
    axes.plot([0, 1], [0, 1], color=PAGE_COLOURS["muted"], linewidth=1, dashes=(1, 2))
    weights = group_weights([group_of(prediction) for prediction in predictions])
    band = None if weights is None else share_band(right, members, weights)
    if band is not None:
        axes.vlines(means, band.low, band.high, color=PAGE_COLOURS["accent"], linewidth=2, alpha=0.55)
    axes.plot(means, shares, "o-", color=PAGE_COLOURS["accent"], markersize=5.5, linewidth=1.2)
    axes.set(xlim=(-0.02, 1.02), ylim=(-0.02, 1.02), xlabel="Mean confidence", ylabel="Right answers")
    percent_axes(axes.xaxis, axes.yaxis)
    bars = [None] * len(sizes) if band is None else list(zip(band.low, band.high, strict=True))
    dots = zip(sizes, means, shares, bars, strict=True)
    counts = [Label(str(size), mean, share, bar, PAGE_COLOURS["muted"]) for size, mean, share, bar in dots]
    label_points(axes, counts, _COUNT_SIZE)
    return to_svg(figure, "reliability", "Reliability diagram: share of right answers, by mean confidence")


def _threshold(predictions: Sequence[Prediction]) -> float | None:
    """The lowest score that was answered, where scores and novel questions explain who abstained."""
    answered = [prediction.scored.selection_score for prediction in predictions if not prediction.abstained]
    known = [own.novelty for own in predictions if not own.abstained and own.novelty is not None]
    withheld = [
        own.scored.selection_score
        for own in predictions
        if own.abstained and not (known and own.novelty is not None and own.novelty < min(known))
    ]
    return min(answered) if answered and withheld and max(withheld) <= min(answered) else None
