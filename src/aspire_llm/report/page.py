"""Writes `report.html`, one self-contained page about one run, readable without a network; and its main figure."""

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np

from aspire_llm.errors import RunDirectoryError
from aspire_llm.methods.catalogue import BASELINE, method_label
from aspire_llm.records import Answers, MethodScores, Prediction
from aspire_llm.report import wording
from aspire_llm.report.estimates import METRIC_LABELS, Interval, meaning_over_seeds
from aspire_llm.report.guarantees import guarantees_table, realised_guarantees
from aspire_llm.report.page_tables import details_table, fused_table, methods_table, seed_tables
from aspire_llm.report.rendering import render
from aspire_llm.report.run_results import RunResults, best_rival, read_run_results
from aspire_llm.report.run_tables import differences_table
from aspire_llm.report.styles import legend
from aspire_llm.report.tables import NOT_AVAILABLE, Table, percent
from aspire_llm.rundir.provenance import PROVENANCE
from aspire_llm.rundir.writing import write_text
from aspire_llm.selection import Guarantee, Realised, Undefined, defined
from aspire_llm.selection.metrics import accuracy_at_coverage

if TYPE_CHECKING:
    from aspire_llm.report.figures.canvas import FigureView

MAX_EXAMPLES = 500
MAX_CONTEXT = 1000  # characters; whole articles would be most of the page


@dataclass(frozen=True, slots=True)
class Tile:
    """A headline figure: what it is, its value, and a remark."""

    label: str
    value: str
    remark: str


@dataclass(frozen=True, slots=True)
class Verdict:
    """ASPIRE against its strongest rival in words."""

    direction: wording.Direction
    sentence: str
    remarks: tuple[str, ...]


def write_report(run_dir: Path) -> Path:
    """Write `report.html` into a run directory, whole or not at all, from the files that lie there.

    Args:
        run_dir: Holds `metrics.json`, and whatever else is known of the run. What is missing leaves a note on the page.

    Returns:
        The path of the page.

    Raises:
        RunDirectoryError: `metrics.json` is missing, or a file is broken.
    """
    path = run_dir / "report.html"
    write_text(path, report_page(read_run_results(run_dir)))
    return path


def write_accuracy_coverage_png(run_dir: Path, path: Path) -> Path:
    """Draw the run's own method's, its best rival's and perplexity's accuracy–coverage curves into a PNG file.

    Raises:
        RunDirectoryError: The run directory holds no judged answers.
    """
    from aspire_llm.report.figures.curves import accuracy_coverage_png  # matplotlib

    results = read_run_results(run_dir)
    chosen = {results.metrics.reference, BASELINE, best_rival(results.metrics)}
    methods = [method for method in results.method_scores(Answers.TUNED) if method.name in chosen]
    if not methods:
        raise RunDirectoryError(f"{run_dir} holds no judged answers to draw; run `aspire-llm evaluate {run_dir}` first")
    accuracy_coverage_png(methods, path)
    return path


def report_page(results: RunResults) -> str:
    """The page of a run; the same results give the same text, byte for byte."""
    from aspire_llm.report.figures import curves, rivals, scores, sweeps  # matplotlib

    metrics = results.metrics
    method_scores = {answers: results.method_scores(answers) for answers in Answers}
    drawn = [method.name for methods in method_scores.values() for method in methods]
    swept = {name for sweep in results.sweeps for point in sweep.points for name in point.methods}
    shown = (metrics.reference, BASELINE, best_rival(metrics))
    promised = _promised(results)
    return render(
        "page.html",
        name=results.name,
        subtitle=_subtitle(results),
        tiles=_tiles(results),
        verdict=_verdict(results),
        notes=[*wording.reranked_notes(metrics), *metrics.notes, *results.notes],
        methods=methods_table(metrics, results.costs),
        details=details_table(results.methods, metrics.reference),
        differences=differences_table(metrics, pairs=_by_strength(results)),
        rival_figures=rivals.rival_figures(results),
        curve_figures=curves.curve_figures(method_scores, metrics.reference),
        curve_legend=legend(drawn, shown),
        coverage_curve=_coverage_curve(method_scores[Answers.TUNED], metrics.reference),
        score_figures=scores.score_figures(results),
        fused=fused_table(results.fused) if results.fused else None,
        guarantees=_promises(results, promised),
        guarantee_figures=_guarantee_figures(results, promised),
        sweep_figures=sweeps.sweep_figures(results.sweeps),
        sweep_legend=legend(swept, shown),
        seeds=results.seeds,
        seeds_meaning=meaning_over_seeds(results.seeds) if results.seeds else "",
        seed_tables=seed_tables(results.seeds, metrics.reference) if results.seeds else [],
        reference=method_label(metrics.reference),
        examples=choose_examples(results.predictions),
        num_answers=len(results.predictions),
        shorten=lambda text: wording.shortened(text, MAX_CONTEXT),
        settings=_facts(results.config.model_dump(mode="json") if results.config else {}),
        provenance=_facts(PROVENANCE.to_json(results.provenance) if results.provenance else {}),
    )


