"""What a run was made with: versions, seed, model, data, hardware and the wall time of each step."""

import hashlib
import platform
import time
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from importlib.metadata import version
from typing import TypeAlias

import torch

from aspire_llm.errors import RunDirectoryError
from aspire_llm.records import Question, Split
from aspire_llm.rundir.directory import RunDirectory

Questions: TypeAlias = Mapping[Split, Sequence[Question]]


def fingerprint(questions: Mapping[Split, Sequence[Question]]) -> str:
    """A digest of all that the questions hold, split by split."""
    digest = hashlib.sha256()
    for split in Split:
        digest.update(repr((split, tuple(questions.get(split, ())))).encode())
    return digest.hexdigest()


def check_data(directory: RunDirectory, questions: Mapping[Split, Sequence[Question]]) -> None:
    """RunDirectoryError if a run was begun with other questions than these."""
    if not (directory.path / "provenance.json").is_file():
        return
    if directory.read_json("provenance.json")["data"]["sha256"] != fingerprint(questions):
        raise RunDirectoryError(
            f"{directory.path}: the data have changed since this run began; choose another --output, or --fresh to "
            "replace it"
        )


def record_provenance(
    directory: RunDirectory,
    questions: Questions,
    *,
    model_type: str,
    parameters: int,
    device: torch.device,
    contexts_cut: int,
) -> None:
    """Write what a run was made with; the wall times of an earlier try are kept.

    Raises:
        RunDirectoryError: The run was begun with other questions.
    """
    check_data(directory, questions)
    earlier = directory.read_json("provenance.json") if (directory.path / "provenance.json").is_file() else {}
    packages = ("aspire-llm", "torch", "transformers", "peft", "tokenizers", "numpy", "scikit-learn", "rouge-score")
    directory.write_json(
        "provenance.json",
        {
            "versions": {"python": platform.python_version()} | {package: version(package) for package in packages},
            "seed": directory.config.seed,
            "model": {
                "name": directory.config.model,
                "type": model_type,
                "parameters": parameters,
            },
            "data": {
                "source": directory.config.data.source,
                "sha256": fingerprint(questions),
                "questions": {split.value: len(questions[split]) for split in Split},
                "contexts_cut": contexts_cut,
            },
            "hardware": {
                "device": str(device),
                "machine": platform.machine(),
                "torch_threads": torch.get_num_threads(),
            },
            "seconds": earlier.get("seconds", {}),
            "seconds_a_question": earlier.get("seconds_a_question"),
        },
    )


@contextmanager
def timed(directory: RunDirectory, step: str) -> Iterator[None]:
    """Add the wall time of a step to the provenance: a resumed step took the time of all its tries."""
    started = time.monotonic()
    try:
        yield
    finally:
        provenance = directory.read_json("provenance.json")
        seconds = provenance["seconds"]
        seconds[step] = round(seconds.get(step, 0.0) + time.monotonic() - started, 2)
        directory.write_json("provenance.json", provenance)


def record_seconds_a_question(directory: RunDirectory, seconds: Mapping[str, float], questions: int) -> None:
    """What answering one question takes, and judging the answer: what the cost of every method is relative to."""
    provenance = directory.read_json("provenance.json")
    provenance["seconds_a_question"] = {step: total / questions for step, total in seconds.items()}
    directory.write_json("provenance.json", provenance)
