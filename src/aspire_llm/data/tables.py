"""CSV and TSV to rows. A row that cannot be read is reported, and the reading goes on with the next line."""

import codecs
import csv
from collections import Counter
from collections.abc import Iterator, Sequence
from pathlib import Path

from aspire_llm.data.problems import Problem
from aspire_llm.data.rows import NOT_UTF8, Row

DELIMITERS = {".csv": ",", ".tsv": "\t"}
# Characters; csv refuses fields above 131,072 unless it is told otherwise. A quote that nothing closes makes all that
# follows one field, which is held in memory up to here.
_LONGEST_FIELD = 2**24
# Whatever stands in the first row of a table of some data set.
_HEADINGS = {"question", "questions", "Question", "paragraphs"}
_NO_HEADER = "expected a header row with a column 'question', or rows of a question and a Python list"


def table_rows(path: Path) -> Iterator[Row | Problem]:
    """The rows of a table, whose suffix says what separates its cells."""
    delimiter = DELIMITERS[path.suffix.lower()]
    header: list[str] | None = None
    for number, cells in enumerate(_records(path, delimiter), 1):
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
                yield Problem(str(path), number, _NO_HEADER, is_end=True)
                return
            header = ["question", "aliases"]
            yield _row(path, number, header, cells)
        elif twice := repeated_name(cells):
            message = f"the column {twice!r} stands twice; rename or remove one of them"
            yield Problem(str(path), number, message, is_end=True)
            return
        else:
            header = cells


def repeated_name(columns: Sequence[str]) -> str | None:
    """The first column name that stands twice; columns without a name are nobody's."""
    return next((name for name, count in Counter(columns).items() if name and count > 1), None)


class _Lines:
    """The lines of a file, and where in it, in bytes, the next one begins."""

    def __init__(self, path: Path, start: int) -> None:
        self._path, self.next = path, start

    def __iter__(self) -> Iterator[str]:
        # Bytes that are not UTF-8 pass as surrogates, so that only their own row is lost.
        with self._path.open(encoding="utf-8", errors="surrogateescape", newline="") as file:
            file.seek(self.next)
            for line in file:
                self.next += len(line.encode("utf-8", "surrogateescape"))
                yield line


def _records(path: Path, delimiter: str) -> Iterator[list[str] | csv.Error]:
    """The cells of every record; after an error, reading goes on with the line behind the one that began there.

    A TSV is often written without quoting. There, a line whose quotes make no record is cut at its tabs, and so is one
    whose quote would swallow both a tab and the end of the line.
    """
    csv.field_size_limit(_LONGEST_FIELD)
    with path.open("rb") as file:
        end = len(codecs.BOM_UTF8) if file.read(len(codecs.BOM_UTF8)) == codecs.BOM_UTF8 else 0  # of good records
    while True:
        lines = _Lines(path, end)
        error: csv.Error | None = None
        try:
            for cells in csv.reader(lines, delimiter=delimiter, strict=True):
                if delimiter == "\t" and any("\t" in cell and "\n" in cell for cell in cells):
                    error = csv.Error("unexpected end of line")
                    break
                end = lines.next
                yield cells
        except csv.Error as caught:
            error = caught
        if error is None:
            return
        lines = _Lines(path, end)
        line = next(iter(lines)).rstrip("\r\n")
        yield line.split("\t") if delimiter == "\t" else error
        end = lines.next


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
