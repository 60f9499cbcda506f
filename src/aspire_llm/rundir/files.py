"""Files that are whole or absent, lines that are whole or dropped, and what is stored in them as records."""

import json
import os
from collections.abc import Callable, Iterable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from itertools import islice
from pathlib import Path
from typing import Any, BinaryIO, Generic, NoReturn, TypeVar

from aspire_llm.errors import RunDirectoryError
from aspire_llm.processes import processes
from aspire_llm.progress import progress
from aspire_llm.rundir.writing import write_text

T = TypeVar("T")


@dataclass(frozen=True, slots=True)
class Document(Generic[T]):
    """A JSON file that holds one record.

    Attributes:
        name: Of the file within its folder.
        holds: What it should hold, for error messages.
        to_json: Writes the record as JSON values.
        from_json: Reads it back; may raise KeyError, TypeError, ValueError or OverflowError.
    """

    name: str
    holds: str
    to_json: Callable[[T], Any]
    from_json: Callable[[Any], T]

    def exists(self, folder: Path) -> bool:
        """Whether the folder has the file."""
        return (folder / self.name).is_file()

    def write(self, folder: Path, record: T) -> None:
        """Write the record, whole or not at all; a NaN in it is an error."""
        text = json.dumps(self.to_json(record), indent=2, ensure_ascii=False, allow_nan=False)
        write_text(folder / self.name, text + "\n")

    def read(self, folder: Path) -> T:
        """Read the record.

        Raises:
            RunDirectoryError: The file is missing or holds something else.
        """
        path = folder / self.name
        try:
            return self.from_json(_parsed(path.read_text(encoding="utf-8")))
        except FileNotFoundError as error:
            raise RunDirectoryError(f"{path}: missing; run aspire-llm run again") from error
        except _BROKEN as error:
            raise RunDirectoryError(f"{path} holds no {self.holds} ({_reason(error)}); make it again") from error


