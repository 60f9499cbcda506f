"""One process at a time in a run directory, or on an output: the second is refused, and told who the first is."""

import errno
import json
import os
import platform
import sys
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from datetime import datetime
from pathlib import Path

from filelock import BaseFileLock, FileLock, Timeout

from aspire_llm.errors import RunDirectoryError
from aspire_llm.processes import processes

_NO_LOCKS = (errno.ENOSYS, errno.ENOTSUP, errno.ENOLCK)


def take_lock(path: Path, subject: Path) -> BaseFileLock:
    """Lock a file, which is made where it is not there; the lock ends with its release, or with the process.

    Args:
        path: The file; it then says who holds it.
        subject: What it stands for, for the message.

    Raises:
        RunDirectoryError: Another process holds it.
    """
    lock = FileLock(path, thread_local=False, fallback_to_soft=False)
    try:
        lock.acquire(blocking=False)
    except Timeout as error:
        if not path.exists():  # where no file can be, the lock counts as held
            path.touch()  # raises the OSError that says why
        raise RunDirectoryError(
            f"{subject} is in use by {_holder(path)}; wait until that ends, or choose another --output"
        ) from error
    except OSError as error:
        if error.errno not in _NO_LOCKS:
            raise
        path.touch()
        print(f"{subject}: this file system has no locks; let no second process work on it", file=sys.stderr)
    since = datetime.now().astimezone().isoformat(sep=" ", timespec="seconds")
    owner = {"process": os.getpid(), "host": platform.node(), "since": since}
    path.write_text(json.dumps(owner) + "\n", encoding="utf-8")
    return lock


@contextmanager
def locked_output(path: Path) -> Iterator[None]:
    """Hold the lock of an output, a file or a folder, which is taken away in the end; the main process holds it."""
    if not processes().is_main:
        yield
        return
    beside = path.with_name(f".{path.name}.lock")
    lock = take_lock(beside, path)
    try:
        yield
    finally:
        with suppress(OSError):
            beside.unlink()  # while it is held: whoever has opened it meanwhile sees that it is gone
        lock.release()


def _holder(path: Path) -> str:
    try:
        owner = json.loads(path.read_text(encoding="utf-8"))
        return f"process {owner['process']} on {owner['host']} since {owner['since']}"
    except (OSError, ValueError, KeyError, TypeError):
        return "another process"
