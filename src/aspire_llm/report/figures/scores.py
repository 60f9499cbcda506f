"""What the score and the confidence of the run are worth: its histogram, and its reliability diagram."""

from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

from aspire_llm.report.bands import group_weights, share_band
from aspire_llm.report.canvas import PAGE_COLOURS, new_figure, percent_axes, to_svg
from aspire_llm.report.placing import Label, label_points
from aspire_llm.report.run_files import AnswerRow

NUM_BINS = 10
_COUNT_SIZE = 8.0


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


def reliability_svg(rows: Sequence[AnswerRow]) -> str:
    """Share of right answers against the mean confidence, in bins of about equally many answers.

    Args:
        rows: Answers with known correctness and a confidence; at least one.
    """
    figure, axes = new_figure(PAGE_COLOURS)
    confidence = np.array([row.confidence for row in rows], dtype=np.float64)
    right = np.array([row.correct for row in rows], dtype=np.bool_)
    members = equal_mass_bins(confidence)
    sizes = members.sum(axis=1)
    means, shares = members @ confidence / sizes, (members & right).sum(axis=1) / sizes
    axes.plot([0, 1], [0, 1], color=PAGE_COLOURS["muted"], linewidth=1, dashes=(1, 2))
    weights = group_weights([row.group or row.id for row in rows])
    band = None if weights is None else share_band(right, members, weights)
    if band is not None:
        axes.vlines(means, band.low, band.high, color=PAGE_COLOURS["accent"], linewidth=2, alpha=0.55)
    axes.plot(means, shares, "o-", color=PAGE_COLOURS["accent"], markersize=5.5, linewidth=1.2)
    axes.set(xlim=(-0.02, 1.02), ylim=(-0.02, 1.02), xlabel="Mean confidence", ylabel="Right answers")
    percent_axes(axes.xaxis, axes.yaxis)
    bars = [None] * len(sizes) if band is None else list(zip(band.low, band.high, strict=True))
    bins = zip(sizes, means, shares, bars, strict=True)
    counts = [Label(str(size), mean, share, bar, PAGE_COLOURS["muted"]) for size, mean, share, bar in bins]
    label_points(axes, counts, _COUNT_SIZE)
    return to_svg(figure, "reliability", "Reliability diagram: share of right answers, by mean confidence")


def equal_mass_bins(confidence: NDArray[np.float64], num_bins: int = NUM_BINS) -> NDArray[np.bool_]:
    """Which answers stand in which bin, bool[bins, n].

    Equal confidences stay together, so that bins are of about equal size at best, and fewer where many are tied.
    """
    inner = np.unique(np.quantile(confidence, np.arange(1, num_bins) / num_bins))
    # An answer at an edge belongs to the bin that the edge closes.
    place = np.searchsorted(inner, confidence, side="left")
    return np.array([place == bin for bin in np.unique(place)])


def _threshold(rows: Sequence[AnswerRow]) -> float | None:
    """The lowest score that was answered, where scores alone explain who abstained."""
    answered = [row.selection_score for row in rows if not row.abstained and row.selection_score is not None]
    withheld = [row.selection_score for row in rows if row.abstained and row.selection_score is not None]
    return min(answered) if answered and withheld and max(withheld) <= min(answered) else None
