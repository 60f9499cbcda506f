"""One record of a file, before it is known which data set it belongs to."""

from dataclasses import dataclass

from aspire_llm.data.validation import Record

NOT_UTF8 = "not UTF-8 text; save the file as UTF-8"


@dataclass(frozen=True, slots=True)
class Row:
    """One record of a file and its number, counted as `Problem.row` says."""

    number: int
    record: Record
