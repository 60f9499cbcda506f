"""Files to rows: one row at a time where the format allows, and a problem in place of every row that is broken."""

import json
from collections.abc import Iterator
from pathlib import Path

from aspire_llm.data.arrow_rows import arrow_records
from aspire_llm.data.json_text import Broken, parse_json
from aspire_llm.data.problems import Problem
from aspire_llm.data.rows import Row
from aspire_llm.data.tables import DELIMITERS, repeated_name, table_rows
from aspire_llm.errors import first_line

_JSON_SUFFIXES = (".json", ".jsonl", ".ndjson")
DATA_SUFFIXES = (*_JSON_SUFFIXES, *DELIMITERS, ".parquet")


def read_rows(path: Path) -> Iterator[Row | Problem]:
    """The rows of a data file, whose suffix says how it is written.

    Never raises for what the file holds: whatever is broken comes as a `Problem` in its place.
    """
    suffix = path.suffix.lower()
    try:
        if suffix in DELIMITERS:
            yield from table_rows(path)
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
                yield _row(path, number, parse_json(line, "UTF-8-sig" if number == 1 else "UTF-8"))


def _json_document(path: Path) -> Iterator[Row | Problem]:
    """The entries of the list in a document: the document itself, or its ``data`` (``Data`` in TriviaQA)."""
    document = parse_json(path.read_bytes(), "UTF-8-sig")
    if isinstance(document, Broken):
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
            and _is_object(parse_json(first, "UTF-8-sig"))
        )


def _is_object(value: object) -> bool:
    return isinstance(value, dict) or (isinstance(value, Broken) and value.is_object)


def _row(path: Path, number: int, value: object) -> Row | Problem:
    if isinstance(value, Broken):
        return Problem(str(path), number, value.message)
    if not isinstance(value, dict):
        return Problem(str(path), number, f"expected an object with named values, got {json.dumps(value)[:60]}")
    return Row(number, value)


def _parquet_rows(path: Path) -> Iterator[Row | Problem]:
    import pyarrow
    from pyarrow import parquet

    number = 0
    try:
        # Without these a whole row group, which may be the whole file, is read at once.
        with parquet.ParquetFile(path, buffer_size=2**20, pre_buffer=False) as file:
            # Of two columns of one name, a row as a dict would hold the last.
            if twice := repeated_name(file.schema_arrow.names):
                yield Problem(str(path), None, f"the column {twice!r} stands twice; rename or remove one of them")
                return
            for batch in file.iter_batches(batch_size=1000):
                for record in arrow_records(batch):
                    number += 1
                    yield Row(number, record)
    except (pyarrow.ArrowException, OSError, ValueError) as error:
        message = f"not a Parquet file that can be read: {first_line(error)}"
        yield Problem(str(path), number + 1 if number else None, message, is_end=True)
