"""A table as CSV (every digit), Markdown, LaTeX and plain text (rounded, the best figures marked)."""

import csv
import io
import re
from collections.abc import Iterable, Sequence

from aspire_llm.comparison.table import Column, Estimate, Kind, ShownCell, Table, shown_rows

_MARKDOWN_SIGNS = re.compile(r"([\\`*_<>|\[\]~#])")
_LATEX = {
    "\\": r"\textbackslash{}",
    "{": r"\{",
    "}": r"\}",
    "&": r"\&",
    "%": r"\%",
    "$": r"\$",
    "#": r"\#",
    "_": r"\_",
    "~": r"\textasciitilde{}",
    "^": r"\textasciicircum{}",
    "<": r"\textless{}",
    ">": r"\textgreater{}",
    "|": r"\textbar{}",
    # After a line break or a rule, LaTeX takes these for an argument.
    "[": "{[}",
    "*": "{*}",
    "–": "--",
    "−": "$-$",
    "±": r"$\pm$",
    "α": r"$\alpha$",
    "θ": r"$\theta$",
}


def as_csv(table: Table) -> str:
    """Comma-separated values with every digit: one column a number, an empty cell where there is none.

    A figure called ``auroc`` is followed by ``auroc_low`` and ``auroc_high`` or ``auroc_sd``, as the column gives them.
    """
    text = io.StringIO()
    writer = csv.writer(text, lineterminator="\n")
    writer.writerow([name for column in table.columns for name in _csv_names(column)])
    for row in table.rows:
        writer.writerow(
            [value for column, cell in zip(table.columns, row, strict=True) for value in _csv_values(column, cell)]
        )
    return text.getvalue()


def as_markdown(table: Table) -> str:
    """A Markdown table with its caption above and its notes below; best values are bold."""
    lines = [
        _markdown_row(_markdown(column.title) for column in table.columns),
        _markdown_row("---" if column.kind is Kind.TEXT else "---:" for column in table.columns),
        *(_markdown_row(map(_markdown_cell, row)) for row in shown_rows(table)),
    ]
    blocks = [f"**{_markdown(table.caption)}**", "\n".join(lines), *(_markdown(note) for note in table.notes)]
    return "\n\n".join(blocks) + "\n"


def as_latex(table: Table) -> str:
    """A LaTeX table for the booktabs package; best values are bold."""
    alignment = "".join("l" if column.kind is Kind.TEXT else "r" for column in table.columns)
    lines = [
        r"\begin{table}[t]",
        r"\centering",
        rf"\caption{{{_latex(table.caption)}}}",
        rf"\label{{tab:{table.name}}}",
        rf"\begin{{tabular}}{{{alignment}}}",
        r"\toprule",
        _latex_row(_latex(column.title) for column in table.columns),
        r"\midrule",
        *(_latex_row(map(_latex_cell, row)) for row in shown_rows(table)),
        r"\bottomrule",
        r"\end{tabular}",
        *(rf"\par\smallskip{{\footnotesize {_latex(note)}}}" for note in table.notes),
        r"\end{table}",
    ]
    return "\n".join(lines) + "\n"


def as_text(table: Table) -> str:
    """The table for a terminal: columns that line up under the caption, notes below."""
    titles = [column.title for column in table.columns]
    rows = [titles, *([f"{cell.text} {cell.spread}".rstrip() for cell in row] for row in shown_rows(table))]
    is_text = [column.kind is Kind.TEXT for column in table.columns]
    lines = _aligned([[_one_line(cell) for cell in row] for row in rows], is_text)
    lines.insert(1, "─" * max(map(len, lines)))
    return "\n".join([table.caption, "", *lines, *(["", *table.notes] if table.notes else [])])


def _csv_names(column: Column) -> list[str]:
    return [column.name, *(f"{column.name}_{part}" for part in column.parts)]


def _csv_values(column: Column, cell: str | Estimate | None) -> list[str | float | None]:
    if isinstance(cell, Estimate):
        return [cell.value, *(getattr(cell, part) for part in column.parts)]
    return [cell, *(None for _ in column.parts)]


def _markdown(text: str) -> str:
    return _MARKDOWN_SIGNS.sub(r"\\\1", _one_line(text))


def _markdown_cell(cell: ShownCell) -> str:
    text = _markdown(cell.text)
    return f"**{text}** {cell.spread}".rstrip() if cell.is_best else f"{text} {cell.spread}".rstrip()


def _markdown_row(cells: Iterable[str]) -> str:
    return f"| {' | '.join(cells)} |"


def _latex(text: str) -> str:
    return "".join(_LATEX.get(sign, sign) for sign in _one_line(text))


def _latex_cell(cell: ShownCell) -> str:
    text = rf"\textbf{{{_latex(cell.text)}}}" if cell.is_best else _latex(cell.text)
    return rf"{text} {{\scriptsize {_latex(cell.spread)}}}" if cell.spread else text


def _latex_row(cells: Iterable[str]) -> str:
    return rf"{' & '.join(cells)} \\"


def _one_line(text: str) -> str:
    return " ".join(text.split())


def _aligned(rows: Sequence[Sequence[str]], flush_left: Sequence[bool]) -> list[str]:
    widths = [max(len(row[place]) for row in rows) for place in range(len(flush_left))]
    return [
        "  ".join(
            cell.ljust(width) if left else cell.rjust(width)
            for cell, width, left in zip(row, widths, flush_left, strict=True)
        ).rstrip()
        for row in rows
    ]
