"""What a run was made with: versions, seed, model, data, hardware and the wall time of each step."""

import hashlib
import platform
import time
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field, replace
from importlib.metadata import version
from pathlib import Path

from aspire_llm.errors import RunDirectoryError
from aspire_llm.processes import processes
from aspire_llm.records import Question, Split
from aspire_llm.rundir.files import Document
from aspire_llm.rundir.typed import typed_document

_PACKAGES = ("aspire-llm", "torch", "transformers", "peft", "tokenizers", "numpy", "scikit-learn", "rouge-score")


@dataclass(frozen=True, slots=True)
class ModelFacts:
    """The model of a run.

    Attributes:
        name: What it was called.
        type: Its kind.
        parameters: Its own, without adapters.
        sha256: Digest of the files that it was read from; None where they were not at hand.
        quantised_by: The package that holds its linear layers, its version and the form; None: they are plain.
    """

    name: str
    type: str
    parameters: int
    sha256: str | None = None
    quantised_by: str | None = None


@dataclass(frozen=True, slots=True)
class DataFacts:
    """The questions of a run.

    Attributes:
        source: A path or a name.
        sha256: Digest of all that they hold, split by split.
        questions: How many, by split.
        contexts_cut: How many contexts did not fit the model's window.
    """

    source: str
    sha256: str
    questions: dict[str, int]
    contexts_cut: int

    @classmethod
    def of(cls, source: str, questions: Mapping[Split, Sequence[Question]], contexts_cut: int) -> "DataFacts":
        """The facts about questions by split."""
        counts = {split.value: len(questions[split]) for split in Split if split in questions}
        return cls(source, fingerprint(questions), counts, contexts_cut)


@dataclass(frozen=True, slots=True)
class HardwareFacts:
    """Where a run was made."""

    device: str
    machine: str
    torch_threads: int


@dataclass(frozen=True, slots=True)
class Provenance:
    """What a run was made with.

    Attributes:
        versions: By package.
        seed: Of the configuration.
        model, data, hardware: Facts about them.
        seconds: Wall time by step, over all tries of a resumed run.
        seconds_a_question: Of answering one question, and of judging the answer; None until both were timed.
    """

    versions: dict[str, str]
    seed: int
    model: ModelFacts
    data: DataFacts
    hardware: HardwareFacts
    seconds: dict[str, float] = field(default_factory=dict)
    seconds_a_question: dict[str, float] | None = None

    def __post_init__(self) -> None:
        if self.seconds_a_question and not {"answer", "self_evaluation"} <= self.seconds_a_question.keys():
            raise ValueError("seconds_a_question lacks answer or self_evaluation")


PROVENANCE: Document[Provenance] = typed_document("provenance.json", "provenance of a run", Provenance)


def fingerprint(questions: Mapping[Split, Sequence[Question]]) -> str:
    """A digest of all that the questions hold, split by split."""
    digest = hashlib.sha256()
    for split in Split:
        digest.update(repr((split, tuple(questions.get(split, ())))).encode())
    return digest.hexdigest()


def check_data(folder: Path, questions: Mapping[Split, Sequence[Question]]) -> None:
    """Hold the questions against those of the provenance.

    Raises:
        RunDirectoryError: The run was begun with others.
    """
    if PROVENANCE.read(folder).data.sha256 != fingerprint(questions):
        raise RunDirectoryError(
            f"{folder}: the data have changed since this run began; choose another --output, or --fresh to replace it"
        )


def installed_versions() -> dict[str, str]:
    """The versions of Python and of the packages that results depend on."""
    return {"python": platform.python_version()} | {package: version(package) for package in _PACKAGES}


def record(folder: Path, provenance: Provenance) -> None:
    """Write the provenance of a run; the times of an earlier try are kept."""
    if PROVENANCE.exists(folder):
        earlier = PROVENANCE.read(folder)
        provenance = replace(provenance, seconds=earlier.seconds, seconds_a_question=earlier.seconds_a_question)
    PROVENANCE.write(folder, provenance)


def record_seconds_per_question(folder: Path, seconds: Mapping[str, float], questions: int) -> None:
    """Note what answering a question takes, and judging the answer: what the cost of every method is relative to."""
    per_question = {step: total / max(questions, 1) for step, total in seconds.items()}  # none where others took all
    PROVENANCE.write(folder, replace(PROVENANCE.read(folder), seconds_a_question=per_question))


@contextmanager
def timed(folder: Path, step: str) -> Iterator[None]:
    """Add the wall time of a step to the provenance of a run: a resumed step took the time of all its tries.

    Of several processes, one that fails leaves at once: the others are elsewhere, and would not meet it here.
    """
    started = time.monotonic()
    try:
        yield
    except BaseException:
        if processes().count == 1:
            _add_seconds(folder, step, started)
        raise
    _add_seconds(folder, step, started)


def _add_seconds(folder: Path, step: str, started: float) -> None:
    provenance = PROVENANCE.read(folder)
    spent = round(provenance.seconds.get(step, 0.0) + time.monotonic() - started, 2)
    PROVENANCE.write(folder, replace(provenance, seconds={**provenance.seconds, step: spent}))
