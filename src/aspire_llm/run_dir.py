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

from .config import RunConfig, differing_keys, parse_config, read_yaml
from .errors import RunDirectoryError
from .progress import progress

T = TypeVar("T")


class RunDirectory:
    """Names and writes the files of one run (DESIGN: a run directory).

    Args:
        path: An existing run directory; see `create` and `open`.
        config: Its configuration.
    """

    def __init__(self, path: Path, config: RunConfig) -> None:
        self.path = path
        self.config = config

    @classmethod
    def create(cls, path: Path, config: RunConfig, *, fresh: bool = False) -> "RunDirectory":
        """Make the directory of a run, or take up the one that is there.

        Raises:
            RunDirectoryError: The path holds something else, or a run of another configuration (unless `fresh`).
        """
        if path.exists() and not path.is_dir():
            raise RunDirectoryError(f"{path} is a file; choose another --output")
        is_run = (path / "config.yaml").is_file()
        if path.is_dir() and any(path.iterdir()) and not is_run:
            raise RunDirectoryError(f"{path} is not empty and holds no run; choose another --output")
        if is_run and fresh:
            shutil.rmtree(path)
        elif is_run and (keys := differing_keys(cls.open(path).config, config)):
            raise RunDirectoryError(
                f"{path} holds a run with other settings ({', '.join(keys)}); choose another --output, or --fresh to "
                "replace it"
            )
        path.mkdir(parents=True, exist_ok=True)
        write_text(path / "config.yaml", config.to_yaml())
        return cls(path, config)

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
            return [json.loads(line) for line in path.read_text(encoding="utf-8").splitlines()]
        except (OSError, ValueError) as error:
            raise RunDirectoryError(f"{path}: missing or broken; run aspire-llm run again") from error

    def append_batches(
        self, name: str, title: str, batches: Sequence[Sequence[T]], compute: Callable[[Sequence[T]], list[str]]
    ) -> None:
        """Fill a JSONL file with one line an item, batch by batch; batches that are whole in the file are kept.

        A batch is computed as a whole or not at all, so that a resumed run sees the batches of an uninterrupted one.

        Args:
            name: The file.
            title: What the progress bar says.
            batches: All items in the order of the lines.
            compute: The lines of one batch, without line ends.
        """
        path = self.path / name
        finished = _drop_partial_batch(path, [len(batch) for batch in batches])
        total = sum(map(len, batches))
        done = sum(map(len, batches[:finished]))
        if done == total and path.is_file():
            return
        with progress(title, total, done=done) as bar, path.open("a", encoding="utf-8") as file:
            for batch in batches[finished:]:
                file.write("".join(f"{line}\n" for line in compute(batch)))
                file.flush()
                bar.update(len(batch))


def write_text(path: Path, text: str) -> None:
    """Write a file that is whole or, if the process is killed, as it was before."""
    with tempfile.NamedTemporaryFile("w", encoding="utf-8", dir=path.parent, prefix=f".{path.name}-", delete=False) as f:
        f.write(text)
        f.flush()
        os.fsync(f.fileno())
    os.replace(f.name, path)


def _drop_partial_batch(path: Path, sizes: Sequence[int]) -> int:
    """Cut a JSONL file after its last whole batch; the number of whole batches."""
    if not path.is_file():
        return 0
    content = path.read_bytes()
    ends = [i + 1 for i, byte in enumerate(content) if byte == ord("\n")]
    finished = lines = 0
    for size in sizes:
        if lines + size > len(ends):
            break
        finished, lines = finished + 1, lines + size
    with path.open("r+b") as file:
        file.truncate(ends[lines - 1] if lines else 0)
    return finished
