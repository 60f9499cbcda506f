"""A run directory: one configuration, and the files that follow from it.

Every step asks for its output first and computes what is missing, so that the same command resumes a killed run.
"""

import json
import os
import shutil
import tempfile
from collections.abc import Iterator, Sequence, Set
from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path

from aspire_llm.config import RunConfig
from aspire_llm.config_files import differing_keys, parse_config, read_yaml
from aspire_llm.errors import RunDirectoryError
from aspire_llm.rundir.files import write_text
from aspire_llm.rundir.provenance import PROVENANCE
from aspire_llm.rundir.steps import Output, changes_figures, training_keys


class RunDirectory:
    """The directory of one run (DESIGN: a run directory).

    Args:
        path: Where it is; see `plan` and `open`.
        config: Its configuration.
        replace: Whether `start` removes what is there.
        changed: Keys in which the configuration differs from the one that made what is there.
    """

    def __init__(self, path: Path, config: RunConfig, *, replace: bool = False, changed: Sequence[str] = ()) -> None:
        self.path = path
        self.config = config
        self.changed = tuple(changed)
        self._replace = replace

    @classmethod
    def plan(cls, path: Path, config: RunConfig, *, fresh: bool = False, remake: bool = False) -> "RunDirectory":
        """The directory of a new run, or the one that is there to be resumed; `start` makes it.

        Args:
            path: The directory.
            config: The settings that are asked for.
            fresh: Replace the run that is there.
            remake: Train again what other settings change, and keep the rest.

        Raises:
            RunDirectoryError: The path holds something else, or a run that other settings would train again (unless
                `fresh` or `remake`).
        """
        if path.exists() and not path.is_dir():
            raise RunDirectoryError(f"{path} is a file; choose another --output")
        is_run = (path / "config.yaml").is_file()
        if path.is_dir() and any(path.iterdir()) and not is_run:
            raise RunDirectoryError(f"{path} is not empty and holds no run; choose another --output")
        if not is_run or fresh:
            return cls(path, config, replace=is_run)
        changed = differing_keys(cls.open(path).config, config)
        if (keys := training_keys(changed)) and not remake:
            raise RunDirectoryError(
                f"{path} holds a run with other settings ({', '.join(keys)}), which train it again; choose another "
                "--output, or --remake to train again what they change, or --fresh to replace it"
            )
        return cls(path, config, changed=changed)

    @classmethod
    def open(cls, path: Path) -> "RunDirectory":
        """An existing run.

        Raises:
            RunDirectoryError: There is none.
        """
        if not (path / "config.yaml").is_file():
            raise RunDirectoryError(f"{path}: no run here (config.yaml is missing); make one with aspire-llm run")
        return cls(path, parse_config(read_yaml(path / "config.yaml")))

    @property
    def is_begun(self) -> bool:
        """Whether there is a run to be resumed."""
        return (self.path / "config.yaml").is_file() and not self._replace

    def start(self, stale: Sequence[Output] = ()) -> None:
        """Make the directory with its `config.yaml`; what other settings make stale is removed first.

        Args:
            stale: Outputs that the changed settings make again.
        """
        if self._replace:
            shutil.rmtree(self.path)
        self.path.mkdir(parents=True, exist_ok=True)
        # From the last on: killed in between, nothing is left that was made from what is gone.
        for output in reversed(stale):
            for folder in (self.path, *self.path.glob("evaluations/*")):
                for kept in folder.glob(output.name):
                    _remove(kept)
            _remove(self.path / f"{output.name}.checkpoint")
            if output.name == "predictions.jsonl":
                _remove(self.path / "evaluations")
        self._forget_steps({output.step for output in stale})
        if changes_figures(self.changed):
            for name in ("seeds.json", "sweep.json"):
                _remove(self.path / name)
            for figures in self.path.glob("evaluations/*/metrics.json"):
                _remove(figures)
        write_text(self.path / "config.yaml", self.config.to_yaml())

    def _forget_steps(self, steps: Set[str]) -> None:
        """Drop what the log and the provenance say of steps that are made again."""
        log = self.path / "log.jsonl"
        if steps and log.is_file():
            lines = log.read_text(encoding="utf-8").splitlines(keepends=True)
            write_text(log, "".join(line for line in lines if json.loads(line)["stage"].replace(" ", "") not in steps))
        if steps and PROVENANCE.exists(self.path):
            provenance = PROVENANCE.read(self.path)
            kept = {step: seconds for step, seconds in provenance.seconds.items() if step not in steps}
            PROVENANCE.write(self.path, replace(provenance, seconds=kept))

    @contextmanager
    def new_folder(self, name: str) -> Iterator[Path]:
        """A folder that appears under `name` when the block ends well, and not at all otherwise."""
        with tempfile.TemporaryDirectory(dir=self.path, prefix=f".{name}-") as temporary:
            folder = Path(temporary) / name
            folder.mkdir()
            yield folder
            os.replace(folder, self.path / name)

    def log(self, **event: object) -> None:
        """Append one event to `log.jsonl`."""
        with (self.path / "log.jsonl").open("a", encoding="utf-8") as file:
            file.write(json.dumps(event, ensure_ascii=False) + "\n")


def _remove(path: Path) -> None:
    if path.is_dir():
        shutil.rmtree(path)
    else:
        path.unlink(missing_ok=True)