def choose_examples(predictions: Sequence[Prediction], count: int = MAX_EXAMPLES) -> list[Prediction]:
    """The judged answers, the highest selection score first; of more than `count`, evenly spaced ones in that order.

    Even spacing keeps the mix of sure and unsure answers, and so the share of right ones at every score.
    """
    judged = [prediction for prediction in predictions if prediction.correct is not None]
    ranked = sorted(judged, key=lambda own: (-own.scored.selection_score, own.question.id))
    if len(ranked) <= count:
        return ranked
    return [ranked[place] for place in np.linspace(0, len(ranked) - 1, count).round().astype(int)]


def _promised(results: RunResults) -> list[tuple[Guarantee, Realised | None]]:
    if results.calibrated is None or results.config is None:
        return []
    return realised_guarantees(results.calibrated, results.predictions, results.config.score.novelty_level)


def _promises(results: RunResults, promised: Sequence[tuple[Guarantee, Realised | None]]) -> Table | None:
    return guarantees_table(promised, results.calibrated.joint_delta) if results.calibrated and promised else None


def _guarantee_figures(
    results: RunResults, promised: Sequence[tuple[Guarantee, Realised | None]]
) -> "list[FigureView]":
    from aspire_llm.report.figures.guarantees import guarantee_figures  # matplotlib

    given = results.given_scores
    return guarantee_figures(given, [pair for pair in promised if not pair[0].about]) if given.scores else []


def _subtitle(results: RunResults) -> str:
    config = results.config
    of_what = [config.model, config.data.source] if config else []
    return " · ".join([*of_what, f"{results.metrics.n:,} test questions"])


def _tiles(results: RunResults) -> list[Tile]:
    metrics = results.metrics
    before, given = metrics.accuracy_before, metrics.reranked or metrics
    around = _interval(given.accuracy_ci)
    remarks = [
        around and f"95% interval {around}",
        "" if metrics.reranked is None else f"{percent(metrics.accuracy)}% by the likeliest answers",
        "" if before is None else f"{percent(before)}% {_interval(metrics.accuracy_before_ci)} before tuning",
        f"{percent(metrics.malformed)}% malformed",
    ]
    tiles = [Tile("Accuracy", f"{percent(given.accuracy)}%", " · ".join(filter(None, remarks)))]
    if metrics.reference in metrics.methods:
        own = metrics.methods[metrics.reference]
        of_whom = method_label(metrics.reference)
        tiles += [
            _metric_tile("auroc", of_whom, own.auroc, defined(own.auroc_ci), "right ranked above wrong"),
            _metric_tile("auacc", of_whom, own.auacc, defined(own.auacc_ci), "mean accuracy over all coverages"),
        ]
        at_80 = f"{percent(own.accuracy_at_coverage[0.8])}%"
        tiles.append(Tile("Accuracy at 80% coverage", at_80, "the least sure fifth left unanswered"))
    answered = metrics.answered
    if answered.share < 1.0:
        right = answered.accuracy
        remark = "every answer is withheld" if right is None else f"{percent(right)}% of these answers are right"
        tiles.append(Tile("Answered by this run", f"{percent(answered.share)}%", remark))
    if metrics.confidence:
        sure = metrics.confidence
        remarks = [_interval(sure.ece_ci) and f"95% interval {_interval(sure.ece_ci)}", f"Brier score {sure.brier:.3f}"]
        tiles.append(Tile("Calibration error (ECE)", f"{percent(sure.ece)}%", " · ".join(filter(None, remarks))))
    return tiles


def _metric_tile(metric: str, method: str, value: float | Undefined, bounds: Interval | None, meaning: str) -> Tile:
    label = f"{METRIC_LABELS[metric]} of {method}"
    if isinstance(value, Undefined):
        return Tile(label, NOT_AVAILABLE, value.reason)
    return Tile(label, f"{percent(value)}%", meaning if bounds is None else f"95% interval {wording.interval(bounds)}")


def _verdict(results: RunResults) -> Verdict | None:
    """The run's own method against its strongest rival, or None where it was compared with none.

    The rival is chosen with the outcomes in sight, which favours the rival alone.
    """
    differences = results.metrics.differences
    pairs = [f"{results.metrics.reference} - {rival}" for rival in (best_rival(results.metrics), BASELINE)]
    for pair in pairs:
        if pair in differences:
            auroc, auacc = differences[pair]["auroc"], differences[pair]["auacc"]
            remarks = filter(None, [wording.auacc_remark(auacc), wording.tally(differences)])
            return Verdict(wording.direction(auroc), wording.difference_verdict(pair, auroc), tuple(remarks))
    return None


def _by_strength(results: RunResults) -> list[str]:
    """The pairs that were compared, the strongest rival first; those without an AUROC last."""

    def place(pair: str) -> tuple[bool, float]:
        value = defined(results.metrics.differences[pair]["auroc"].estimate)
        return value is None, value or 0.0

    return sorted(results.metrics.differences, key=place)


def _interval(bounds: Interval | Undefined | None) -> str:
    known = defined(bounds)
    return "" if known is None else wording.interval(known)


def _coverage_curve(scores: Sequence[MethodScores], reference: str) -> list[float]:
    """The accuracy at 1%, 2%, …, 100% coverage by one method for the page's slider; empty without its scores."""
    for method in scores:
        if method.name == reference:
            correct, score = np.asarray(method.correct), np.asarray(method.scores)
            return [round(accuracy_at_coverage(correct, score, step / 100), 4) for step in range(1, 101)]
    return []


def _facts(nested: dict[str, object]) -> list[tuple[str, str]]:
    return [(key, wording.value_text(value)) for key, value in wording.flat(nested).items()]
