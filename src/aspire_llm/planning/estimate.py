"""`aspire-llm plan`: time and memory of each step of a run, and the labels that a guarantee takes, as it is said."""

from collections.abc import Sequence
from dataclasses import dataclass

from aspire_llm.selection.risk_tests import RiskTarget


@dataclass(frozen=True, slots=True)
class StagePlan:
    """What a step takes.

    Attributes:
        name: Of the step, as in `provenance.json`.
        questions: That it works on.
        seconds: Wall time.
        peak: Bytes of the whole process, or of the GPU, at most; None where the system does not tell.
    """

    name: str
    questions: int
    seconds: float
    peak: int | None


@dataclass(frozen=True, slots=True)
class Plan:
    """What a run takes on this machine.

    Attributes:
        stages: In order.
        model_bytes: Of the frozen weights.
        parameters: Of the model.
        device: Where it computes.
        calibration: Questions that calibrate the run.
    """

    stages: tuple[StagePlan, ...]
    model_bytes: int
    parameters: int
    device: str
    calibration: int

    @property
    def seconds(self) -> float:
        """Of all stages."""
        return sum(stage.seconds for stage in self.stages)

    @property
    def peak(self) -> int | None:
        """Bytes at most; None where the system does not tell."""
        known = [stage.peak for stage in self.stages if stage.peak is not None]
        return max(known) if known else None

    @property
    def sentence(self) -> str:
        """The whole in one line."""
        memory = "" if self.peak is None else f" and {_gigabytes(self.peak)}"
        return f"this takes about {_in_words(self.seconds)}{memory} on this machine"

    def text(self, targets: Sequence[RiskTarget]) -> str:
        """A line for each stage, the whole, and what each target takes of labels."""
        widest = max(len(stage.name) for stage in self.stages)
        lines = [
            f"{self.parameters:,} parameters, {_gigabytes(self.model_bytes)}, on {self.device}",
            *(
                f"  {stage.name:{widest}}  {stage.questions:>7,} questions  {_in_words(stage.seconds):>12}"
                + ("" if stage.peak is None else f"  {_gigabytes(stage.peak):>8} at most")
                for stage in self.stages
            ),
            self.sentence,
            *(labels_sentence(target, self.calibration) for target in targets),
        ]
        return "\n".join(lines)


def labels_sentence(target: RiskTarget, calibration: int) -> str:
    """How many answered calibration questions a promise takes, by how many of them are wrong."""
    half = target.answers_needed(target.risk / 2)
    return (
        f"at most {target.risk:.0%} wrong with {1 - target.delta:.0%} certainty takes {target.fewest_answers} answered "
        f"calibration questions that are all right, {half} of which {target.risk / 2:.1%} are wrong; "
        f"this run has {calibration:,}, answered or not"
    )


def _in_words(seconds: float) -> str:
    if seconds < 100:
        return f"{seconds:.0f} s"
    return f"{seconds / 60:.0f} minutes" if seconds < 5400 else f"{seconds / 3600:.1f} hours"


def _gigabytes(size: int) -> str:
    return f"{size / 1e9:.1f} GB"
