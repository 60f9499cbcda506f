"""What the report shows of one run: the records of its directory."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from aspire_llm.config import RunConfig
from aspire_llm.config_files import parse_config, read_yaml
from aspire_llm.errors import ConfigError, RunDirectoryError
from aspire_llm.methods.catalogue import Family, family_of, in_order
from aspire_llm.records import Answers, MethodScores, Prediction, UntunedAnswer
from aspire_llm.results.calibration import CALIBRATION, Calibrated
from aspire_llm.results.fused import FUSED
from aspire_llm.results.metrics import METRICS, RunMetrics
from aspire_llm.results.predictions import DECIDED_PREDICTIONS, PREDICTIONS, UNTUNED_PREDICTIONS
from aspire_llm.results.scores import COSTS, Cost, StoredScores, scores_file
from aspire_llm.results.studies import SEEDS, SWEEPS, Sweep
from aspire_llm.rundir.provenance import PROVENANCE, Provenance
from aspire_llm.selection import FusedScore, MethodMetrics, SeedSummary, defined

Answer = Prediction | UntunedAnswer


@dataclass(frozen=True, slots=True)
class RunResults:
    """Everything the report needs of one run.

    Attributes:
        name: Name of the run directory.
        metrics: Its figures.
        costs: By method; empty where none was measured.
        predictions: The test answers; empty where the file is missing.
        untuned: The answers of the model before tuning; empty where the file is missing.
        scores: What the methods say of them, by method; empty where nothing is stored.
        config, provenance: None where the file is missing.
        sweeps: Settings tried at several values; empty where there is no such file.
        seeds: Other seeds tried, or None.
        fused: The score that decides, where that is a fused one.
        calibrated: What was certified, where anything was.
        notes: What is missing, in sentences.
    """

    name: str
    metrics: RunMetrics
    costs: Mapping[str, Cost]
    predictions: tuple[Prediction, ...]
    untuned: tuple[UntunedAnswer, ...]
    scores: Mapping[str, StoredScores]
    config: RunConfig | None
    provenance: Provenance | None
    sweeps: tuple[Sweep, ...]
    seeds: SeedSummary | None
    fused: FusedScore | None
    calibrated: Calibrated | None
    notes: tuple[str, ...]

    @property
    def methods(self) -> dict[str, MethodMetrics]:
        """The figures of the methods, family by family."""
        return {name: self.metrics.methods[name] for name in in_order(self.metrics.methods)}

    def judged(self, answers: Answers) -> Sequence[Answer]:
        """The likeliest answers, where their correctness is known."""
        likeliest = [own.likeliest for own in self.predictions]
        own: Sequence[Answer] = likeliest if answers is Answers.TUNED else self.untuned
        return [answer for answer in own if answer.correct is not None]

    @property
    def given_scores(self) -> MethodScores:
        """The score that decides, of the answers that are given or withheld, where their correctness is known."""
        judged = [own for own in self.predictions if own.correct is not None]
        return MethodScores(
            self.metrics.reference,
            scores=tuple(own.scored.selection_score for own in judged),
            correct=tuple(bool(own.correct) for own in judged),
            groups=tuple(map(group_of, judged)),
        )

    def method_scores(self, answers: Answers) -> list[MethodScores]:
        """The stored scores of those methods of `metrics.json` that score these answers, family by family."""
        judged = self.judged(answers)
        correct, groups = tuple(bool(own.correct) for own in judged), tuple(map(group_of, judged))
        found = []
        for name in self.methods:
            stored = self.scores.get(name)
            if judged and stored and stored.answers is answers:
                by_id = dict(zip(stored.ids, stored.scores, strict=True))
                scores = tuple(by_id[own.question.id] for own in judged)
                found.append(MethodScores(name, scores, correct, groups))
        return found


def group_of(answer: Answer) -> str:
    """What is resampled as a whole: the group of the question, or the question where it has none."""
    return answer.question.cluster


def best_rival(metrics: RunMetrics) -> str | None:
    """The method with the highest AUROC on the tuned answers outside ASPIRE's family; None where none has one."""
    aurocs = {
        name: auroc
        for name in in_order(metrics.methods)
        if (auroc := defined(metrics.methods[name].auroc)) is not None
        and metrics.origins[name].answers is Answers.TUNED
        and family_of(name) is not Family.ASPIRE
    }
    return max(aurocs, key=aurocs.__getitem__, default=None)


def read_run_results(run_dir: Path) -> RunResults:
    """Read a run directory.

    Raises:
        RunDirectoryError: `metrics.json` is missing, or a file is broken.
    """
    metrics = METRICS.read(run_dir)
    costs = COSTS.read(run_dir) if COSTS.exists(run_dir) else {}
    sweeps = SWEEPS.read(run_dir).sweeps if SWEEPS.exists(run_dir) else ()
    predictions = tuple(DECIDED_PREDICTIONS.read(run_dir)) if PREDICTIONS.exists(run_dir) else ()
    untuned = tuple(UNTUNED_PREDICTIONS.read(run_dir)) if UNTUNED_PREDICTIONS.exists(run_dir) else ()
    missing = {
        PREDICTIONS.name: "curves, histogram and examples",
        "scores/": "curves",
        "config.yaml": "settings",
        PROVENANCE.name: "provenance",
    }
    return RunResults(
        name=run_dir.resolve().name,
        metrics=metrics,
        costs={name: cost for name, cost in costs.items() if cost is not None},
        predictions=predictions,
        untuned=untuned,
        scores=_read_scores(run_dir, {Answers.TUNED: predictions, Answers.UNTUNED: untuned}),
        config=_read_config(run_dir / "config.yaml"),
        provenance=PROVENANCE.read(run_dir) if PROVENANCE.exists(run_dir) else None,
        sweeps=tuple(sweep for sweep in sweeps if len(sweep.points) > 1),
        seeds=read_seeds(run_dir),
        fused=_read_fused(run_dir) if metrics.reference == "fused" else None,
        calibrated=CALIBRATION.read(run_dir) if CALIBRATION.exists(run_dir) else None,
        notes=tuple(
            f"{name} is missing, so there is no part with {part}."
            for name, part in missing.items()
            if not (run_dir / name).exists()
        ),
    )


def read_seeds(run_dir: Path) -> SeedSummary | None:
    """The summary over seeds of a run, or None where there is none."""
    return SEEDS.read(run_dir) if SEEDS.exists(run_dir) else None


def _read_fused(run_dir: Path) -> FusedScore | None:
    fused = FUSED.read(run_dir) if FUSED.exists(run_dir) else None
    return fused if isinstance(fused, FusedScore) else None


def _read_scores(run_dir: Path, answers: Mapping[Answers, Sequence[Answer]]) -> dict[str, StoredScores]:
    read = {}
    for path in sorted((run_dir / "scores").glob("*.json")):
        scores = scores_file(path.stem).read(run_dir)
        asked = tuple(answer.question.id for answer in answers[scores.answers])
        if asked and scores.ids != asked:
            raise RunDirectoryError(
                f"{path} scores other questions than the {scores.answers} predictions beside it; evaluate the run again"
            )
        read[scores.method] = scores
    return read


def _read_config(path: Path) -> RunConfig | None:
    try:
        return parse_config(read_yaml(path)) if path.is_file() else None
    except ConfigError as error:
        raise RunDirectoryError(f"{path} is broken ({error}); restore the file that the run wrote") from error
