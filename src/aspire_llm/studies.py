"""Several runs for one question: how much do the figures vary with the seed, and with a setting?"""

import json
import shutil
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from aspire_llm.comparison import write_tables
from aspire_llm.config import RunConfig
from aspire_llm.config_files import parse_change, with_changes
from aspire_llm.errors import ConfigError
from aspire_llm.methods.evaluation import REFERENCE, method_scores
from aspire_llm.pipeline import run
from aspire_llm.records import LabelledAnswer
from aspire_llm.report import write_report
from aspire_llm.results.lines import read_sample, sample_line
from aspire_llm.rundir.directory import RunDirectory, write_text
from aspire_llm.selection import evaluate, over_seeds, selection_score

METRICS = ("auroc", "auacc")
# What a setting leaves as it was, and need not be computed again.
_SHARED = {
    "score.alpha": (),
    "correctness.train_threshold": ("task_adapter", "samples.jsonl", "predictions_untuned.jsonl"),
    "stage2.num_beams": ("task_adapter",),
    "data.max_train": ("predictions_untuned.jsonl",),
}
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
class Sweep:
    """Values of one configuration key."""

    key: str
    values: tuple[Any, ...]

    @classmethod
    def parse(cls, text: str) -> "Sweep":
        """From ``key=value,value,…``.

        Raises:
            ConfigError: It has another form, or the key cannot be swept.
        """
        key, values = parse_change(text)
        if key not in _SHARED:
            raise ConfigError(f"cannot sweep {key}; choose among {', '.join(_SHARED)}")
        listed = [parse_change(f"{key}={value}")[1] for value in str(values).split(",")]
        return cls(key, tuple(listed))


def run_seeds(
    config: RunConfig, output: Path, seeds: int, *, fresh: bool = False, methods: str | None = None
) -> dict[str, Any]:
    """Run with the seeds s, s + 1, …, where s is the configuration's; the first run holds the summary.

    Args:
        config: The settings.
        output: Directory of the first run; the others stand in `OUTPUT/seeds/SEED`.
        seeds: How many.
        fresh: Replace the runs that are there.
        methods: As in `run`.

    Returns:
        The content of `metrics.json` of the first run; `seeds.json` beside it holds means, standard deviations and
        intervals over the seeds.
    """
    first = run(config, output, fresh=fresh, methods=methods)
    all_metrics = [first]
    for seed in range(config.seed + 1, config.seed + seeds):
        own = with_changes(config, [("seed", seed)])
        folder = output / "seeds" / str(seed)
        folder.parent.mkdir(exist_ok=True)
        all_metrics.append(run(own, folder, fresh=fresh, methods=methods))
    summary = over_seeds(all_metrics, list(range(config.seed, config.seed + seeds)))
    _write_json(output / "seeds.json", summary)
    write_report(output)
    write_tables(output)
    return first


def sweep(run_dir: Path, sweeps: Sequence[str] = DEFAULT_SWEEPS) -> Path:
    """Repeat a finished run with other values of some settings, as far as they change anything.

    The runs stand in `RUN/sweeps/KEY=VALUE`, from where a killed command goes on.

    Args:
        run_dir: The run.
        sweeps: Each ``key=value,value,…``.

    Returns:
        The path of `sweep.json`, which the report reads.

    Raises:
        ConfigError: A key cannot be swept, or a value does not fit it.
        RunDirectoryError: There is no finished run.
    """
    base = RunDirectory.open(run_dir)
    base.read_json("metrics.json")
    parsed = [Sweep.parse(text) for text in sweeps]
    variants = [[(value, with_changes(base.config, [(each.key, value)])) for value in each.values] for each in parsed]
    result = []
    for each, own in zip(parsed, variants, strict=True):
        points = [
            {"value": value, "methods": _figures(_variant(base, each.key, value, config))} for value, config in own
        ]
        result.append({"parameter": each.key, "label": _LABELS[each.key], "points": points})
        _write_json(run_dir / "sweep.json", {"sweeps": result})
    write_report(run_dir)
    return run_dir / "sweep.json"


def _variant(base: RunDirectory, key: str, value: object, config: RunConfig) -> Mapping[str, Any]:
    """The metrics of one variant."""
    if key == "score.alpha":  # the stored answers and verdicts, mixed anew
        lines = base.read_lines("predictions.jsonl")
        mixed = [selection_score(line["log_likelihood"], line["log_self_eval"], config.score.alpha) for line in lines]
        return evaluate([method_scores(REFERENCE, mixed, lines)], seed=base.config.seed).to_json()
    folder = base.path / "sweeps" / f"{key}={value}"
    if not (folder / "config.yaml").is_file():
        folder.parent.mkdir(exist_ok=True)
        partial = folder.with_name(f".{folder.name}.partial")
        shutil.rmtree(partial, ignore_errors=True)
        partial.mkdir()
        for name in _SHARED[key]:
            _copy(base.path / name, partial / name)
        if key == "correctness.train_threshold":
            _relabel(partial / "samples.jsonl", config.correctness.train_threshold)
        write_text(partial / "config.yaml", config.to_yaml())
        partial.replace(folder)
    return run(config, folder)


def _copy(source: Path, target: Path) -> None:
    if source.is_dir():
        shutil.copytree(source, target)
    elif source.is_file():
        shutil.copyfile(source, target)


def _relabel(path: Path, threshold: float) -> None:
    """Judge stored samples by another Rouge-L threshold."""
    with path.open(encoding="utf-8") as file:
        samples = [read_sample(json.loads(line)) for line in file]
    text = "".join(f"{line}\n" for line in _relabelled(samples, threshold))
    write_text(path, text)


def _relabelled(samples: Sequence[tuple[str, list[LabelledAnswer]]], threshold: float) -> Iterator[str]:
    for question_id, answers in samples:
        judged = [LabelledAnswer(own.answer, own.rouge_l, own.rouge_l > threshold) for own in answers]
        yield sample_line(question_id, judged)


def _figures(metrics: Mapping[str, Any]) -> dict[str, dict[str, Any]]:
    keys = ("accuracy", *METRICS, *(f"{metric}_ci" for metric in METRICS))
    return {
        name: {key: figures.get(key) for key in keys}
        for name, figures in metrics["methods"].items()
        if figures.get("answers") != "untuned"  # another model's answers, on another scale
    }


def _write_json(path: Path, content: object) -> None:
    write_text(path, json.dumps(content, indent=2, ensure_ascii=False, allow_nan=False) + "\n")
