"""Several runs for one question: how much do the figures vary with the seed, and with a setting?"""

import shutil
import sys
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from aspire_llm.config import RunConfig
from aspire_llm.config_files import differing_keys, parse_change, with_changes
from aspire_llm.pipeline import run
from aspire_llm.processes import joined
from aspire_llm.records import Answers, Split
from aspire_llm.report import write_report, write_tables
from aspire_llm.results.metrics import METRICS, RunMetrics
from aspire_llm.results.studies import SEEDS, SWEEPS, Sweep, SweepFigures, SweepPoint, Sweeps
from aspire_llm.rundir.directory import RunDirectory
from aspire_llm.rundir.own import CONFIG, MARKER
from aspire_llm.rundir.provenance import PROVENANCE
from aspire_llm.rundir.steps import OUTPUTS, stale
from aspire_llm.rundir.writing import new_folder, write_text
from aspire_llm.selection import defined, over_seeds

_LABELS = {
    "score.alpha": "α, weight of the self-evaluation",
    "correctness.train_threshold": "γ, Rouge-L above which a training answer counts as correct",
    "stage2.num_beams": "k, beams",
    "data.max_train": "training questions",
}
DEFAULT_SWEEPS = (
    "score.alpha=0,0.1,0.25,0.5,0.75,1",
    "correctness.train_threshold=0.3,0.5,0.7,0.9",
    "stage2.num_beams=2,5,10",
)


@dataclass(frozen=True, slots=True)
class _Values:
    """Values of one configuration key, each with the configuration that has it."""

    key: str
    variants: tuple[tuple[Any, RunConfig], ...]

    @classmethod
    def parse(cls, text: str, base: RunConfig) -> "_Values":
        """From ``key=value,value,…``; ConfigError where it has another form, or a value does not fit the key."""
        key, values = parse_change(text)
        listed = [parse_change(f"{key}={value}")[1] for value in str(values).split(",")]
        return cls(key, tuple((value, with_changes(base, [(key, value)])) for value in listed))


def run_seeds(
    config: RunConfig,
    output: Path,
    seeds: int,
    *,
    fresh: bool = False,
    remake: bool = False,
    methods: str | None = None,
    notes: Sequence[str] = (),
) -> RunMetrics:
    """Run with the seeds s, s + 1, …, where s is the configuration's; the first run holds the summary.

    Args:
        config: The settings.
        output: Directory of the first run; the others stand in `OUTPUT/seeds/SEED`.
        seeds: How many.
        fresh: Replace the runs that are there.
        remake: As in `run`.
        methods: As in `run`.
        notes: As in `run`, before the first.

    Returns:
        The metrics of the first run; `seeds.json` beside it holds means, standard deviations and intervals over the
        seeds.

    Raises:
        ConfigError: The last seed is beyond those that there are.
    """
    numbers = range(config.seed, config.seed + seeds)
    with_changes(config, [("seed", numbers[-1])])  # refused now, not when the other runs are made
    shares_test = Split.TEST in config.data.sources
    if shares_test:
        print("data.test: the seeds share it, so intervals over them leave its choice out", file=sys.stderr)
    runs: list[RunMetrics] = []
    for seed in numbers:
        folder = output if seed == config.seed else output / "seeds" / str(seed)
        own = with_changes(config, [("seed", seed)])
        runs.append(run(own, folder, fresh=fresh, remake=remake, methods=methods, notes=() if runs else notes))
    with joined(config.sharding), RunDirectory.open(output):
        SEEDS.write(output, over_seeds([own.evaluation for own in runs], numbers, shares_test=shares_test))
        write_report(output)
        write_tables(output)
    return runs[0]


def sweep(run_dir: Path, sweeps: Sequence[str] = DEFAULT_SWEEPS) -> Path:
    """Repeat a finished run with other values of some settings, as far as they change anything.

    The runs stand in `RUN/sweeps/KEY=VALUE`, from where a killed command goes on.

    Args:
        run_dir: The run.
        sweeps: Each ``key=value,value,…``.

    Returns:
        The path of `sweep.json`, which the report reads.

    Raises:
        ConfigError: A key is unknown, or a value does not fit it.
        RunDirectoryError: There is no finished run.
    """
    result: list[Sweep] = []
    with RunDirectory.open(run_dir) as base:
        METRICS.read(run_dir)
        for own in [_Values.parse(text, base.config) for text in sweeps]:
            points = [SweepPoint(value, _figures(_variant(base, own.key, value, its))) for value, its in own.variants]
            result.append(Sweep(own.key, _LABELS.get(own.key, own.key), tuple(points)))
            SWEEPS.write(run_dir, Sweeps(tuple(result)))
        write_report(run_dir)
    return run_dir / SWEEPS.name


def _variant(base: RunDirectory, key: str, value: object, config: RunConfig) -> RunMetrics:
    """The metrics of the run with another value of a key, which begins with all that this leaves as it was."""
    folder = base.path / "sweeps" / f"{key}={value}".replace("/", "-")
    if not (folder / CONFIG).is_file():
        cut = bool(PROVENANCE.read(base.path).data.contexts_cut)
        outdated = {output.name for output in stale(differing_keys(base.config, config), contexts_cut=cut)}
        folder.parent.mkdir(exist_ok=True)
        with new_folder(folder) as partial:
            (partial / MARKER).touch()
            for name in (output.name for output in OUTPUTS if output.name not in outdated):
                for kept in base.path.glob(name):  # a name may be a pattern
                    _copy(kept, partial / kept.name)
            if not outdated:
                _copy(base.path / PROVENANCE.name, partial / PROVENANCE.name)
            write_text(partial / CONFIG, config.to_yaml())
    return run(config, folder, remake=True)


def _copy(source: Path, target: Path) -> None:
    if source.is_dir():
        shutil.copytree(source, target)
    elif source.is_file():
        shutil.copyfile(source, target)


def _figures(metrics: RunMetrics) -> dict[str, SweepFigures]:
    """Of the methods on the tuned model's answers: the untuned one's are on another scale."""
    return {
        name: SweepFigures(
            accuracy=own.accuracy,
            auroc=defined(own.auroc),
            auacc=own.auacc,
            auroc_ci=defined(own.auroc_ci),
            auacc_ci=defined(own.auacc_ci),
        )
        for name, own in metrics.methods.items()
        if metrics.origins[name].answers is Answers.TUNED
    }
