"""The results as plain text for a terminal."""

import unicodedata
from collections.abc import Mapping, Sequence
from typing import Any

from aspire_llm.report.labels import difference_line, interval, percent, split_pair
from aspire_llm.report.methods import in_order, method_label

_HEADER = ("Method", "Accuracy", "AUROC [95%]", "AUACC [95%]", "Accuracy@80%")


def results_table(metrics: Mapping[str, Any]) -> str:
    """The methods side by side, family by family, then the paired differences, from the content of `metrics.json`.

    Figures are in percent, differences in percentage points with their 95% intervals. Columns line up on a terminal
    that shows East Asian wide characters in two cells.
    """
    methods: Mapping[str, Mapping[str, Any]] = metrics.get("methods", {})
    names = in_order(methods)
    lines = _aligned([_HEADER, *(_row(name, methods[name]) for name in names)])
    lines.insert(1, "─" * display_width(lines[0]))
    undefined: dict[str, list[str]] = {}
    for name in names:
        if methods[name].get("auroc") is None:
            reason = methods[name].get("auroc_reason", "no reason was recorded")
            undefined.setdefault(reason, []).append(method_label(name))
    reasons = [f"AUROC of {'; '.join(those)} is undefined: {reason}." for reason, those in undefined.items()]
    pairs = {split_pair(pair)[1]: pair for pair in metrics.get("differences", {})}
    differences = [difference_line(pairs[rival], metrics["differences"][pairs[rival]]) for rival in in_order(pairs)]
    if differences:
        differences.append("(percentage points with 95% intervals; paired bootstrap over groups)")
    return "\n".join([*lines, *([""] if reasons or differences else []), *reasons, *differences])


def display_width(text: str) -> int:
    """Terminal cells that a text takes: two for an East Asian wide character, none for a combining one."""
    return sum(
        0 if unicodedata.combining(char) else 2 if unicodedata.east_asian_width(char) in "WF" else 1 for char in text
    )


def _row(name: str, figures: Mapping[str, Any]) -> tuple[str, ...]:
    return (
        method_label(name),
        percent(figures.get("accuracy"), unit=""),
        f"{percent(figures.get('auroc'), unit='')} {interval(figures.get('auroc_ci'))}".rstrip(),
        f"{percent(figures.get('auacc'), unit='')} {interval(figures.get('auacc_ci'))}".rstrip(),
        percent(figures.get("accuracy_at_coverage", {}).get("0.8"), unit=""),
    )


def _aligned(rows: Sequence[Sequence[str]]) -> list[str]:
    """Lines with the first column flush left and the others flush right."""
    widths = [max(display_width(row[column]) for row in rows) for column in range(len(rows[0]))]
    lines = []
    for row in rows:
        gaps = [" " * (width - display_width(cell)) for cell, width in zip(row, widths, strict=True)]
        lines.append("  ".join([row[0] + gaps[0], *(gap + cell for gap, cell in zip(gaps[1:], row[1:], strict=True))]))
    return lines
