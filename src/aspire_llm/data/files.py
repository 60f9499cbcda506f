"""Files to rows: one row at a time where the format allows, and a problem in place of every row that is broken."""

import csv
import json
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

from aspire_llm.data.problems import Problem
from aspire_llm.data.validation import Record

_NOT_UTF8 = "not UTF-8 text; save the file as UTF-8"
_JSON_SUFFIXES = (".json", ".jsonl", ".ndjson")
_DELIMITERS = {".csv": ",", ".tsv": "\t"}
DATA_SUFFIXES = (*_JSON_SUFFIXES, *_DELIMITERS, ".parquet")


@dataclass(frozen=True, slots=True)
class Row:
    """One record of a file and its number, counted as `Problem.row` says."""

    number: int
    record: Record


def read_rows(path: Path) -> Iterator[Row | Problem]:
    """The rows of a data file, whose suffix says how it is written.

    Never raises for what the file holds: whatever is broken comes as a `Problem` in its place.
    """
    suffix = path.suffix.lower()
    try:
        if suffix in _DELIMITERS:
            yield from _table_rows(path, _DELIMITERS[suffix])
        elif suffix == ".parquet":
            yield from _parquet_rows(path)
        elif suffix not in _JSON_SUFFIXES:
            yield Problem(str(path), None, f"unknown suffix '{suffix}'; expected one of {', '.join(DATA_SUFFIXES)}")
        elif suffix != ".json" or _holds_json_lines(path):
            yield from _json_lines(path)
        else:
            yield from _json_document(path)
    except OSError as error:
        yield Problem(str(path), None, f"cannot be read: {error.strerror or error}")


def _json_lines(path: Path) -> Iterator[Row | Problem]:
    with path.open("rb") as file:
        for number, line in enumerate(file, 1):
            if line.strip():
                yield _row(path, number, _parse_json(line, "UTF-8-sig" if number == 1 else "UTF-8"))


def _json_document(path: Path) -> Iterator[Row | Problem]:
    """The entries of the list in a document: the document itself, or its ``data`` (``Data`` in TriviaQA)."""
    document = _parse_json(path.read_bytes(), "UTF-8-sig")
    if isinstance(document, _Broken):
        yield Problem(str(path), None, document.message)
        return
    if isinstance(document, dict):
        document = next((document[key] for key in ("data", "Data") if key in document), [document])
    if not isinstance(document, list):
        yield Problem(str(path), None, "expected a list of objects, or an object whose 'data' is one")
        return
    for number, value in enumerate(document, 1):
        yield _row(path, number, value)


def _holds_json_lines(path: Path) -> bool:
    """Whether a ``.json`` file is JSON Lines: its first line is a whole object and another line follows."""
    with path.open("rb") as file:
        lines = (line for line in file if line.strip())
        first = next(lines, b"")
        # The test of the last character spares the parsing of a document that stands on one line.
        return (
            first.rstrip().endswith(b"}")
            and next(lines, None) is not None
            and isinstance(_parse_json(first, "UTF-8-sig"), dict)
        )


@dataclass(frozen=True, slots=True)
class _Broken:
    """Why a text is not JSON."""

    message: str


def _parse_json(content: bytes, encoding: str) -> object:
    """The value that `content` states, or `_Broken`."""
    try:
        return json.loads(content.decode(encoding))
    except UnicodeDecodeError:
        return _Broken(_NOT_UTF8)
    except json.JSONDecodeError as error:
        at_end = error.pos >= len(error.doc.rstrip())
        return _Broken(
            f"not JSON: {error.msg} at line {error.lineno}, column {error.colno}"
            + (" (it ends too early: cut off?)" if at_end else "")
        )
    except (ValueError, RecursionError):  # a number of thousands of digits, brackets nested without end
        return _Broken("not JSON that can be read: it holds a number or a nesting beyond all limits")


def _row(path: Path, number: int, value: object) -> Row | Problem:
    if isinstance(value, _Broken):
        return Problem(str(path), number, value.message)
    if not isinstance(value, dict):
        return Problem(str(path), number, f"expected an object with named values, got {json.dumps(value)[:60]}")
    return Row(number, value)


def _table_rows(path: Path, delimiter: str) -> Iterator[Row | Problem]:
    header: list[str] | None = None
    number = 0
    # Bytes that are not UTF-8 pass as surrogates, so that only their own row is lost.
    with path.open(encoding="utf-8-sig", errors="surrogateescape", newline="") as file:
        try:
            for number, cells in enumerate(csv.reader(file, delimiter=delimiter, strict=True), 1):
                if not cells:
                    continue
                if not all(_is_utf8(cell) for cell in cells):
                    yield Problem(str(path), number, _NOT_UTF8)
                elif header is not None:
                    yield _table_row(path, number, header, cells)
                elif "question" in cells:
                    header = cells
                elif len(cells) == 2 and cells[1].startswith("["):
                    header = ["question", "aliases"]
                    yield _table_row(path, number, header, cells)
                else:
                    message = "expected a header row with a column 'question', or rows of a question and a Python list"
                    yield Problem(str(path), number, message)
                    return
        except csv.Error as error:
            yield Problem(str(path), number + 1, f"not a table that can be read: {error}; the rest was not read")


def _table_row(path: Path, number: int, header: list[str], cells: list[str]) -> Row | Problem:
    if len(cells) != len(header):
        return Problem(str(path), number, f"expected {len(header)} cells as in the header, got {len(cells)}")
    record: dict[str, object] = dict(zip(header, cells, strict=True))
    for name in ("answer", "answers"):
        cell = str(record.get(name, "")).strip()
        if cell.startswith("[") and cell.endswith("]"):
            record[name] = _parse_json(cell.encode(), "UTF-8")
            if isinstance(record[name], _Broken):
                message = f'\'{name}\' looks like a list and is not JSON; write it as ["one", "another"]'
                return Problem(str(path), number, message)
    return Row(number, record)


def _is_utf8(cell: str) -> bool:
    try:
        cell.encode()
    except UnicodeEncodeError:
        return False
    return True


def _parquet_rows(path: Path) -> Iterator[Row | Problem]:
    import pyarrow
    from pyarrow import parquet

    number = 0
    try:
        with parquet.ParquetFile(path) as file:
            for batch in file.iter_batches(batch_size=1000):
                for record in batch.to_pylist():
                    number += 1
                    yield Row(number, record)
    except (pyarrow.ArrowException, OSError, ValueError) as error:
        message = f"not a Parquet file that can be read: {first_line(error)}"
        yield Problem(str(path), number + 1 if number else None, message)


def first_line(error: Exception) -> str:
    """The first line of an error's message, or its name where it has none: messages of this package are one line."""
    lines = str(error).strip().splitlines()
    return lines[0] if lines else type(error).__name__
