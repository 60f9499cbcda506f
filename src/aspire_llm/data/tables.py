"""CSV and TSV to rows. A row that cannot be read is reported, and the reading goes on with the next line."""

import csv
from collections import Counter
from collections.abc import Iterator, Sequence
from itertools import islice
from pathlib import Path

from aspire_llm.data.problems import Problem
from aspire_llm.data.rows import NOT_UTF8, Row

DELIMITERS = {".csv": ",", ".tsv": "\t"}
_LONGEST_FIELD = 2**31 - 1  # csv refuses fields above 131,072 characters unless it is told otherwise
# Whatever stands in the first row of a table of some data set.
_HEADINGS = {"question", "questions", "Question", "paragraphs"}
_NO_HEADER = "expected a header row with a column 'question', or rows of a question and a Python list"


def table_rows(path: Path) -> Iterator[Row | Problem]:
    """The rows of a table, whose suffix says what separates its cells."""
    delimiter = DELIMITERS[path.suffix.lower()]
    # Bytes that are not UTF-8 pass as surrogates, so that only their own row is lost.
    with path.open(encoding="utf-8-sig", errors="surrogateescape", newline="") as file:
        lines = file.readlines()
    header: list[str] | None = None
    for number, cells in enumerate(_records(lines, delimiter), 1):
        if isinstance(cells, csv.Error):
            yield Problem(str(path), number, f"not a row of a table: {cells}; close its quotes")
        elif not cells:
            continue
        elif not all(_is_utf8(cell) for cell in cells):
            yield Problem(str(path), number, NOT_UTF8)
        elif header is not None:
            yield _row(path, number, header, cells)
        elif _HEADINGS.isdisjoint(cells):
            if len(cells) != 2 or not cells[1].startswith("["):
                yield Problem(str(path), number, _NO_HEADER)
                return
            header = ["question", "aliases"]
            yield _row(path, number, header, cells)
        elif twice := repeated_name(cells):
            yield Problem(str(path), number, f"the column {twice!r} stands twice; rename or remove one of them")
            return
        else:
            header = cells


def repeated_name(columns: Sequence[str]) -> str | None:
    """The first column name that stands twice; columns without a name are nobody's."""
    return next((name for name, count in Counter(columns).items() if name and count > 1), None)


def _records(lines: Sequence[str], delimiter: str) -> Iterator[list[str] | csv.Error]:
    """The cells of every record; after an error, reading goes on with the line behind the one that began there.

    A TSV is often written without quoting. There, a line whose quotes make no record is cut at its tabs, and so is one
    whose quote would swallow both a tab and the end of the line.
    """
    csv.field_size_limit(_LONGEST_FIELD)
    start = 0
    while start < len(lines):
        reader = csv.reader(islice(lines, start, None), delimiter=delimiter, strict=True)
        read = 0  # lines of this reader's good records
        error: csv.Error | None = None
        try:
            for cells in reader:
                if delimiter == "\t" and any("\t" in cell and "\n" in cell for cell in cells):
                    error = csv.Error("unexpected end of line")
                    break
                read = reader.line_num
                yield cells
        except csv.Error as caught:
            error = caught
        if error is None:
            return
        line = lines[start + read].rstrip("\r\n")
        yield line.split("\t") if delimiter == "\t" else error
        start += read + 1


def _row(path: Path, number: int, header: Sequence[str], cells: Sequence[str]) -> Row | Problem:
    if len(cells) != len(header):
        return Problem(str(path), number, f"expected {len(header)} cells as in the header, got {len(cells)}")
    return Row(number, dict(zip(header, cells, strict=True)))


def _is_utf8(cell: str) -> bool:
    try:
        cell.encode()
    except UnicodeEncodeError:
        return False
    return True
