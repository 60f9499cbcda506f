"""A run at a server: its name, what it answers with, what it may promise, and how it has been doing."""

from collections.abc import Sequence
from concurrent.futures import Future
from dataclasses import dataclass, replace
from pathlib import Path

from aspire_llm.config import RunConfig
from aspire_llm.demo import find_run
from aspire_llm.errors import ConfigError
from aspire_llm.lm.cpu import keep_few_kernels
from aspire_llm.predictor import SelectivePredictor
from aspire_llm.records import Prediction, Question
from aspire_llm.results.calibration import CALIBRATION, Calibrated, calibrate, score_name, stored_rule
from aspire_llm.results.predictions import CALIBRATION_PREDICTIONS, LABELLED_PREDICTIONS, VALIDATION_PREDICTIONS
from aspire_llm.rundir.directory import RunDirectory
from aspire_llm.selection import DecisionRule, Guarantee, RiskTarget
from aspire_llm.serving.batching import Answered, Batcher
from aspire_llm.serving.errors import bad_request
from aspire_llm.serving.live_watch import LiveWatch
from aspire_llm.serving.metrics import Metrics
from aspire_llm.serving.settings import ServerSettings

TARGETS = (0.01, 0.02, 0.05, 0.1, 0.15, 0.2, 0.25, 0.3, 0.4, 0.5)  # certified at the start, beside those of the run
DELTA = 0.05


@dataclass(frozen=True, slots=True)
class Choice:
    """By what a request is decided.

    Attributes:
        target_risk: A certified share of wrong answers; None: the run's own threshold.
        per: The field of the questions' metadata per whose value it was certified, where it was.
    """

    target_risk: float | None = None
    per: str | None = None


@dataclass(frozen=True, slots=True)
class Stored:
    """What a run has stored that a server needs beside its predictor.

    Attributes:
        folder: Of the run.
        config: Of the run.
        calibrated: Confidence, and what is certified: by `aspire-llm calibrate`, and for `TARGETS`.
        calibration: The calibration answers by the run's rule; empty where they are not stored.
    """

    folder: Path
    config: RunConfig
    calibrated: Calibrated
    calibration: tuple[Prediction, ...]

    @classmethod
    def read(cls, run: str | Path) -> "Stored":
        """Of a finished run.

        Raises:
            RunDirectoryError: There is none, or a file is broken.
        """
        directory = RunDirectory.open(find_run(run))
        folder, config = directory.path, directory.config
        calibrated, rule = CALIBRATION.read(folder), stored_rule(folder, config)
        file = LABELLED_PREDICTIONS if calibrated.source else CALIBRATION_PREDICTIONS
        answered = tuple(map(rule.decide_again, file.read(folder))) if file.exists(folder) else ()
        own = cls(folder, config, calibrated, answered)
        if answered and VALIDATION_PREDICTIONS.exists(folder):
            own = replace(own, calibrated=own._with_targets(rule))
        return own

    def _with_targets(self, rule: DecisionRule) -> Calibrated:
        """The same with thresholds for more targets, each of which holds by itself."""
        known = {own.target.risk for own in self.calibrated.guarantees}
        more = calibrate(
            self.config,
            self.calibration,
            lambda: VALIDATION_PREDICTIONS.read(self.folder),
            rule,
            [RiskTarget(risk, DELTA) for risk in TARGETS if risk not in known],
        )
        found = {own.target.risk: own for own in (*more.guarantees, *self.calibrated.guarantees)}
        return replace(self.calibrated, guarantees=tuple(found[risk] for risk in sorted(found)))


class ServedModel:
    """A run at work.

    Args:
        name: By which requests ask for it.
        predictor: Of the run.
        stored: What else the run holds.
        settings: Of the server.
        metrics: Of the server.

    Attributes:
        name: As above.
        predictor: As above.
        stored: As above.
        batcher: Takes questions.
        watch: Of its live predictions.
        max_batch: Questions that are answered together.
        created: When its folder was last changed before it was loaded, in seconds since 1970.
    """

    def __init__(
        self, name: str, predictor: SelectivePredictor, stored: Stored, settings: ServerSettings, metrics: Metrics
    ) -> None:
        self.name, self.predictor, self.stored, self._metrics = name, predictor, stored, metrics
        self.created = int(stored.folder.stat().st_mtime)
        self.watch = LiveWatch(stored.calibration)
        self.max_batch = settings.max_batch or stored.config.stage2.batch_size
        self.batcher = Batcher(
            predictor,
            max_waiting=settings.max_waiting,
            max_batch=self.max_batch,
            wait=settings.batch_wait,
            on_batch=lambda size: metrics.batch(name, size),
        )

    @property
    def score(self) -> str:
        """What its selection score is called."""
        return score_name(self.predictor.rule.scoring)

    def rule(self, choice: Choice) -> DecisionRule:
        """What decides by a choice.

        Raises:
            ApiError: That target is not certified.
        """
        own = self.predictor.rule
        if choice.target_risk is None:
            if choice.per is not None:
                raise bad_request("per takes a target_risk too", "per")
            return own
        try:
            found = self.stored.calibrated.guarantee(choice.target_risk, choice.per)
        except ConfigError as error:
            raise bad_request(str(error), "target_risk") from error
        return replace(own, guarantee=found)

    def decide(self, answered: Answered, rule: DecisionRule) -> Prediction:
        """The prediction by a rule; it counts among those that are watched."""
        prediction = rule.decide_again(answered.prediction)
        self._metrics.prediction(self.name, prediction)
        self.watch.add(prediction)
        return prediction

    def submit(self, questions: Sequence[Question]) -> "list[Future[Answered]]":
        """See `Batcher.submit`."""
        return self.batcher.submit(questions)

    def failed(self) -> None:
        """Count a question that could not be put to the model."""
        self._metrics.failed(self.name)


def guarantee_of(rule: DecisionRule, question: Question) -> Guarantee | None:
    """What the decision about a question stands on, where that is a guarantee."""
    return None if rule.guarantee is None else rule.guarantee.of(question)


def load_models(
    runs: Sequence[str | Path], settings: ServerSettings, metrics: Metrics, *, device: str | None = None
) -> dict[str, ServedModel]:
    """All runs of a server by name; those on the same model share its weights.

    Raises:
        AspireError: A run cannot be loaded.
    """
    stored = [Stored.read(run) for run in runs]
    keep_few_kernels()
    predictors = SelectivePredictor.load_all(runs, device=device)
    for predictor, own in zip(predictors, stored, strict=True):
        predictor.predict([own.calibration[0].question if own.calibration else Question("0", "Ready?")])  # warms it up
    return {
        name: ServedModel(name, predictor, own, settings, metrics)
        for name, predictor, own in zip(names_of(runs), predictors, stored, strict=True)
    }


def names_of(runs: Sequence[str | Path]) -> list[str]:
    """What requests call runs: their folders' names.

    Raises:
        ConfigError: Two have the same.
    """
    names = [Path(run).resolve().name if str(run) != "demo" else "demo" for run in runs]
    for name in names:
        if names.count(name) > 1:
            raise ConfigError(f"two runs are called {name!r}, and requests could not tell them apart; rename a folder")
    return names
