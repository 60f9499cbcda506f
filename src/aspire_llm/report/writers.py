"""A table as CSV (every digit), Markdown, LaTeX and plain text (rounded, the best figures marked).

On a page a table is the macro of its name in `templates/macros.html`.
"""

import csv
import io
import re
import unicodedata
from collections.abc import Iterable, Sequence
from pathlib import Path

from aspire_llm.errors import ConfigError
from aspire_llm.report.tables import Cell, Column, Estimate, Kind, ShownCell, Table
from aspire_llm.rundir.writing import write_text

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
    """Comma-separated values with every digit: a column per number, an empty cell where there is none.

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
        *(_markdown_row(map(_markdown_cell, row)) for row in table.shown_rows),
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
        *(_latex_row(map(_latex_cell, row)) for row in table.shown_rows),
        r"\bottomrule",
        r"\end{tabular}",
        *(rf"\par\smallskip{{\footnotesize {_latex(note)}}}" for note in table.notes),
        r"\end{table}",
    ]
    return "\n".join(lines) + "\n"


def as_text(table: Table) -> str:
    """The table for a terminal: columns that line up under the caption, notes below.

    Columns line up where East Asian wide characters take two cells.
    """
    titles = [column.title for column in table.columns]
    rows = [titles, *([f"{cell.text} {cell.spread}".rstrip() for cell in row] for row in table.shown_rows)]
    is_text = [column.kind is Kind.TEXT for column in table.columns]
    lines = _aligned([[_one_line(cell) for cell in row] for row in rows], is_text)
    lines.insert(1, "─" * max(map(display_width, lines)))
    caption = [table.caption, ""] if table.caption else []
    return "\n".join([*caption, *lines, *(["", *table.notes] if table.notes else [])])


def display_width(text: str) -> int:
    """Terminal cells that a text takes: two for an East Asian wide character, none for a combining one."""
    return sum(
        0 if unicodedata.combining(char) else 2 if unicodedata.east_asian_width(char) in "WF" else 1 for char in text
    )


def write_files(tables: Iterable[Table], folder: Path) -> list[Path]:
    """Write each table as ``NAME.{csv,md,tex}`` into a folder, which is made where it is not there.

    Returns:
        The paths of the files.

    Raises:
        ConfigError: The folder cannot be made.
    """
    try:
        folder.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise ConfigError(f"{folder}: cannot make this folder ({error.strerror}); choose another one") from error
    paths = []
    for table in tables:
        for suffix, writer in (("csv", as_csv), ("md", as_markdown), ("tex", as_latex)):
            paths.append(folder / f"{table.name}.{suffix}")
            write_text(paths[-1], writer(table))
    return paths


def _csv_names(column: Column) -> list[str]:
    return [column.name, *(f"{column.name}_{part}" for part in column.parts)]


def _csv_values(column: Column, cell: Cell) -> list[str | float | None]:
    if isinstance(cell, Estimate):
        return [cell.value, *(getattr(cell, part) for part in column.parts)]
    return [cell.text if isinstance(cell, ShownCell) else cell, *(None for _ in column.parts)]


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
    widths = [max(map(display_width, column)) for column in zip(*rows, strict=True)]
    lines = []
    for row in rows:
        gaps = [" " * (width - display_width(cell)) for cell, width in zip(row, widths, strict=True)]
        cells = zip(row, gaps, flush_left, strict=True)
        lines.append("  ".join(cell + gap if left else gap + cell for cell, gap, left in cells).rstrip())
    return lines
