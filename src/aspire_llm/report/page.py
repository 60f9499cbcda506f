"""Writes `report.html`: one self-contained page about one run, readable without a network."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from jinja2 import Environment

from aspire_llm.records import MethodScores
from aspire_llm.report import figures, labels, palette
from aspire_llm.report.examples import choose_examples, shortened
from aspire_llm.report.method_table import method_table
from aspire_llm.report.methods import BASELINE, REFERENCE, Answers, best_rival, method_label
from aspire_llm.report.run_files import AnswerRow
from aspire_llm.report.run_results import RunResults, read_run_results
from aspire_llm.report.seed_table import seed_table
from aspire_llm.report.templates import page_templates
from aspire_llm.rundir.files import write_text
from aspire_llm.selection.metrics import accuracy_at_coverage


@dataclass(frozen=True, slots=True)
class Tile:
    """A headline figure: what it is, its value, and a remark."""

    label: str
    value: str
    remark: str


def write_report(run_dir: Path) -> Path:
    """Write `report.html` into a run directory, whole or not at all, from the files that lie there.

    Args:
        run_dir: Holds `metrics.json`; `predictions.jsonl`, `predictions_untuned.jsonl`, `config.yaml` and
            `provenance.json` where known. What is missing leaves a note on the page.

    Returns:
        The path of the page.

    Raises:
        RunDirectoryError: `metrics.json` is missing, or a file is broken.
    """
    text = render(read_run_results(run_dir))
    path = run_dir / "report.html"
    write_text(path, text)
    return path


def render(results: RunResults) -> str:
    """The page of a run; the same results give the same text, byte for byte."""
    metrics = results.metrics
    scores = {answers: results.method_scores(answers) for answers in Answers}
    names = [method.name for methods in scores.values() for method in methods]
    swept = {name for sweep in results.sweeps for by_method in sweep.estimates.values() for name in by_method}
    examples = choose_examples(results.rows)
    return (
        _environment()
        .get_template("page.html")
        .render(
            light=palette.LIGHT,
            dark=palette.DARK,
            name=results.name,
            subtitle=_subtitle(results),
            tiles=_tiles(results),
            verdict=_verdict(results),
            table=method_table(results),
            methods=results.methods,
            reference=REFERENCE,
            differences=_by_strength(metrics.get("differences") or {}),
            comparison_figures=figures.comparison_figures(results),
            curve_figures=figures.curve_figures(scores),
            curve_legend=figures.legend(names, results.methods),
            coverage_curve=_coverage_curve(scores[Answers.TUNED]),
            score_figures=figures.score_figures(results),
            sweep_figures=figures.sweep_figures(results),
            sweep_legend=figures.legend(swept, results.methods),
            seeds=seed_table(results.seeds) if results.seeds else None,
            examples=examples,
            num_answers=len(results.rows),
            settings=_flat(results.config),
            provenance=_flat(results.provenance),
            notes=[*metrics.get("notes", ()), *results.notes],
        )
    )


def _environment() -> Environment:
    environment = page_templates(Path(__file__).parent)
    environment.filters |= {
        "percent": labels.percent,
        "interval": labels.interval,
        "points": labels.points,
        "signed_interval": labels.signed_interval,
        "method": method_label,
        "shortened": shortened,
    }
    return environment


def _subtitle(results: RunResults) -> str:
    data = results.config.get("data")
    named = data.get("name") or data.get("path") if isinstance(data, Mapping) else data
    n = results.metrics.get("n")
    parts = [results.config.get("model"), named, f"{n:,} test questions" if isinstance(n, int) else None]
    return " · ".join(str(part) for part in parts if part)


def _tiles(results: RunResults) -> list[Tile]:
    metrics = results.metrics
    aspire = (metrics.get("methods") or {}).get(REFERENCE, {})
    before, malformed = metrics.get("accuracy_before"), metrics.get("malformed")
    remarks = [
        None if before is None else f"{labels.percent(before)} before tuning",
        None if malformed is None else f"{labels.percent(malformed)} malformed",
    ]
    tiles = [Tile("Accuracy", labels.percent(metrics.get("accuracy")), " · ".join(filter(None, remarks)))]
    for key, remark in (("auroc", "right ranked above wrong"), ("auacc", "mean accuracy over all coverages")):
        bounds = labels.interval(aspire.get(f"{key}_ci"))
        remark = f"95% interval {bounds}" if bounds else aspire.get(f"{key}_reason", remark)
        tiles.append(Tile(f"{labels.METRIC_LABELS[key]} of ASPIRE", labels.percent(aspire.get(key)), remark))
    at_80 = aspire.get("accuracy_at_coverage", {}).get("0.8")
    tiles.append(Tile("Accuracy at 80% coverage", labels.percent(at_80), "the least sure fifth left unanswered"))
    tiles += _abstention_tiles(results.rows)
    if metrics.get("confidence"):
        ece, brier = metrics["confidence"]["ece"], metrics["confidence"]["brier"]
        tiles.append(
            Tile("Calibration error (ECE)", labels.percent(ece), f"of the confidence; Brier score {brier:.3f}")
        )
    return tiles


def _abstention_tiles(rows: Sequence[AnswerRow]) -> list[Tile]:
    answered = [row for row in rows if not row.abstained]
    judged = [row.correct for row in answered if row.correct is not None]
    if len(answered) == len(rows) or not judged:
        return []
    remark = f"{labels.percent(sum(judged) / len(judged))} of these answers are right"
    return [Tile("Answered by this run", labels.percent(len(answered) / len(rows)), remark)]


def _verdict(results: RunResults) -> dict[str, Any] | None:
    """ASPIRE against its strongest rival in words, or None where it was compared with none.

    The rival is chosen with the outcomes in sight, which favours the rival and never ASPIRE.
    """
    differences = results.metrics.get("differences") or {}
    rivals = [rival for rival in (best_rival(results.methods), BASELINE) if f"{REFERENCE} - {rival}" in differences]
    if not rivals:
        return None
    pair = f"{REFERENCE} - {rivals[0]}"
    auroc, auacc = differences[pair].get("auroc", {}), differences[pair].get("auacc", {})
    return {
        "direction": labels.direction(auroc),
        "sentence": labels.difference_verdict(pair, auroc),
        "remarks": [remark for remark in (labels.auacc_remark(auacc), labels.tally(differences)) if remark],
    }


def _by_strength(differences: Mapping[str, Mapping[str, Any]]) -> dict[str, Mapping[str, Any]]:
    """The differences by rival, the strongest first; those without an AUROC last."""

    def place(item: tuple[str, Mapping[str, Any]]) -> tuple[bool, float]:
        estimate = item[1].get("auroc", {}).get("estimate")
        return estimate is None, estimate or 0.0

    return {labels.split_pair(pair)[1]: by_metric for pair, by_metric in sorted(differences.items(), key=place)}


def _coverage_curve(scores: Sequence[MethodScores]) -> list[float]:
    """ASPIRE's accuracy at 1%, 2%, …, 100% coverage for the page's slider; empty without its scores."""
    for method in scores:
        if method.name == REFERENCE:
            correct, score = np.asarray(method.correct), np.asarray(method.scores)
            return [round(accuracy_at_coverage(correct, score, step / 100), 4) for step in range(1, 101)]
    return []


def _flat(nested: Mapping[str, Any], prefix: str = "") -> list[tuple[str, str]]:
    """Nested settings as (dotted key, text) rows."""
    rows: list[tuple[str, str]] = []
    for key, value in nested.items():
        if isinstance(value, Mapping):
            rows += _flat(value, f"{prefix}{key}.")
        else:
            rows.append((f"{prefix}{key}", _text(value)))
    return rows


def _text(value: object) -> str:
    if value is None:
        return labels.NOT_AVAILABLE
    if isinstance(value, float):
        return f"{value:.6g}"
    if isinstance(value, list):
        return ", ".join(_text(item) for item in value)
    return str(value)
