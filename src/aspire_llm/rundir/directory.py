"""A run directory: one configuration, and the files that follow from it.

Every step asks for its output first and computes what is missing, so that the same command resumes a killed run.
"""

import os
import re
import shutil
from collections.abc import Iterator, Sequence, Set
from contextlib import AbstractContextManager
from dataclasses import replace
from pathlib import Path
from types import TracebackType
from typing import Self

from filelock import BaseFileLock

from aspire_llm.config import RunConfig
from aspire_llm.config_files import differing_keys, flatten, parse_config, read_yaml, with_changes, with_whole_paths
from aspire_llm.errors import RunDirectoryError
from aspire_llm.processes import processes
from aspire_llm.rundir.lock import take_lock
from aspire_llm.rundir.log import forget_steps
from aspire_llm.rundir.own import (
    CONFIG,
    MARKER,
    check_apart_from_inputs,
    check_is_run,
    is_own_template,
    is_run,
    not_ours,
)
from aspire_llm.rundir.provenance import PROVENANCE
from aspire_llm.rundir.steps import Output, changes_figures, training_keys
from aspire_llm.rundir.writing import is_temporary, new_folder, remove, temporary_name, write_text

_REPLACED = "replaced"


class RunDirectory:
    """The directory of one run (DESIGN: a run directory).

    As a context it is locked: another process that would write into it is refused. A directory that is not there yet
    is locked from `start` on.

    Args:
        path: Where it is; see `plan` and `open`.
        config: Its configuration.
        replace: Whether `start` sets aside what is there.
        changed: Keys in which the configuration differs from the one that made what is there.
    """

    def __init__(self, path: Path, config: RunConfig, *, replace: bool = False, changed: Sequence[str] = ()) -> None:
        self.path = path
        self.config = config
        self.changed = tuple(changed)
        self._replace = replace
        self._planned_on = _content(path / CONFIG)
        self._locks: list[BaseFileLock] = []

    @classmethod
    def plan(cls, path: Path, config: RunConfig, *, fresh: bool = False, remake: bool = False) -> "RunDirectory":
        """The directory of a new run, or the one that is there to be resumed; `start` makes it.

        Args:
            path: The directory.
            config: The settings that are asked for.
            fresh: Replace the run that is there.
            remake: Train again what other settings change, and keep the rest.

        Raises:
            ConfigError: What the run is made from lies inside.
            RunDirectoryError: The path holds something else, or a run that other settings would train again (unless
                `fresh` or `remake`).
        """
        if path.exists() and not path.is_dir():
            raise RunDirectoryError(f"{path} is a file; choose another --output")
        _check_usable(path)
        check_apart_from_inputs(path, config)
        if not path.is_dir() or not any(path.iterdir()):
            return cls(path, config)
        if fresh:
            if others := not_ours(path):
                raise RunDirectoryError(
                    f"{path} also holds {', '.join(others)}, which --fresh would remove with the run; move it "
                    "elsewhere, or choose another --output"
                )
            return cls(path, config, replace=True)
        if not (path / CONFIG).is_file():
            if any(not is_temporary(own) and own.name != MARKER for own in path.iterdir()):
                raise RunDirectoryError(
                    f"{path} holds a run without its {CONFIG}; put it back, or --fresh to replace it"
                )
            return cls(path, config)
        stored = cls.open(path).config
        # Runs of earlier versions hold relative paths, which mean what they mean to this command.
        changed = differing_keys(with_whole_paths(stored), config)
        if (keys := training_keys(changed)) and not remake:
            raise RunDirectoryError(
                f"{path} holds a run with other settings ({', '.join(keys)}), which train it again; choose another "
                f"--output, or --remake to train again what they change, or --fresh to replace it"
                f"{_hint(stored, config, keys)}"
            )
        return cls(path, config, changed=changed)

    @classmethod
    def open(cls, path: Path) -> "RunDirectory":
        """An existing run.

        Raises:
            RunDirectoryError: There is none.
        """
        if not (path / CONFIG).is_file():
            raise RunDirectoryError(f"{path}: no run here ({CONFIG} is missing); make one with aspire-llm run")
        config = parse_config(read_yaml(path / CONFIG))
        if is_own_template(template := config.prompts.template):
            config = with_changes(config, [("prompts.template", os.path.abspath(path / str(template)))])
        return cls(path, config)

    def __enter__(self) -> Self:
        if self._planned_on is not None or (self.path / MARKER).is_file():
            check_is_run(self.path)
            self._lock()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        while self._locks:
            self._locks.pop().release()

    @property
    def is_begun(self) -> bool:
        """Whether there is a run to be resumed."""
        return (self.path / CONFIG).is_file() and not self._replace

    def start(self, stale: Sequence[Output] = ()) -> None:
        """Make the directory with its mark and its `config.yaml`; what other settings make stale is removed first.

        A run that is to be replaced is set aside, and gone after `settle`.

        Args:
            stale: Outputs that the changed settings make again.

        Raises:
            RunDirectoryError: Another process works in it, or did since it was planned.
        """
        processes().once(lambda: self._start(stale))
        self._replace = False

    def _start(self, stale: Sequence[Output]) -> None:
        if not self._locks:
            self.path.mkdir(parents=True, exist_ok=True)
            _check_usable(self.path)
            self._lock()
        if _content(self.path / CONFIG) != self._planned_on:
            raise RunDirectoryError(f"{self.path} was changed by another process meanwhile; give the command again")
        if self._replace:
            self._set_aside()
        for leftover in self._leftovers():
            remove(leftover)
        self._forget_steps({output.step for output in stale})  # first: what is damaged ends the command, and is kept
        # From the last on: killed in between, nothing is left that was made from what is gone.
        for output in reversed(stale):
            for folder in (self.path, *self.path.glob("evaluations/*")):
                for kept in folder.glob(output.name):
                    remove(kept)
            for checkpoint in self.path.glob(f"{output.name}.checkpoint"):
                remove(checkpoint)
            if output.name == "predictions.jsonl":
                remove(self.path / "evaluations")
        if changes_figures(self.changed):
            for name in ("seeds.json", "sweep.json"):
                remove(self.path / name)
            for figures in self.path.glob("evaluations/*/metrics.json"):
                remove(figures)
        write_text(self.path / CONFIG, self.config.to_yaml())

    def settle(self) -> None:
        """Now that the run has begun, remove the one that it replaces."""
        processes().once(self._settle)

    def _settle(self) -> None:
        place = Path(os.path.realpath(self.path))
        if not os.access(place.parent, os.R_OK | os.W_OK):
            return  # nothing was set aside there
        name = re.compile(rf"\.{re.escape(place.name)}\.[0-9a-f]{{8}}\.{_REPLACED}")
        for old in [own for own in place.parent.iterdir() if name.fullmatch(own.name)]:
            parts = list(old.iterdir())
            if parts and not is_run(old):
                continue
            for part in parts:
                if part.name != MARKER:
                    remove(part)
            shutil.rmtree(old)  # the mark at last: killed in between, it still says what this is

    def new_folder(self, name: str) -> AbstractContextManager[Path]:
        """A folder that appears under `name` when the block ends well, and not at all otherwise."""
        return new_folder(self.path / name)

    def _lock(self) -> None:
        """The mark is what is locked: nothing stands in the directory before it does."""
        if processes().is_main:
            self._locks.append(take_lock(self.path / MARKER, self.path))

    def _set_aside(self) -> None:
        place = Path(os.path.realpath(self.path))
        os.replace(place, temporary_name(place, _REPLACED))
        place.mkdir()
        self._lock()

    def _leftovers(self) -> Iterator[Path]:
        """What killed processes left under temporary names, and checkpoints of trainings that ended."""
        for top in self.path.iterdir():
            if is_temporary(top) or (top.suffix == ".checkpoint" and top.with_suffix("").is_dir()):
                yield top
            elif top.is_dir() and top.name not in ("seeds", "sweeps"):  # which hold runs of their own
                yield from [path for path in top.rglob(".*") if is_temporary(path)]

    def _forget_steps(self, steps: Set[str]) -> None:
        """Drop what the log and the provenance say of steps that are made again."""
        forget_steps(self.path, steps)
        if steps and PROVENANCE.exists(self.path):
            provenance = PROVENANCE.read(self.path)
            kept = {step: seconds for step, seconds in provenance.seconds.items() if step not in steps}
            PROVENANCE.write(self.path, replace(provenance, seconds=kept))


def _hint(stored: RunConfig, asked: RunConfig, keys: Sequence[str]) -> str:
    """What to do where settings differ because a run of an earlier version holds paths relative to another folder."""
    theirs, ours = (flatten(config.model_dump(mode="json")) for config in (stored, asked))
    if any(str(ours.get(key)).endswith(f"/{theirs.get(key)}") for key in keys):
        return "; its settings hold relative paths, so give the command in the folder where it was made"
    return ""


def _check_usable(path: Path) -> None:
    if path.is_dir() and any(path.iterdir()) and not is_run(path):
        raise RunDirectoryError(f"{path} is not empty and holds no run; choose another --output")


def _content(path: Path) -> str | None:
    return path.read_text(encoding="utf-8", errors="replace") if path.is_file() else None
