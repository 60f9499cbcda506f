"""What every benchmark shares: settings, rows, and timing ours and the peer in turns."""

import gc
import time
from collections.abc import Callable, Iterable
from dataclasses import dataclass, field, fields, replace
from datetime import UTC, datetime
from statistics import median
from typing import Any, Protocol, TypeVar

import torch

from benchmarks import machine
from benchmarks.machine import Limits
from benchmarks.memory import Used

PEER_ONCE = 0  # rounds for a peer that takes long: where it does, the run that is compared is the one that is timed
_LONG = 10.0  # seconds
_RUNS_BESIDE_ONE = 3  # of ours then
_SIDES = ("ours", "peer")

Ours = TypeVar("Ours")
Theirs = TypeVar("Theirs")


class MismatchError(Exception):
    """Ours and the peer give different results, so no time of theirs is worth reporting."""


@dataclass(frozen=True, slots=True)
class Settings:
    """How much to run, and where.

    Attributes:
        full: All models, all settings and the growth tables; else what fits into ten minutes on two cores.
        device: Where the models are; a GPU gets larger ones.
        questions: Of the whole pipeline.
        rounds: Times that ours and a quick peer are run in turns, beside the one whose results are compared.
    """

    full: bool = False
    questions: int = 5
    rounds: int = 1
    device: str = "cpu"

    @property
    def models(self) -> list[str]:
        """Names of the models to measure, each with its device."""
        if self.device == "cpu":
            return ["opt-125m", "gpt2-small", "qwen-0.2b"] if self.full else ["opt-125m"]
        names = ["opt-125m", "gpt2-small", "qwen-0.2b", "opt-1.3b"] if self.full else ["opt-125m", "opt-1.3b"]
        return [f"{name}@{self.device}" for name in names]


@dataclass(frozen=True, slots=True)
class Row:
    """One line of the results. Times are medians; memory is the peak above the model.

    Attributes:
        path: What is measured, by the name of its module.
        peer: What it is measured against.
        setting: Model and sizes.
        ours_s: Seconds.
        peer_s: Seconds, in the same process and in turns with ours.
        target: Least ratio of the peer's time to ours, where there is a target.
        floor_s: Least seconds that the machine, as fast as it was between our runs, needs for the work.
        limit_target: Least share of that limit.
        memory: Of ours and of the peer, above the model; None where it was not measured.
        memory_target: Least ratio of the peer's peak to ours.
        group: The table that the row stands in.
        measured: When, in UTC.
    """

    path: str
    peer: str
    setting: str
    ours_s: float
    peer_s: float
    target: float | None = None
    floor_s: float | None = None
    limit_target: float | None = None
    memory: tuple[Used, Used] | None = None
    memory_target: float | None = None
    group: str = "paths"
    measured: str = field(default_factory=lambda: datetime.now(UTC).strftime("%Y-%m-%d %H:%M"))

    @property
    def ratio(self) -> float:
        """How many times faster ours is."""
        return self.peer_s / self.ours_s

    @property
    def fraction_of_limit(self) -> float | None:
        """1 where nothing faster is possible on this machine."""
        return None if self.floor_s is None else self.floor_s / self.ours_s

    @property
    def memory_ratio(self) -> float | None:
        """How many times less memory ours takes at its peak."""
        return None if self.memory is None else self.memory[1].peak / self.memory[0].peak

    @property
    def misses(self) -> list[str]:
        """The targets that are not met, by name."""
        checks = [
            ("time", self.ratio, self.target),
            ("memory", self.memory_ratio, self.memory_target),
            ("limit", self.fraction_of_limit, self.limit_target),
        ]
        return [name for name, value, least in checks if least is not None and value is not None and value < least]

    def without_targets(self) -> "Row":
        """The same on a machine that targets were not set for."""
        return replace(self, target=None, limit_target=None, memory_target=None)

    def to_json(self) -> dict[str, Any]:
        """A row of `results.json`."""
        ours, peer = self.memory or (None, None)
        return {
            "group": self.group,
            "path": self.path,
            "peer": self.peer,
            "setting": self.setting,
            "ours_s": self.ours_s,
            "peer_s": self.peer_s,
            "ratio": self.ratio,
            "target": self.target,
            "floor_s": self.floor_s,
            "fraction_of_limit": self.fraction_of_limit,
            "fraction_of_limit_target": self.limit_target,
            "ours_peak_bytes": ours and ours.peak,
            "ours_kept_bytes": ours and ours.kept,
            "peer_peak_bytes": peer and peer.peak,
            "peer_kept_bytes": peer and peer.kept,
            "memory_ratio": self.memory_ratio,
            "memory_target": self.memory_target,
            "misses": self.misses,
            "measured": self.measured,
        }

    @classmethod
    def from_json(cls, content: dict[str, Any]) -> "Row":
        """What `to_json` wrote."""
        plain = {own.name for own in fields(cls)} - {"limit_target", "memory"}
        memory = None
        if content["ours_peak_bytes"] is not None:
            memory = tuple(Used(content[f"{side}_peak_bytes"], content[f"{side}_kept_bytes"]) for side in _SIDES)
        return cls(
            **{name: content[name] for name in plain}, limit_target=content["fraction_of_limit_target"], memory=memory
        )


