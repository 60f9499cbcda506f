"""How anything gets to disk: whole or, if the process is killed, as it was before; through links; into streams."""

import os
import re
import secrets
import shutil
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

from aspire_llm.processes import processes
from aspire_llm.rundir.streams import is_stream

_TEMPORARY = re.compile(r"\..+\.[0-9a-f]{8}\.tmp")


def temporary_name(path: Path, suffix: str = "tmp") -> Path:
    """A hidden name beside a path that no other process has."""
    return path.with_name(f".{path.name}.{secrets.token_hex(4)}.{suffix}")


def is_temporary(path: Path) -> bool:
    """Whether this is what a killed process left under a temporary name."""
    return _TEMPORARY.fullmatch(path.name) is not None


@contextmanager
def replacing(path: Path) -> Iterator[Path]:
    """A file to write, which takes the place of `path` when the block ends well, and is gone otherwise.

    A link stays a link to what is written; a stream (a FIFO, a device) is written to and never replaced.
    """
    if is_stream(path):
        yield path
        return
    target = Path(os.path.realpath(path))
    temporary = temporary_name(target)
    try:
        yield temporary
        publish(temporary, target)
    except BaseException:
        with suppress(OSError):
            temporary.unlink(missing_ok=True)
        raise


def publish(finished: Path, target: Path) -> None:
    """Give a finished file the name under which it is looked for, and the permissions of what stood there."""
    _to_disk(finished)
    if target.exists():
        shutil.copymode(target, finished)
    os.replace(finished, target)


def write_text(path: Path, text: str) -> None:
    """Write a text, whole or not at all; of several processes, one writes it."""
    content = text.encode()

    def write() -> None:
        with replacing(path) as target, target.open("ab") as file:
            file.write(content)

    processes().once(write)


@contextmanager
def new_folder(path: Path) -> Iterator[Path]:
    """A folder to fill, which appears under `path` when the block ends well, and not at all otherwise."""
    folder = temporary_name(path)
    folder.mkdir()
    try:
        yield folder
        for file in folder.iterdir():
            _to_disk(file)
        os.replace(folder, path)
    except BaseException:
        shutil.rmtree(folder, ignore_errors=True)
        raise


def remove(path: Path) -> None:
    """Remove a file, a link or a folder where there is one; a folder is gone at once, not file by file."""
    processes().once(lambda: _remove(path))


def _remove(path: Path) -> None:
    if path.is_dir() and not path.is_symlink():
        gone = temporary_name(path)
        os.replace(path, gone)
        shutil.rmtree(gone)
    else:
        path.unlink(missing_ok=True)


def _to_disk(path: Path) -> None:
    if not path.is_file():
        return
    descriptor = os.open(path, os.O_RDWR)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)
