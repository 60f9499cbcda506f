"""Progress of long work: a bar on a terminal, plain lines elsewhere. Of several processes, the main one shows it."""

import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import timedelta
from typing import Never, Protocol

from tqdm import tqdm

from aspire_llm.processes import process_index

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


class _Silent:
    def update(self, n: int, note: str = "") -> None:
        pass


class _Lines:
    def __init__(self, title: str, total: int, done: int, unit: str) -> None:
        self._title, self._total, self._done, self._unit = title, total, done, unit
        self._begun_at, self._started = done, time.monotonic()
        self._last = self._started

    def update(self, n: int, note: str = "") -> None:
        self._done += n
        now = time.monotonic()
        if now - self._last > _SECONDS_BETWEEN_LINES and self._done < self._total:
            self._last = now
            print(
                f"{self._title}: {self._done}/{self._total}{self._pace(now)} {note}".rstrip(),
                file=sys.stderr,
                flush=True,
            )

    def _pace(self, now: float) -> str:
        """How fast units get done, and the time that the rest will take."""
        if not self._unit:
            return ""
        pace = (self._done - self._begun_at) / (now - self._started)
        left = timedelta(seconds=round((self._total - self._done) / pace))
        return f", {pace:.3g} {self._unit}/s, {left} left"


@contextmanager
def progress(title: str, total: int, *, done: int = 0, unit: str = "") -> Iterator[Progress]:
    """Show `total` units of work under a title, of which `done` were finished by an earlier run.

    Args:
        title: What is done.
        total: How many units there are.
        done: How many of them were finished before.
        unit: What they are called; where it is given, plain lines say how many are done per second and the time left.
    """
    if process_index() > 0:
        yield _Silent()
        return
    if sys.stderr.isatty():
        with tqdm(
            total=total, desc=title, initial=done, unit=f" {unit or 'it'}", leave=False, dynamic_ncols=True
        ) as bar:
            yield _Bar(bar)
        return
    started = time.monotonic()
    yield _Lines(title, total, done, unit)
    print(f"{title}: done ({total}) in {time.monotonic() - started:.1f} s", file=sys.stderr, flush=True)


def warn(*warnings: str) -> None:
    """What a user must know, a line each on standard error."""
    for warning in warnings:
        print(f"aspire-llm: warning: {warning}", file=sys.stderr)
