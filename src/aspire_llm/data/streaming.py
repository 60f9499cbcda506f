"""Questions of any number from a file or folder, a few in memory at a time; a bad row costs itself alone."""

from collections.abc import Iterator
from dataclasses import dataclass, replace
from pathlib import Path

from aspire_llm.data.hash_set import HashSet
from aspire_llm.data.problems import Problem
from aspire_llm.data.reading import Scan
from aspire_llm.data.sources import Part
from aspire_llm.data.validation import Format
from aspire_llm.errors import DataError
from aspire_llm.records import Question


@dataclass(frozen=True, slots=True)
class QuestionStream:
    """The questions of a file or a folder, read anew each time that they are gone through.

    Rows are read one after the other, but for JSON documents, which are read whole. Questions have the ids that
    `load_questions` gives them. What is kept of a question is a hash of its id, so that a later row of the same id is
    found (of what differs, one pair in n² / 2⁶⁵ is taken for the same, see `HashSet`).

    Attributes:
        source: A file or a folder.
    """

    source: Path

    def __iter__(self) -> Iterator[Question | Problem]:
        """The questions, and in the place of each row that is none the problem with it, under the file's name.

        Raises:
            DataError: A file cannot be read on, or has no row that is a question.
        """
        for item in _IsolatingScan().items(self.source, None):
            if isinstance(item, Problem) and (item.row is None or item.is_end):
                raise DataError(str(item))
            yield item

    def count(self) -> tuple[int, int]:
        """How many items there are, and how many of them are problems, from a first reading.

        Raises:
            DataError: As the iteration does, before anything is done with the questions.
        """
        items = problems = 0
        for item in self:
            items += 1
            problems += isinstance(item, Problem)
        return items, problems


class _IsolatingScan(Scan):
    """A walk that keeps no question, and goes on behind every row that is none."""

    def __init__(self) -> None:
        super().__init__(require_answers=False, ends_at_unknown=False)
        self._met = HashSet()

    def part(self, part: Part) -> Iterator[Question | Problem]:
        """What stands in one file; in the end the problem that no row of it is a question, where that is so."""
        first: Problem | None = None
        problems = questions = 0
        for item in super().part(part):
            if isinstance(item, Question):
                questions += 1
            elif item.row is not None and not item.is_end:
                item = replace(item, file=part.name, id=item.id or f"{part.name}:{item.row}")
                first, problems = first or item, problems + 1
            yield item
        if first and not questions:
            message = f"none of its {problems} rows is a question (row {first.row}: {first.message})"
            yield Problem(part.label, None, message)

    def unless_repeated(
        self, question: Question, part: Part, row: int, where: str, rows_format: Format
    ) -> Iterator[Question | Problem]:
        """As every walk does, by the hashes of ids and, where the format has repetitions, of questions."""
        is_new_id = self._met.add(f"id {question.id}")
        is_repeated = rows_format.repeats and not self._met.add(repr(question))
        if is_new_id:
            yield question
        elif not is_repeated:
            place = f"{where}: " if where else ""
            message = f"{place}the id {question.id!r} is taken by an earlier row; ids must be unique"
            yield Problem(part.label, row, message, question.id)
