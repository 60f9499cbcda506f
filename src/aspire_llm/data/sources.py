"""What a source of questions is, for every entrance: a file, a folder, a data set by name, a split on the hub.

A `Path` is a path. A text is a name where it is one (``demo``, ``facts``, ``squad``, ``squad:validation``, ``hf:…``),
else a path. What is a name and exists here too is refused; ``./squad`` or ``name:squad`` say which is meant.
"""

import os
import re
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from functools import partial
from pathlib import Path

from aspire_llm.data.files import DATA_SUFFIXES, read_rows
from aspire_llm.data.hub import HUB_NAMES, HubDataset, find_hub_dataset
from aspire_llm.data.problems import Problem
from aspire_llm.data.rows import Row
from aspire_llm.demo import demo_questions
from aspire_llm.demo.facts import facts_questions
from aspire_llm.errors import DataError
from aspire_llm.records import Question

_EMBEDDED: dict[str, Callable[[], list[Question]]] = {"demo": demo_questions, "facts": facts_questions}
_AS_NAME = "name:"  # before a name that could be taken for a path
_NAMES = f"names known here are {', '.join((*HUB_NAMES, *_EMBEDDED))}, hf:OWNER/NAME"
_OTHER_NAMES = {"validation": ("validation", "valid", "val", "dev")}  # what published files call a split


@dataclass(frozen=True, slots=True)
class Part:
    """One file or hub split: what to call it in messages and in ids, and how to read its rows."""

    label: str
    name: str
    rows: Callable[[], Iterator[Row | Problem]]


@dataclass(frozen=True, slots=True)
class Embedded:
    """A data set of this package: it holds questions that are known to be sound."""

    questions: Callable[[], list[Question]]


def find_path(source: str | Path) -> Path | None:
    """The file or folder that a source means, or None where it is the name of a data set.

    Raises:
        DataError: The text is both, or neither.
    """
    path = _find_path(source)
    if isinstance(path, Problem):
        raise DataError(str(path))
    return path


def plain_name(source: str) -> str:
    """The name of a data set without the ``name:`` that says that it is one."""
    return source.removeprefix(_AS_NAME)


def without_folder(source: str | Path) -> str:
    """What a source is called on any machine: a name as it is, of a path its last part."""
    return str(source) if isinstance(source, str) and _is_name(plain_name(source)) else os.path.basename(source)


def is_read_with(path: Path, source: Path) -> bool:
    """Whether a file is, or would be once it is written, among those that are read of a file or a folder."""
    if not source.is_dir():
        return _is_same_file(path, source)
    for own in (path, Path(os.path.realpath(path))):
        if _has_data_name(own) and own.parent.is_dir() and os.path.samefile(own.parent, source):
            return True
    return any(_is_same_file(path, own) for own in source.iterdir() if _is_data_file(own))


def open_source(source: str | Path, split: str | None) -> Sequence[Part | Embedded | Problem]:
    """What there is to read of a source."""
    path = _find_path(source)
    if isinstance(path, Problem):
        return [path]
    if path is None:
        return [_open_name(plain_name(str(source)), split)]
    if path.is_dir():
        return _open_folder(path, split)
    if split is not None:
        return [Problem(str(source), None, f"is one file and has no split '{split}'; name a folder or leave split out")]
    return [_file_part(path)]


def _find_path(source: str | Path) -> Path | Problem | None:
    if isinstance(source, str) and source.startswith(_AS_NAME):
        return None
    path = Path(os.path.expanduser(source))
    exists = os.path.exists(path)  # unlike Path.exists, never raises (a name too long, a NUL in it)
    if isinstance(source, str) and _is_name(source):
        if not exists:
            return None
        kind = "folder" if path.is_dir() else "file"
        ways = f"./{source} for the {kind}, {_AS_NAME}{source} for the data set"
        return Problem(source, None, f"is the name of a data set and a {kind} here; write {ways}")
    return path if exists else Problem(str(source), None, f"no such file or folder; {_NAMES}")


def _is_name(text: str) -> bool:
    return text.startswith("hf:") or text.partition(":")[0] in {*HUB_NAMES, *_EMBEDDED}


def _open_name(name: str, split: str | None) -> Part | Embedded | Problem:
    hub = find_hub_dataset(name, split)
    if isinstance(hub, HubDataset):
        return Part(str(hub), f"{hub.name}/{hub.split}", hub.rows)
    if hub is not None:
        return hub
    embedded, _, own_split = name.partition(":")
    if embedded not in _EMBEDDED:
        return Problem(name, None, f"no data set of this name; {_NAMES}; for a file or folder give its path")
    if own_split or split:
        return Problem(name, None, f"the data set {embedded} has no splits of its own; leave the split out")
    return Embedded(_EMBEDDED[embedded])


def _open_folder(folder: Path, split: str | None) -> list[Part | Problem]:
    try:
        files = sorted(path for path in folder.iterdir() if _is_data_file(path))
    except OSError as error:
        return [Problem(str(folder), None, f"cannot be read: {error.strerror or error}")]
    if not files:
        return [Problem(str(folder), None, f"holds no data file; expected one of {', '.join(DATA_SUFFIXES)}")]
    chosen = [path for path in files if split is None or _is_of_split(path, split)]
    if not chosen:
        names = ", ".join(path.name for path in files)
        return [Problem(str(folder), None, f"no file of the split '{split}' among {names}")]
    return [_file_part(path) for path in chosen]


def _is_data_file(path: Path) -> bool:
    """Whether a file of a folder was put there as data."""
    return _has_data_name(path) and path.is_file()


def _has_data_name(path: Path) -> bool:
    """Whether a name is one of data: hidden files are what systems and editors leave."""
    return path.suffix.lower() in DATA_SUFFIXES and not path.name.startswith((".", "~$"))


def _is_same_file(path: Path, other: Path) -> bool:
    """Whether two names, of links or not, are of one file; devices and FIFOs are none."""
    return path.is_file() and other.exists() and os.path.samefile(path, other)


def _is_of_split(path: Path, split: str) -> bool:
    words = re.split(r"[^a-z0-9]+", path.stem.lower())
    return not set(words).isdisjoint(_OTHER_NAMES.get(split, (split.lower(),)))


def _file_part(path: Path) -> Part:
    return Part(str(path), path.name, partial(read_rows, path))
