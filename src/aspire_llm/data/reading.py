"""A source to questions. Loading and checking walk the same path, so they agree."""

import shlex
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field
from pathlib import Path

from aspire_llm.data import coqa, marked_rows, question_rows, squad, triviaqa
from aspire_llm.data.literals import unfold
from aspire_llm.data.problems import DataReport, Problem
from aspire_llm.data.rows import Row
from aspire_llm.data.sources import Embedded, Part, open_source
from aspire_llm.data.validation import Draft, Fault, Format, InvalidValueError, Record, build_question, id_of
from aspire_llm.errors import DataError
from aspire_llm.records import Mark, Question

_FORMATS = (coqa.FORMAT, squad.FORMAT, triviaqa.FORMAT, question_rows.FORMAT)
_FORMATS_WITH_MARKS = (*_FORMATS[:-1], marked_rows.FORMAT)


def load_questions(
    source: str | Path, *, limit: int | None = None, split: str | None = None, require_answers: bool = True
) -> list[Question]:
    """Read a data set.

    Args:
        source: A file (JSON, JSON Lines, CSV, TSV, Parquet); a folder, whose data files are read in sorted order;
            ``coqa``, ``squad``, ``squad_v2``, ``triviaqa``, ``nq_open``, each with ``:SPLIT`` behind it or not;
            ``demo``, ``facts``; or ``hf:OWNER/NAME[:CONFIG[:SPLIT]]``. A `Path` is never taken for a name; nor is
            ``./squad``.
        limit: Read no more than the first `limit` questions.
        split: Of a hub data set, the split (``train`` by default); of a folder, the files with that word in their
            names (``validation`` also finds ``dev``), by default all. A file has no splits.
        require_answers: Whether an answerable question must have an answer; False for the input of predictions.

    Returns:
        The questions in the order of the source. Every id is unique. Where the source gives none, it is the file's
        name and the row's number; where it gives no group, a question belongs to its passage, else to all questions
        of the same text.

    Raises:
        DataError: The first problem, with its file and row, and how many others there are.
    """
    if limit is not None and limit < 1:
        raise DataError(f"limit is {limit}; expected a number of questions, 1 or more")
    return _load(Scan(require_answers=require_answers), source, split, limit)


def load_marked(source: str | Path) -> tuple[list[Question], dict[str, Mark]]:
    """Read a data set in which people may have judged answers of a model, see `marked_rows`.

    Returns:
        The questions, as `load_questions` has them, of which those in such rows may have no reference; and what people
        said of an answer to them, by id.

    Raises:
        DataError: As in `load_questions`.
    """
    scan = Scan(require_answers=True, marks={})
    return _load(scan, source), scan.marks or {}


def _load(reader: "Scan", source: str | Path, split: str | None = None, limit: int | None = None) -> list[Question]:
    """All questions of a source; DataError at the first problem."""
    questions: list[Question] = []
    scan = reader.items(source, split)
    for item in scan:
        if isinstance(item, Problem):
            others = sum(isinstance(other, Problem) for other in scan)
            hint = (
                f" (and {others} more: run `aspire-llm data check {shlex.quote(str(source))}` to see all)"
                if others
                else ""
            )
            raise DataError(f"{item}{hint}")
        questions.append(item)
        if len(questions) == limit:
            break
    return questions


def read_row(record: Record, *, fallback_id: str) -> Question | Problem:
    """The question of a row that comes by itself, in the layout of question rows; answers are not required."""
    try:
        return build_question(question_rows.draft(unfold(record)), fallback_id=fallback_id, require_answers=False)
    except InvalidValueError as error:
        return Problem("", None, str(error), fallback_id)


def check_data(source: str | Path, *, split: str | None = None, require_answers: bool = True) -> DataReport:
    """Read a data set as `load_questions` does, and report everything that is wrong with it instead of raising."""
    scan = Scan(require_answers=require_answers)
    problems: list[Problem] = []
    questions = unanswerable = 0
    groups = set()
    for item in scan.items(source, split):
        if isinstance(item, Problem):
            problems.append(item)
            continue
        questions += 1
        unanswerable += not item.answerable
        groups.add(item.group)
    return DataReport(", ".join(dict.fromkeys(scan.formats)), questions, len(groups), unanswerable, tuple(problems))


