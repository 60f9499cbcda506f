"""`python guided.py NAME [-runs=N …]`: files that an engine makes so that they reach new branches of the readers.

NAME is that of a file of `targets.py`, such as `data.json`, `config.yaml` or `calibration.json`; the rest is
libFuzzer's. Takes atheris (`pip install atheris`, Linux), and this folder's parent on PYTHONPATH. What ends in anything
but one of our errors is left as `crash-…`.
"""

import shutil
import sys
import tempfile
import warnings
from importlib.resources import as_file, files
from pathlib import Path

import atheris

with atheris.instrument_imports(include=["aspire_llm"]):
    from fuzzing.targets import Target, config_target, data_targets, run_targets

    from aspire_llm.errors import AspireError


def main(name: str, options: list[str]) -> None:
    """Fuzz one file."""
    folder = Path(tempfile.mkdtemp())
    corpus = folder / "corpus"
    corpus.mkdir()
    with as_file(files("aspire_llm.demo") / "run") as finished:
        run = shutil.copytree(finished, folder / "run")
    target = {own.path.name: own for own in (*run_targets(run), config_target(folder, run), *data_targets(folder))}[
        name
    ]
    for number, content in enumerate(target.good):
        (corpus / str(number)).write_bytes(content)
    warnings.simplefilter("ignore")
    atheris.Setup([sys.argv[0], *options, str(corpus)], lambda content: check(target, content))
    atheris.Fuzz()


def check(target: Target, content: bytes) -> None:
    """Read a file with this content, or have it refused in words."""
    target.path.write_bytes(content)
    try:
        target.read()
    except AspireError as error:
        if not str(error).strip():
            raise AssertionError("an error without words") from error


if __name__ == "__main__":
    main(sys.argv[1], sys.argv[2:])
