"""How figures and comparisons are worded for people."""

from collections.abc import Iterable, Mapping
from enum import StrEnum
from typing import Any

from aspire_llm.methods.catalogue import method_label
from aspire_llm.report.estimates import METRIC_LABELS, Interval
from aspire_llm.report.tables import NOT_AVAILABLE, percent, points
from aspire_llm.results.metrics import RunMetrics
from aspire_llm.selection import Difference, MethodMetrics, Undefined, defined


class Direction(StrEnum):
    """What a paired difference and its interval show of the reference method."""

    BETTER = "better"
    WORSE = "worse"
    UNCLEAR = "unclear"  # the interval includes zero, or there is none


def interval(bounds: Interval) -> str:
    """An interval of shares in percent, e.g. ``[81.2, 85.0]``."""
    return f"[{percent(bounds[0])}, {percent(bounds[1])}]"


def signed_interval(bounds: Interval) -> str:
    """An interval of differences in percentage points, e.g. ``+0.4 to +3.2``."""
    return f"{points(bounds[0])} to {points(bounds[1])}"


def split_pair(pair: str) -> tuple[str, str]:
    """The two method names of a key of `differences`, such as ``aspire - perplexity``."""
    reference, _, rival = pair.partition(" - ")
    return reference, rival


def pair_label(pair: str) -> str:
    """The same for people, e.g. ``ASPIRE − Perplexity``."""
    return " − ".join(map(method_label, split_pair(pair)))


def difference_line(pair: str, by_metric: Mapping[str, Difference]) -> str:
    """One line that compares two methods, e.g. ``ASPIRE − Perplexity: AUROC +1.8 points (+0.4 to +3.2), …``."""
    parts = []
    for metric in ("auroc", "auacc"):
        estimate, bounds = defined(by_metric[metric].estimate), defined(by_metric[metric].ci)
        size = "undefined" if estimate is None else f"{points(estimate)} points"
        around = "" if estimate is None or bounds is None else f" ({signed_interval(bounds)})"
        parts.append(f"{METRIC_LABELS[metric]} {size}{around}")
    return f"{pair_label(pair)}: {', '.join(parts)}"


def undefined_notes(methods: Mapping[str, MethodMetrics]) -> list[str]:
    """Which methods have no AUROC and why, a sentence per reason."""
    names: dict[str, list[str]] = {}
    for name, figures in methods.items():
        if isinstance(figures.auroc, Undefined):
            names.setdefault(figures.auroc.reason, []).append(method_label(name))
    return [f"AUROC of {'; '.join(those)} is undefined: {reason}." for reason, those in names.items()]


def direction(difference: Difference) -> Direction:
    """Whether a paired difference shows the reference better, worse, or neither."""
    bounds = defined(difference.ci)
    if isinstance(difference.estimate, Undefined) or bounds is None or bounds[0] <= 0 <= bounds[1]:
        return Direction.UNCLEAR
    return Direction.BETTER if bounds[0] > 0 else Direction.WORSE


def difference_verdict(pair: str, difference: Difference) -> str:
    """What the paired AUROC difference and its 95% interval say, as a sentence."""
    reference, rival = (in_sentence(method_label(name)) for name in split_pair(pair))
    estimate, bounds = difference.estimate, defined(difference.ci)
    if isinstance(estimate, Undefined):
        return f"{reference} and {rival} cannot be compared by AUROC: {estimate.reason}."
    if bounds is None:
        return f"{reference} differs from {rival} by {points(estimate)} points of AUROC; no interval says how surely."
    size = f"{points(estimate)} points of AUROC, 95% interval {signed_interval(bounds)}"
    shown = direction(difference)
    if shown is Direction.UNCLEAR:
        return f"This run shows no difference between {reference} and {rival}: {size}, which includes zero."
    return f"{reference} separates right from wrong answers {shown} than {rival}: {size}."


def auacc_remark(difference: Difference) -> str:
    """The same comparison by AUACC, as a second sentence; empty where it is undefined."""
    estimate, bounds = defined(difference.estimate), defined(difference.ci)
    if estimate is None:
        return ""
    size = f"In AUACC the difference is {points(estimate)} points"
    if bounds is None:
        return f"{size}."
    zero = ", which includes zero" if bounds[0] <= 0 <= bounds[1] else ""
    return f"{size}, 95% interval {signed_interval(bounds)}{zero}."


def tally(differences: Mapping[str, Mapping[str, Difference]]) -> str:
    """How the reference did against its rivals by AUROC, counted by what the intervals show; empty for a single one."""
    shown = [direction(by_metric["auroc"]) for by_metric in differences.values()]
    if len(shown) < 2:
        return ""
    reference, _ = split_pair(next(iter(differences)))
    return (
        f"Against {len(shown)} other methods on the same answers {method_label(reference)} is ahead of "
        f"{shown.count(Direction.BETTER)}, behind {shown.count(Direction.WORSE)}, and not to be told apart from "
        f"{shown.count(Direction.UNCLEAR)} (intervals not adjusted for their number)."
    )


def reranked_notes(metrics: RunMetrics) -> list[str]:
    """What answering with the best-scored beam does, in a sentence; none where the likeliest answers."""
    own = metrics.reranked
    if own is None:
        return []
    gain, bounds = defined(own.gain.estimate), defined(own.gain.ci)
    around = "" if bounds is None else f" ({signed_interval(bounds)})"
    change = f"{percent(metrics.accuracy)} → {percent(own.accuracy)}%, {points(gain or 0.0)} points{around}"
    return [
        f"Answering with the best-scored of {own.candidates} beams: accuracy {change}. Methods are compared on the "
        "likeliest answers."
    ]


def duration(seconds: float) -> str:
    """An added time with two or three digits, e.g. ``+12 ms``; empty for none."""
    if seconds < 5e-5:
        return ""
    unit, value = ("s", seconds) if seconds >= 1 else ("ms", 1000 * seconds)
    return f"+{value:.0f} {unit}" if value >= 10 else f"+{value:.1f} {unit}"


def in_sentence(label: str) -> str:
    """A label as it stands inside a sentence: words begin small, names like ASPIRE or P(True) stay."""
    return label[0].lower() + label[1:] if label[1:2].islower() else label


def shortened(text: str, length: int) -> str:
    """A text cut to at most `length` characters, with an ellipsis where it was cut."""
    return text if len(text) <= length else text[: length - 1].rstrip() + "…"


def flat(nested: Mapping[str, Any], prefix: str = "") -> dict[str, Any]:
    """Nested settings by dotted key."""
    values: dict[str, Any] = {}
    for key, value in nested.items():
        values |= flat(value, f"{prefix}{key}.") if isinstance(value, Mapping) else {f"{prefix}{key}": value}
    return values


def value_text(value: object) -> str:
    """A setting as people read it."""
    if value is None:
        return NOT_AVAILABLE
    if isinstance(value, float):
        return f"{value:.6g}"
    return (
        ", ".join(map(value_text, value)) if isinstance(value, Iterable) and not isinstance(value, str) else str(value)
    )
