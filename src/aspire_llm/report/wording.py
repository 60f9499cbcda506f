"""How figures and comparisons are worded for people."""

from collections.abc import Mapping, Sequence
from typing import Any

from aspire_llm.report.methods import method_label

METRIC_LABELS = {"auroc": "AUROC", "auacc": "AUACC"}
NOT_AVAILABLE = "–"


def percent(share: float | None, *, unit: str = "%") -> str:
    """A share from 0 to 1 in percent with one decimal; a dash for None."""
    return NOT_AVAILABLE if share is None else f"{100 * share:.1f}{unit}".replace("-", "−")


def interval(bounds: Sequence[float] | None) -> str:
    """An interval of shares in percent, e.g. ``[81.2, 85.0]``; empty for None."""
    return "" if bounds is None else f"[{100 * bounds[0]:.1f}, {100 * bounds[1]:.1f}]"


def points(difference: float) -> str:
    """A difference of shares in signed percentage points, e.g. ``+1.8`` or ``−0.4``."""
    return f"{100 * difference:+.1f}".replace("-", "−")


def signed_interval(bounds: Sequence[float]) -> str:
    """An interval of differences in percentage points, e.g. ``+0.4 to +3.2``."""
    return f"{points(bounds[0])} to {points(bounds[1])}"


def split_pair(pair: str) -> tuple[str, str]:
    """The two method names of a key of `differences`, such as ``aspire - perplexity``."""
    reference, _, rival = pair.partition(" - ")
    return reference, rival


def difference_line(pair: str, by_metric: Mapping[str, Mapping[str, Any]]) -> str:
    """One line that compares two methods, e.g. ``ASPIRE − Perplexity: AUROC +1.8 points (+0.4 to +3.2), …``."""
    reference, rival = split_pair(pair)
    parts = []
    for metric, label in METRIC_LABELS.items():
        difference = by_metric.get(metric, {})
        estimate, bounds = difference.get("estimate"), difference.get("ci")
        if estimate is None:
            parts.append(f"{label} undefined")
        else:
            parts.append(f"{label} {points(estimate)} points" + (f" ({signed_interval(bounds)})" if bounds else ""))
    return f"{method_label(reference)} − {method_label(rival)}: {', '.join(parts)}"


def difference_verdict(pair: str, difference: Mapping[str, Any]) -> str:
    """What the paired AUROC difference and its 95% interval say, as a sentence."""
    reference, rival = (in_sentence(method_label(name)) for name in split_pair(pair))
    estimate, bounds = difference.get("estimate"), difference.get("ci")
    if estimate is None:
        reason = difference.get("estimate_reason", "it is undefined")
        return f"{reference} and {rival} cannot be compared by AUROC: {reason}."
    if bounds is None:
        return f"{reference} differs from {rival} by {points(estimate)} points of AUROC; no interval says how surely."
    size = f"{points(estimate)} points of AUROC, 95% interval {signed_interval(bounds)}"
    match direction(difference):
        case "better":
            return f"{reference} separates right from wrong answers better than {rival}: {size}."
        case "worse":
            return f"{reference} separates right from wrong answers worse than {rival}: {size}."
        case _:
            return f"This run shows no difference between {reference} and {rival}: {size}, which includes zero."


def auacc_remark(difference: Mapping[str, Any]) -> str:
    """The same comparison by AUACC, as a second sentence."""
    estimate, bounds = difference.get("estimate"), difference.get("ci")
    if estimate is None:
        return ""
    size = f"In AUACC the difference is {points(estimate)} points"
    if bounds is None:
        return f"{size}."
    zero = ", which includes zero" if bounds[0] <= 0 <= bounds[1] else ""
    return f"{size}, 95% interval {signed_interval(bounds)}{zero}."


def tally(differences: Mapping[str, Mapping[str, Any]]) -> str:
    """How the reference did against its rivals by AUROC, counted by what the intervals show; empty for a single one."""
    directions = [direction(by_metric.get("auroc", {})) for by_metric in differences.values()]
    if len(directions) < 2:
        return ""
    better, worse = directions.count("better"), directions.count("worse")
    unclear = len(directions) - better - worse
    reference = method_label(split_pair(next(iter(differences)))[0])
    return (
        f"Against {len(directions)} other methods on the same answers {reference} is ahead of {better}, behind "
        f"{worse}, and not to be told apart from {unclear} (intervals not adjusted for their number)."
    )


def duration(seconds: float) -> str:
    """An added time with two or three digits, e.g. ``+12 ms``; empty for none."""
    if seconds < 5e-5:
        return ""
    unit, value = ("s", seconds) if seconds >= 1 else ("ms", 1000 * seconds)
    return f"+{value:.0f} {unit}" if value >= 10 else f"+{value:.1f} {unit}"


def in_sentence(label: str) -> str:
    """A label as it stands inside a sentence: words begin small, names like ASPIRE or P(True) stay."""
    return label[0].lower() + label[1:] if label[1:2].islower() else label


def direction(difference: Mapping[str, Any]) -> str:
    """Whether a paired difference shows the reference ``better``, ``worse``, or neither (``unclear``)."""
    bounds = difference.get("ci")
    if difference.get("estimate") is None or bounds is None or bounds[0] <= 0 <= bounds[1]:
        return "unclear"
    return "better" if bounds[0] > 0 else "worse"