@dataclass
class Scan:
    """One walk over a source, which yields its questions and its problems in order.

    Attributes:
        require_answers: As in `load_questions`.
        marks: What people said of answers so far, by the question's id; None where no mark is read.
        ends_at_unknown: Whether a row whose structure is not known, before any whose is, ends the reading of its file.
        formats: The format of every file read so far.
        seen: Every id so far, with its place and its question.
    """

    require_answers: bool
    marks: dict[str, Mark] | None = None
    ends_at_unknown: bool = True
    formats: list[str] = field(default_factory=list)
    seen: dict[str, tuple[str, Question]] = field(default_factory=dict)

    def items(self, source: str | Path, split: str | None) -> Iterator[Question | Problem]:
        for part in open_source(source, split):
            match part:
                case Problem():
                    yield part
                case Embedded():
                    self.formats.append(question_rows.FORMAT.name)
                    yield from part.questions()
                case Part():
                    yield from self.part(part)

    def part(self, part: Part) -> Iterator[Question | Problem]:
        """The same of one file."""
        rows_format = None
        is_empty = True
        with_marks = self.marks is not None
        for row in _unfolded_rows(part, marked_rows.unfold if with_marks else unfold):
            if isinstance(row, Problem):
                is_empty = False
                yield row
                continue
            if rows_format is None:
                rows_format = _recognise(row.record, _FORMATS_WITH_MARKS if with_marks else _FORMATS)
                if rows_format is None:
                    is_empty, message = False, _unknown_structure(row.record)
                    yield Problem(part.label, row.number, message, is_end=self.ends_at_unknown)
                    if self.ends_at_unknown:
                        return
                    continue
                self.formats.append(rows_format.name)
            for index, draft in enumerate(_drafts(rows_format, row.record), 1):
                is_empty = False
                item = self._build(draft, part, row.number, index)
                if isinstance(item, Problem):
                    yield item
                else:
                    yield from self.unless_repeated(item, part, row.number, draft.where, rows_format)
        if is_empty:
            yield Problem(part.label, None, "holds no questions")

    def _build(self, draft: Draft | Fault, part: Part, row: int, index: int) -> Question | Problem:
        identifier = f"{part.name}:{row}:{index}" if draft.where else f"{part.name}:{row}"
        if isinstance(draft, Fault):
            return Problem(part.label, row, _at(draft.where, draft.message), identifier)
        try:
            question = build_question(draft, fallback_id=identifier, require_answers=self.require_answers)
        except InvalidValueError as error:
            return Problem(part.label, row, _at(draft.where, str(error)), id_of(draft, identifier))
        if self.marks is not None and draft.mark is not None:
            self.marks[question.id] = draft.mark
        return question

    def unless_repeated(
        self, question: Question, part: Part, row: int, where: str, rows_format: Format
    ) -> Iterator[Question | Problem]:
        """The question; a problem if its id is taken; nothing if it is a repetition that the format allows."""
        place, earlier = self.seen.setdefault(question.id, (f"{part.label}, row {row}", question))
        if earlier is question:
            yield question
        elif not (rows_format.repeats and earlier == question):
            message = f"the id {question.id!r} is taken by {place}; ids must be unique"
            yield Problem(part.label, row, _at(where, message), question.id)


def _unfolded_rows(part: Part, unfold: Callable[[Record], Record]) -> Iterator[Row | Problem]:
    """The rows with the lists and objects that stand in them as text."""
    for row in part.rows():
        if isinstance(row, Problem):
            yield row
            continue
        try:
            yield Row(row.number, unfold(row.record))
        except InvalidValueError as error:
            yield Problem(part.label, row.number, str(error))


def _recognise(record: Record, formats: Sequence[Format]) -> Format | None:
    return next((known for known in formats if known.recognises(record)), None)


def _unknown_structure(record: Record) -> str:
    keys = ", ".join(repr(str(key)) for key in list(record)[:8]) or "no names at all"
    return f"unknown structure (got {keys}); understood are {'; '.join(known.layout for known in _FORMATS)}"


def _drafts(rows_format: Format, record: Record) -> Iterator[Draft | Fault]:
    try:
        yield from rows_format.drafts(record)
    except InvalidValueError as error:
        yield Fault(str(error))


def _at(where: str, message: str) -> str:
    return f"{where}: {message}" if where else message
