"""Progress of long work: a bar on a terminal, plain lines elsewhere."""

import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Never, Protocol

from tqdm import tqdm

_SECONDS_BETWEEN_LINES = 15.0


class Progress(Protocol):
    """Takes note of finished units of work."""

    def update(self, n: int, note: str = "") -> None:
        """`n` more units are done; `note` says how it goes."""


class _Bar:
    def __init__(self, bar: "tqdm[Never]") -> None:
        self._bar = bar

    def update(self, n: int, note: str = "") -> None:
        self._bar.set_postfix_str(note, refresh=False)
        self._bar.update(n)


class _Lines:
    def __init__(self, title: str, total: int, done: int) -> None:
        self._title, self._total, self._done = title, total, done
        self._last = time.monotonic()

    def update(self, n: int, note: str = "") -> None:
        self._done += n
        if time.monotonic() - self._last > _SECONDS_BETWEEN_LINES and self._done < self._total:
            self._last = time.monotonic()
            print(f"{self._title}: {self._done}/{self._total} {note}".rstrip(), file=sys.stderr, flush=True)


@contextmanager
def progress(title: str, total: int, *, done: int = 0) -> Iterator[Progress]:
    """Show `total` units of work under a title, of which `done` were finished by an earlier run."""
    if sys.stderr.isatty():
        with tqdm(total=total, desc=title, initial=done, leave=False, dynamic_ncols=True) as bar:
            yield _Bar(bar)
        return
    started = time.monotonic()
    yield _Lines(title, total, done)
    print(f"{title}: done ({total}) in {time.monotonic() - started:.1f} s", file=sys.stderr, flush=True)
