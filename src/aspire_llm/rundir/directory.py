"""A run directory: files that are whole or absent, lines that are whole or dropped, and one configuration.

Every stage asks for its output first and computes what is missing, so that the same command resumes a killed run.
"""

import json
import os
import shutil
import tempfile
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any, TypeVar

from aspire_llm.config import RunConfig
from aspire_llm.config_files import differing_keys, parse_config, read_yaml
from aspire_llm.errors import RunDirectoryError
from aspire_llm.progress import progress

T = TypeVar("T")


class RunDirectory:
    """Names and writes the files of one run (DESIGN: a run directory).

    Args:
        path: The directory; see `plan` and `open`.
        config: Its configuration.
        replace: Whether `start` removes what is there.
        changed: Settings of rivals that differ from those the run was made with; all others are the same.
    """

    def __init__(self, path: Path, config: RunConfig, *, replace: bool = False, changed: Sequence[str] = ()) -> None:
        self.path = path
        self.changed = changed
        self.config = config
        self._replace = replace

    @classmethod
    def plan(cls, path: Path, config: RunConfig, *, fresh: bool = False) -> "RunDirectory":
        """The directory of a new run, or the one that is there to be resumed; `start` makes it.

        What rivals are given (`rivals.…`) may differ from what an earlier run gave them: no stage depends on it.

        Raises:
            RunDirectoryError: The path holds something else, or a run of another configuration (unless `fresh`).
        """
        if path.exists() and not path.is_dir():
            raise RunDirectoryError(f"{path} is a file; choose another --output")
        is_run = (path / "config.yaml").is_file()
        if path.is_dir() and any(path.iterdir()) and not is_run:
            raise RunDirectoryError(f"{path} is not empty and holds no run; choose another --output")
        differing = differing_keys(cls.open(path).config, config) if is_run and not fresh else []
        rivals = [key for key in differing if key.startswith("rivals.")]
        if keys := [key for key in differing if key not in rivals]:
            raise RunDirectoryError(
                f"{path} holds a run with other settings ({', '.join(keys)}); choose another --output, or --fresh to "
                "replace it"
            )
        return cls(path, config, replace=is_run and fresh, changed=rivals)

    def start(self) -> None:
        """Make the directory with its `config.yaml`; a run that is to be replaced is removed."""
        if self._replace:
            shutil.rmtree(self.path)
        self.path.mkdir(parents=True, exist_ok=True)
        write_text(self.path / "config.yaml", self.config.to_yaml())

    @classmethod
    def open(cls, path: Path) -> "RunDirectory":
        """An existing run; RunDirectoryError where there is none."""
        if not (path / "config.yaml").is_file():
            raise RunDirectoryError(f"{path}: no run here (config.yaml is missing); make one with aspire-llm run")
        return cls(path, parse_config(read_yaml(path / "config.yaml")))

    @contextmanager
    def new_folder(self, name: str) -> Iterator[Path]:
        """A folder that appears under `name` when the block ends well, and not at all otherwise."""
        with tempfile.TemporaryDirectory(dir=self.path, prefix=f".{name}-") as temporary:
            folder = Path(temporary) / name
            folder.mkdir()
            yield folder
            os.replace(folder, self.path / name)

    def write_json(self, name: str, content: object) -> None:
        """Write a JSON file; a NaN in it is an error."""
        write_text(self.path / name, json.dumps(content, indent=2, ensure_ascii=False, allow_nan=False) + "\n")

    def read_json(self, name: str) -> Any:
        """Read a JSON file; RunDirectoryError where it is missing or broken."""
        try:
            return json.loads((self.path / name).read_text(encoding="utf-8"))
        except (OSError, ValueError) as error:
            raise RunDirectoryError(f"{self.path / name}: missing or broken; run aspire-llm run again") from error

    def log(self, **event: object) -> None:
        """Append one event to `log.jsonl`."""
        with (self.path / "log.jsonl").open("a", encoding="utf-8") as file:
            file.write(json.dumps(event, ensure_ascii=False) + "\n")

    def read_lines(self, name: str) -> list[dict[str, Any]]:
        """The objects of a JSONL file; RunDirectoryError where it is missing or a line is broken."""
        path = self.path / name
        try:
            with path.open(encoding="utf-8") as file:  # not splitlines(): answers may hold other line separators
                return [json.loads(line) for line in file]
        except (OSError, ValueError) as error:
            raise RunDirectoryError(f"{path}: missing or broken; run aspire-llm run again") from error


def append_lines(
    path: Path, title: str, items: Sequence[T], size: int, compute: Callable[[Sequence[T]], Sequence[str]]
) -> None:
    """Fill a JSONL file with one line an item; what is there already is kept.

    Items are computed `size` at a time, as a whole or not at all, so that a resumed run computes the same parts as an
    uninterrupted one.

    Args:
        path: The file.
        title: What the progress bar says.
        items: In the order of the lines.
        size: Items computed together.
        compute: Their lines, without line ends.
    """
    done = _drop_partial(path, len(items), size)
    if done == len(items) and path.is_file():
        return
    with progress(title, len(items), done=done) as bar, path.open("a", encoding="utf-8") as file:
        for start in range(done, len(items), size):
            part = items[start : start + size]
            file.write("".join(f"{line}\n" for line in compute(part)))
            file.flush()
            bar.update(len(part))


def write_text(path: Path, text: str) -> None:
    """Write a file that is whole or, if the process is killed, as it was before."""
    temporary = path.with_name(f".{path.name}.tmp")
    with temporary.open("w", encoding="utf-8") as file:
        file.write(text)
        file.flush()
        os.fsync(file.fileno())
    os.replace(temporary, path)


def _drop_partial(path: Path, num_items: int, size: int) -> int:
    """Cut a JSONL file after its last whole part; the number of lines kept."""
    if not path.is_file():
        return 0
    content = path.read_bytes()
    ends = [0, *(i + 1 for i, byte in enumerate(content) if byte == ord("\n"))]
    lines = len(ends) - 1
    kept = num_items if lines >= num_items else lines - lines % size
    with path.open("r+b") as file:
        file.truncate(ends[kept])
    return kept
