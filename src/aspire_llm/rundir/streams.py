"""What is no regular file: standard input and output, FIFOs, devices. They are read and written, never replaced."""

import os
import re
import shutil
import sys
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import BinaryIO

from aspire_llm.errors import ConfigError, DataError
from aspire_llm.processes import processes

STANDARD = Path("-")
# Where these lead to a regular file, a shell has opened it: it is written on, as the shell asked for, not replaced.
_DESCRIPTORS = re.compile(r"/dev/(stdin|stdout|stderr|fd/\d+)|/proc/(self|\d+)/fd/\d+")

_OF_OUTPUT = ("-", "/dev/stdout", "/dev/fd/1", "/proc/self/fd/1")
_OF_ERRORS = ("/dev/stderr", "/dev/fd/2", "/proc/self/fd/2")


def is_stream(path: Path) -> bool:
    """Whether a path is to be read or written from end to end: ``-``, a FIFO, a device, an open descriptor."""
    if path == STANDARD or _DESCRIPTORS.fullmatch(str(path)):
        return True
    return path.exists() and not path.is_file() and not path.is_dir()


@contextmanager
def open_stream(path: Path) -> Iterator[BinaryIO]:
    """A stream to write to; ``-`` is standard output. What other processes than the main one write goes nowhere.

    Raises:
        ConfigError: It is a standard stream that was closed before we began.
    """
    _check_open(path)
    if not processes().is_main:
        path = Path(os.devnull)
    if path == STANDARD:
        sys.stdout.flush()
        yield sys.stdout.buffer
        sys.stdout.buffer.flush()
    else:
        with path.open("ab") as file:
            yield file


@contextmanager
def as_file(source: Path) -> Iterator[Path]:
    """A file to read: the source itself or, of a stream, a copy (as JSON Lines); ``-`` is standard input."""
    if not is_stream(source):
        yield source
        return
    with tempfile.TemporaryDirectory() as folder:
        copy = Path(folder) / "stdin.jsonl"
        with copy.open("wb") as file:
            if source == STANDARD:
                if sys.__stdin__ is None:
                    raise ConfigError("--input - is standard input, which is closed; give a file")
                shutil.copyfileobj(sys.stdin.buffer, file)
            else:
                with source.open("rb") as stream:
                    shutil.copyfileobj(stream, file)
        try:
            yield copy
        except DataError as error:
            raise DataError(str(error).replace(f"{folder}/", "")) from error


def _check_open(path: Path) -> None:
    """Refuse a standard stream that the shell closed (``>&-``): the command line has put /dev/null in its place."""
    for stream, name, places in ((sys.__stdout__, "output", _OF_OUTPUT), (sys.__stderr__, "error", _OF_ERRORS)):
        if stream is None and str(path) in places:
            raise ConfigError(f"--output {path} is standard {name}, which is closed; give a file")
