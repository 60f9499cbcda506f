"""The paper's headline in small: a small model that is tuned and selective against a larger one that is neither."""

from collections.abc import Sequence
from dataclasses import replace

import numpy as np

from aspire_llm.records import Answers, MethodScores
from aspire_llm.report.estimates import estimate
from aspire_llm.report.run_results import RunResults, group_of
from aspire_llm.report.tables import Column, Estimate, Kind, Table, points
from aspire_llm.report.writers import as_markdown
from aspire_llm.selection import defined
from aspire_llm.selection.pooled import PooledMethods, accuracy_difference


def headline(small: Sequence[RunResults], untuned: Sequence[RunResults], large: Sequence[RunResults]) -> str:
    """The section, from runs of the same seeds on the same test questions.

    Args:
        small: Of the small model, tuned.
        untuned: Whose untuned answers are the large model's.
        large: Of the large model, tuned; empty where it was not.
    """
    rows = {
        "SmolLM2-135M tuned, fused score": [_own_score(run) for run in small],
        "Gemma 3 270M untuned, eight examples, mean log-likelihood": [_likelihood(run) for run in untuned],
        **({"Gemma 3 270M tuned, fused score": [_own_score(run) for run in large]} if large else {}),
    }
    runs = [
        [replace(scores, name=name) for name, scores in zip(rows, own, strict=True)]
        for own in zip(*rows.values(), strict=True)
    ]
    pooled = PooledMethods(runs)
    figures = {
        metric: [estimate((own := pooled.figure(name, metric)).estimate, own.ci) for name in pooled.names]
        for metric in ("auroc", "auacc")
    }
    accuracies = [Estimate(float(np.mean([np.mean(run[i].correct) for run in runs]))) for i in range(len(rows))]
    columns = [
        Column("model", "Model and score", list(rows)),
        Column("accuracy", "Accuracy", accuracies, Kind.PERCENT),
        *(Column(metric, metric.upper(), own, Kind.PERCENT) for metric, own in figures.items()),
    ]
    return "\n\n".join(
        [
            "## The headline in small",
            _said(runs, pooled),
            as_markdown(Table("headline", "On the same questions.", columns)),
        ]
    )


def _own_score(run: RunResults) -> MethodScores:
    return next(own for own in run.method_scores(Answers.TUNED) if own.name == run.metrics.reference)


def _likelihood(run: RunResults) -> MethodScores:
    return MethodScores(
        "perplexity",
        tuple(own.sampled.log_likelihood for own in run.untuned),
        tuple(bool(own.correct) for own in run.untuned),
        tuple(map(group_of, run.untuned)),
    )


def _said(runs: Sequence[Sequence[MethodScores]], pooled: PooledMethods) -> str:
    """The small model minus the large one."""
    small, large, *_ = pooled.names
    own, theirs = ([run[i].correct for run in runs] for i in (0, 1))
    accuracy = accuracy_difference(own, theirs, [run[0].groups for run in runs])
    gains = [
        ("accuracy", accuracy),
        *((own.upper(), pooled.difference(small, large, own)) for own in ("auroc", "auacc")),
    ]
    said = ", ".join(
        f"{name} {points(float(defined(own.estimate) or 0))} ({points(low)} to {points(high)})"
        for name, own in gains
        for low, high in [defined(own.ci) or (float("nan"), float("nan"))]
    )
    return (
        "Does a small model that is tuned and knows when to be silent do better than one of twice its size that is "
        "neither? "
        f"On world facts, small minus large, in points: {said}."
    )
