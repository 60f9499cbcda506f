"""What a run takes down of its trainings: an event per epoch."""

from collections.abc import Set
from pathlib import Path
from typing import Any

from aspire_llm.records.fields import field, natural, text
from aspire_llm.rundir.files import Lines


def _event(content: Any) -> dict[str, Any]:
    return {**content, "stage": field(content, "stage", text), "epoch": field(content, "epoch", natural)}


LOG: Lines[dict[str, Any]] = Lines(
    "log.jsonl", "event of an epoch", dict, _event, remedy="remove what is damaged: no step reads it"
)


def log_epoch(run: Path, stage: str, epoch: int, **figures: object) -> None:
    """Take down an epoch, in place of what a killed try took down of it and of later ones.

    Args:
        run: A run directory.
        stage: As the log calls it.
        epoch: From 1.
        figures: Of the epoch.

    Raises:
        RunDirectoryError: What stands in the log is no event.
    """
    kept = [event for event in _events(run) if event["stage"] != stage or event["epoch"] < epoch]
    LOG.write(run, [*kept, {"stage": stage, "epoch": epoch, **figures}])


def forget_steps(run: Path, steps: Set[str]) -> None:
    """Drop the epochs of steps that are made again, if any.

    Args:
        run: A run directory.
        steps: As in the table of outputs.

    Raises:
        RunDirectoryError: What stands in the log is no event.
    """
    events = _events(run)
    kept = [event for event in events if _step(event["stage"]) not in steps]
    if kept != events:
        LOG.write(run, kept)


def _events(run: Path) -> list[dict[str, Any]]:
    return LOG.read_whole(run) if LOG.exists(run) else []


def _step(stage: str) -> str:
    """The step to which a stage in the log belongs; ``stage 2, fold 1 of 2`` is of ``stage2``."""
    return stage.split(",")[0].replace(" ", "")
