"""Rows of Arrow's tables (Parquet files, hub data sets) as Python's objects."""

from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    import pyarrow as pa

# Of dates beyond the year 9999, longer times than Python counts, and time zones that this machine does not know.
NOT_IN_PYTHON = (OverflowError, ValueError)


def arrow_records(table: "pa.Table | pa.RecordBatch") -> list[dict[str, Any]]:
    """The rows of a table or of a part of one.

    A value that Python has no counterpart of stays Arrow's own: no question is made of it, and no part of one, as of
    any other date, and the rest of its row is read.
    """
    try:
        records: list[dict[str, Any]] = table.to_pylist()
        return records
    except UnicodeDecodeError:  # the file is damaged
        raise
    except NOT_IN_PYTHON:
        columns = [[_value(own) for own in column] for column in table.columns]
        return [dict(zip(table.schema.names, row, strict=True)) for row in zip(*columns, strict=True)]


def _value(scalar: "pa.Scalar") -> Any:
    try:
        return scalar.as_py()
    except NOT_IN_PYTHON:
        return scalar