@dataclass(frozen=True, slots=True)
class Lines(Generic[T]):
    """A JSON Lines file of records.

    Attributes:
        name: Of the file within its folder.
        holds: What a line should hold, for error messages.
        to_json: Writes a record as JSON values.
        from_json: Reads it back; may raise KeyError, TypeError, ValueError or OverflowError.
        remedy: What to do about a damaged line, for error messages.
        id_of: The question that a record is about, by its id, where no two records are about the same; else None.
    """

    name: str
    holds: str
    to_json: Callable[[T], Any]
    from_json: Callable[[Any], T]
    remedy: str = "make it again"
    id_of: Callable[[T], str] | None = None

    def exists(self, folder: Path) -> bool:
        """Whether the folder has the file."""
        return (folder / self.name).is_file()

    def read(self, folder: Path) -> list[T]:
        """Read all records.

        Raises:
            RunDirectoryError: The file is missing, or a line holds something else, or is about a question again.
        """
        records = list(self.each(folder))
        self._check_distinct(folder, records)
        return records

    def read_whole(self, folder: Path) -> list[T]:
        """Read the records whose lines are whole; the last one may be cut off, where a process was killed."""
        return list(self.each(folder, partial_line_is_read=False))

    def each(self, folder: Path, *, partial_line_is_read: bool = True) -> Iterator[T]:
        """The records one after the other, read as they are asked for, whatever they are about."""
        path = folder / self.name
        try:
            with path.open("rb") as file:  # not as text: a line may be cut off within a character
                for number, line in enumerate(file, 1):
                    if not partial_line_is_read and not line.endswith(b"\n"):
                        break
                    try:
                        record = self.from_json(_parsed(line.decode()))
                    except UnicodeDecodeError as error:
                        raise RunDirectoryError(f"{path} is no UTF-8 text; {self.remedy}") from error
                    except _BROKEN as error:
                        raise RunDirectoryError(
                            f"{path} line {number} holds no {self.holds} ({_reason(error)}); {self.remedy}"
                        ) from error
                    yield record
        except FileNotFoundError as error:
            raise RunDirectoryError(f"{path}: missing; run aspire-llm run again") from error

    def write(self, folder: Path, records: Sequence[T]) -> None:
        """Write all records anew, whole or not at all."""
        write_text(folder / self.name, "".join(f"{self._line(record)}\n" for record in records))

    def revise(self, folder: Path, records: list[T], revised: Callable[[T], T]) -> list[T]:
        """Change stored records, all at once; nothing is written where that changes none.

        Args:
            folder: Of the file.
            records: What it holds.
            revised: What becomes of each.
        """
        changed = [revised(record) for record in records]
        if processes().once(lambda: changed != records):  # what one process finds: others may round otherwise
            self.write(folder, changed)
        return changed

    def fill(
        self,
        folder: Path,
        title: str,
        ids: Sequence[str],
        size: int,
        compute: Callable[[Sequence[int]], Sequence[T]],
    ) -> list[T]:
        """Compute the records that the file lacks, append them, and return all.

        Questions are computed `size` at a time (as many for each of several processes that share them), as a whole
        or not at all, so that a resumed run computes the same parts as an uninterrupted one.

        Args:
            folder: Of the file.
            title: What the progress bar says.
            ids: Of the questions, one per line, in the order of the lines.
            size: Questions computed together.
            compute: The records of some of them, given their places among the ids.

        Returns:
            The records of all questions.

        Raises:
            RunDirectoryError: A line is about another question than the one in its place; the file stays as it is.
        """
        path = folder / self.name
        known = self.read_whole(folder) if self.exists(folder) else []
        self._check_order(folder, known, ids)
        lines = len(known)
        done = processes().once(lambda: _begin(path, lines, len(ids), size))
        if done == len(ids):
            return known[:done]
        known.clear()  # they are read again with the rest
        with appending(path) as file:
            self.pour(file, title, range(done, len(ids)), size, compute, total=len(ids), done=done)
        return self.read(folder)

    def _check_distinct(self, folder: Path, records: Sequence[T]) -> None:
        """That no two records are about one question, which would count twice."""
        met: set[str] = set()
        for number, about in enumerate(map(self.id_of, records) if self.id_of else (), 1):
            if about in met:
                raise RunDirectoryError(
                    f"{folder / self.name} line {number} is about question {about!r}, as a line before it is; put the "
                    "file back as it was, or remove one of the two"
                )
            met.add(about)

    def _check_order(self, folder: Path, known: Sequence[T], ids: Sequence[str]) -> None:
        """That each record is about the question in its place: a line that was lost would move all behind it."""
        assert self.id_of, "a file is filled by questions"
        for number, (about, asked) in enumerate(zip(map(self.id_of, known), ids, strict=False), 1):
            if about != asked:
                raise RunDirectoryError(
                    f"{folder / self.name} line {number} is about question {about!r}, where {asked!r} is due; put the "
                    f"file back as it was, or remove its lines from {number} on, which are then made again"
                )

    def pour(
        self,
        file: BinaryIO,
        title: str,
        items: Iterable[Any],
        size: int,
        compute: Callable[[Sequence[Any]], Sequence[T]],
        *,
        total: int,
        done: int = 0,
    ) -> None:
        """Write the records of items to an open file as they are computed; `size` items are in memory at a time.

        Args:
            file: To write to.
            title, size, compute: As in `fill`.
            items: One per line.
            total: How many lines there will be, for the progress bar.
            done: How many of them were there before.
        """
        rest = iter(items)
        with progress(title, total, done=done, unit="questions") as bar:
            while part := list(islice(rest, size * processes().shares)):  # enough for all of them
                file.write("".join(f"{self._line(record)}\n" for record in compute(part)).encode())
                file.flush()
                bar.update(len(part))

    def keep_parts(self, folder: Path, size: int) -> None:
        """Drop what stands behind the last whole part of `size` lines; a missing file becomes an empty one."""
        path = folder / self.name

        def keep() -> None:
            path.touch()
            _cut(path, _whole_lines(path) // size * size)

        processes().once(keep)

    def _line(self, record: T) -> str:
        return json.dumps(self.to_json(record), ensure_ascii=False, allow_nan=False)


@contextmanager
def appending(path: Path) -> Iterator[BinaryIO]:
    """A file to write on; what other processes than the main one write goes nowhere. Then all of them see it whole."""
    with (path if processes().is_main else Path(os.devnull)).open("ab") as file:
        yield file
    processes().wait()


_BROKEN = (KeyError, TypeError, ValueError, AttributeError, OverflowError)


def _parsed(text: str) -> Any:
    try:
        return _DECODER.decode(text)
    except RecursionError as error:
        raise ValueError("it is nested beyond all limits") from error


def _refuse_constant(name: str) -> NoReturn:
    raise ValueError(f"{name} is no number")


_DECODER = json.JSONDecoder(parse_constant=_refuse_constant)


def _reason(error: Exception) -> str:
    return f"{error} is missing" if isinstance(error, KeyError) else str(error)


def _begin(path: Path, lines: int, num_questions: int, size: int) -> int:
    """Make a JSON Lines file, or cut it after its last whole part; the number of lines kept."""
    path.touch()
    kept = num_questions if lines >= num_questions else lines - lines % size
    _cut(path, kept)
    return kept


def _whole_lines(path: Path) -> int:
    with path.open("rb") as file:
        return sum(line.endswith(b"\n") for line in file)


def _cut(path: Path, num_lines: int) -> None:
    """Drop what stands behind the first lines of a file."""
    with path.open("rb") as file:
        end = sum(len(line) for line in islice(file, num_lines))
    if end < path.stat().st_size:
        os.truncate(path, end)
