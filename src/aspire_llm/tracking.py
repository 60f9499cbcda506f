"""What a run logs, also where its user keeps the logs of other runs: the trackers of accelerate.

`log.jsonl` and `metrics.json` hold the same; a tracker that fails is given up, and the run goes on.
"""

from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from importlib.util import find_spec
from pathlib import Path
from typing import TYPE_CHECKING, Any, TypeAlias

from aspire_llm.config import RunConfig
from aspire_llm.config_files import flatten
from aspire_llm.errors import ConfigError
from aspire_llm.processes import processes
from aspire_llm.progress import warn
from aspire_llm.results.metrics import RunMetrics
from aspire_llm.selection import defined

if TYPE_CHECKING:
    from accelerate.tracking import GeneralTracker

PROJECT = "aspire-llm"
Log: TypeAlias = Callable[..., None]  # figures by name, and `step`


def check_tracker(name: str | None) -> None:
    """Raise unless a tracker can be used.

    Raises:
        ConfigError: Its package is not installed.
    """
    if name is not None and find_spec(name) is None:
        raise ConfigError(f"tracking: {name} is not installed; pip install {name}, or leave tracking off")


@contextmanager
def tracked(config: RunConfig, folder: Path) -> Iterator[Log]:
    """Within, what is given to the log goes to the run's tracker, under the folder's name; nowhere without one.

    Args:
        config: Of the run; all of it is stored with the tracker.
        folder: Of the run; TensorBoard's files are put there, into `tensorboard/`.
    """
    if config.tracking is None or not processes().is_main:
        yield lambda _figures, *, step=None: None
        return
    own = _Careful(config.tracking)
    settings = {key: str(value) for key, value in flatten(config.model_dump(mode="json")).items()}
    own.call(lambda: own.start(_tracker(config.tracking or "", folder), settings))
    try:
        yield own.log
    finally:
        own.call(own.finish)


def figures_of(metrics: RunMetrics) -> dict[str, float]:
    """Accuracy, and each method's AUROC and AUACC where it has one."""
    found = {"test/accuracy": metrics.accuracy}
    for name, own in metrics.methods.items():
        for metric in ("auroc", "auacc"):
            if (value := defined(getattr(own, metric))) is not None:
                found[f"test/{name}/{metric}"] = value
    return found


class _Careful:
    """A tracker whose failures cost no run."""

    def __init__(self, name: str) -> None:
        self._name = name
        self._tracker: GeneralTracker | None = None
        self._given_up = False

    def call(self, act: Callable[[], None]) -> None:
        if self._given_up:
            return
        try:
            act()
        except Exception as error:  # whatever another package and its server may do
            self._given_up = True
            warn(f"{self._name} tracks this run no further: {' '.join(str(error).split()) or type(error).__name__}")

    def start(self, tracker: "GeneralTracker", settings: Mapping[str, Any]) -> None:
        tracker.start()
        self._tracker = tracker
        tracker.store_init_configuration(dict(settings))

    def log(self, figures: Mapping[str, float], *, step: int | None = None) -> None:
        def log() -> None:
            if self._tracker is not None:
                self._tracker.log(dict(figures), step=step)

        self.call(log)

    def finish(self) -> None:
        if self._tracker is not None:
            self._tracker.finish()


def _tracker(name: str, folder: Path) -> "GeneralTracker":
    from accelerate import tracking

    run = folder.resolve().name
    if name == "tensorboard":
        return tracking.TensorBoardTracker(name, logging_dir=folder)
    if name == "mlflow":
        return tracking.MLflowTracker(experiment_name=PROJECT, run_name=run)
    if name == "wandb":
        return tracking.WandBTracker(PROJECT, name=run, dir=str(folder))
    return tracking.TrackioTracker(PROJECT, name=run)