class Benchmark(Protocol):
    """The shape of every module that measures a path."""

    __doc__: str | None

    def rows(self, settings: Settings) -> Iterable[Row]:
        """Compare, then measure."""


@dataclass(frozen=True, slots=True)
class Times:
    """Medians of both sides, and of what the machine could do right after each run of ours."""

    ours_s: float
    peer_s: float
    limits: Limits


def compare(
    ours: Callable[[], Ours],
    peer: Callable[[], Theirs],
    check: Callable[[Ours, Theirs], None],
    *,
    rounds: int,
    device: torch.device,
) -> Times:
    """Run both sides once and compare their results, then time them in turns.

    Args:
        ours: What is measured.
        peer: What it is measured against.
        check: Raises `MismatchError` where the results differ.
        rounds: Further runs of each side, after one that warms up; or `PEER_ONCE`.
        device: Where both run.

    Raises:
        MismatchError: The results differ.
    """
    _, result = seconds(ours)
    peer_s, expected = seconds(peer)
    check(result, expected)
    del result, expected
    once = rounds == PEER_ONCE and peer_s > _LONG
    ours_s: list[float] = []
    peers_s: list[float] = []
    limits: list[Limits] = []
    for _ in range(rounds or _RUNS_BESIDE_ONE):
        ours_s.append(seconds(ours)[0])
        limits.append(machine.probe(device))
        peers_s.append(peer_s if once else seconds(peer)[0])
    return Times(median(ours_s), median(peers_s), Limits.median(limits))


def seconds(job: Callable[[], Ours]) -> tuple[float, Ours]:
    """Wall time and result of a job, until its last kernel has ended."""
    gc.collect()
    machine.wait()
    started = time.perf_counter()
    result = job()
    machine.wait()
    return time.perf_counter() - started, result


def same(what: str, ours: object, theirs: object) -> None:
    """Raise `MismatchError` unless two results are equal."""
    if ours != theirs:
        raise MismatchError(f"{what}: ours {_short(ours)}, the peer's {_short(theirs)}")


def close(what: str, distance: float, tolerance: float) -> None:
    """Raise `MismatchError` unless a distance is within its tolerance (a NaN is not)."""
    if not distance <= tolerance:
        raise MismatchError(f"{what}: differ by {distance:.2g}, tolerance {tolerance:.0e}")


def say(text: str) -> None:
    """Progress, at once also where the output is a file."""
    print(text, flush=True)


def _short(value: object) -> str:
    text = repr(value)
    return text if len(text) < 200 else f"{text[:200]}…"
