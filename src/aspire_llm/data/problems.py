"""What can be wrong with a data set, and what a check of one found."""

from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class Problem:
    """One thing that keeps a data set from being read.

    Attributes:
        file: The file, or the hub data set, as it is shown to the user.
        row: Where in the file, counted from 1, or None where the whole file is meant. A line of JSON Lines (blank ones
            count), a row of a table (in CSV and TSV the header is row 1, as in a spreadsheet), an entry of the list
            in a JSON document (an article, a story, a question).
        message: What was got and what was expected, on one line.
        id: What the question that it keeps from being read is called, or would be; empty where no one question is
            meant.
        is_end: Whether nothing behind it was read.
    """

    file: str
    row: int | None
    message: str
    id: str = ""
    is_end: bool = False

    def __str__(self) -> str:
        place = self.file if self.row is None else f"{self.file}, row {self.row}"
        return f"{place}: {self.message}"


@dataclass(frozen=True, slots=True)
class DataReport:
    """What `check_data` found.

    Attributes:
        format: The formats recognised, joined by commas; empty where none was.
        questions: Questions that can be read.
        groups: Distinct groups among them.
        unanswerable: How many of them the data set declares to have no answer.
        problems: Everything that is wrong, in the order of the files and rows. The data set loads if there is none.
    """

    format: str
    questions: int
    groups: int
    unanswerable: int
    problems: tuple[Problem, ...]
