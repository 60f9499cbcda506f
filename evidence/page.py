"""`docs/evidence.md`, written from the runs: whichever way they fell."""

from collections.abc import Mapping, Sequence
from dataclasses import replace
from pathlib import Path

import numpy as np

from aspire_llm.methods.catalogue import in_order, method_label
from aspire_llm.records import Answers
from aspire_llm.report.estimates import estimate
from aspire_llm.report.run_results import RunResults, group_of
from aspire_llm.report.tables import Column, Estimate, Kind, Table
from aspire_llm.report.writers import as_markdown
from aspire_llm.results.calibration import decision_rule
from aspire_llm.rundir.writing import write_text
from aspire_llm.selection import Part, Undefined, defined
from aspire_llm.selection.evaluation import Difference
from aspire_llm.selection.pooled import PooledMethods, accuracy_difference
from evidence.headline import headline
from evidence.tasks import Task

_INTRODUCTION = """# Evidence

{missed}

Written by `make evidence` from its runs. Every seed draws its own splits; everything is chosen on validation questions
or samples, nothing on test questions. Figures are means over the seeds in percent; brackets are 95% intervals by
bootstrap over groups, which are drawn once for all seeds, and differences are paired. *Cost* is the time a question
takes, answering once = 1, from the machine that ran seed {seed}.
"""

CANDIDATES = 4
_HEADLINE = ("facts", "examples", "gemma")  # the tasks of the small model, and of the large one untuned and tuned

# What is claimed: a method against its rivals, of which the better counts.
_CLAIMS = (
    ("aspire", ("perplexity",), "The paper's score against the likelihood"),
    ("fused", ("perplexity", "sequence_log_probability"), "The fused score against the better likelihood"),
    ("fused", ("fused_likelihood",), "The same against its refit without what is learned (states, θs)"),
    ("fused", ("aspire",), "The fused score against the paper's"),
)


def write_page(path: Path, tasks: Mapping[Task, Sequence[RunResults]]) -> None:
    """Write the page, whole or not at all.

    Args:
        path: Of the page.
        tasks: The finished runs of each task; of tasks without any nothing is said.
    """
    given = {task: runs for task, runs in tasks.items() if runs}
    ran = {task: runs for task, runs in given.items() if not task.changes and not task.untuned}
    curve = {task.labels: runs for task, runs in given.items() if task.labels is not None}
    by_name = {task.name: runs for task, runs in given.items()}
    seed = next((runs[0].config.seed for runs in ran.values() if runs[0].config), 0)
    pooled = {task: PooledMethods([run.method_scores(Answers.TUNED) for run in runs]) for task, runs in ran.items()}
    claims = {task: claims_table(own) for task, own in pooled.items()}
    missed = " ".join(f"{task.title}: {own}." for task, table in claims.items() if (own := not_shown(table)))
    head = f"**Not shown** — {missed}" if missed else "Every claim below is shown by its interval."
    parts = [
        _INTRODUCTION.format(missed=head, seed=seed),
        *(section(task, runs, [claims[task], methods_table(pooled[task], runs)]) for task, runs in ran.items()),
        *([few_labels(dict(sorted(curve.items())))] if len(curve) > 1 else []),
        *([headline(*small)] if all((small := [by_name.get(own, []) for own in _HEADLINE])[:2]) else []),
    ]
    write_text(path, "\n".join(parts))


def few_labels(curve: Mapping[int, Sequence[RunResults]]) -> str:
    """The section about what the number of labels does."""
    pooled = [PooledMethods([run.method_scores(Answers.TUNED) for run in runs]) for runs in curve.values()]

    def differences(name: str, *rivals: str) -> list[Estimate | None]:
        return [
            _estimate(own.difference(name, own.better("auroc", *rivals), "auroc"))
            if {name, *rivals} <= set(own.names)
            else None
            for own in pooled
        ]

    accuracies = [Estimate(float(np.mean([run.metrics.accuracy for run in runs]))) for runs in curve.values()]
    columns = [
        Column("labels", "Labels", [f"{labels:,}" for labels in curve]),
        Column("accuracy", "Accuracy", accuracies, Kind.PERCENT),
        *(
            Column("_".join(names), text, differences(*names), Kind.POINTS)
            for text, names in (
                ("Fused − the better likelihood", ("fused", "perplexity", "sequence_log_probability")),
                ("Fused − nothing learned", ("fused", "fused_likelihood")),
                ("States − perplexity", ("states", "perplexity")),
                ("ASPIRE − perplexity", ("aspire", "perplexity")),
            )
        ),
    ]
    text = (
        "Of the labelled questions a part tunes θp, others are sampled to learn the read-out and θs from, and the rest "
        "weigh the parts of the fused score. The more there are, the better the answers too."
    )
    table = as_markdown(Table("labels", "AUROC in percentage points.", columns))
    return "\n\n".join(["## World facts with few labels", text, table])


def not_shown(table: Table) -> str:
    """The claims whose interval does not show them, with semicolons between; empty where there are none."""
    return "; ".join(f"{str(text)[0].lower()}{str(text)[1:]}" for text, *_, shown in table.rows if shown != "yes")


def section(task: Task, runs: Sequence[RunResults], tables: Sequence[Table]) -> str:
    """What the page says of a task."""
    seeds = ", ".join(str(run.config.seed) for run in runs if run.config)
    accuracies = [run.metrics.accuracy for run in runs]
    malformed = max(run.metrics.malformed for run in runs)
    facts = [
        f"{task.setting} Seeds {seeds}; {sum(run.metrics.n for run in runs):,} test questions in all, accuracy "
        f"{_percent(accuracies)}; {malformed:.1%} malformed answers at most.",
        *([f"Before tuning the accuracy is {_percent(before)}."] if (before := _before(runs)) else []),
    ]
    facts += [*reranking(runs), *([made] if (made := _made_with(runs)) else [])]
    return "\n\n".join([f"## {task.title}", *facts, *(as_markdown(table) for table in tables)])


def reranking(runs: Sequence[RunResults]) -> list[str]:
    """What answering with the beam that the fused score ranks first would do to the accuracy."""
    before, after, groups = [], [], []
    for run in runs:
        if run.fused is None or run.config is None:
            return []
        if Part.VERDICT in run.fused.needs or not all(own.scored.evidence.beam_states for own in run.predictions):
            return []
        rule = replace(decision_rule(run.config, fused=run.fused), candidates=CANDIDATES)
        after.append([bool(rule.decide_again(own).correct) for own in run.predictions])
        before.append([bool(own.likeliest.correct) for own in run.predictions])
        groups.append([group_of(own) for own in run.predictions])
    difference = accuracy_difference(after, before, groups)
    bounds = defined(difference.ci)
    spread = f" ({100 * bounds[0]:+.1f} to {100 * bounds[1]:+.1f})" if bounds else ""
    return [
        f"Answering with the one of the {CANDIDATES} likeliest beams that the fused score ranks first would give "
        f"{_percent([float(np.mean(own)) for own in after])}: {100 * float(defined(difference.estimate) or 0):+.1f} "
        f"points{spread}."
    ]


def claims_table(pooled: PooledMethods) -> Table:
    """The claims, each against the better of its rivals."""
    claims = [
        (text, name, pooled.better("auroc", *rivals))
        for name, rivals, text in _CLAIMS
        if {name, *rivals} <= set(pooled.names)
    ]
    differences = [
        {metric: pooled.difference(name, rival, metric) for metric in ("auroc", "auacc")} for _, name, rival in claims
    ]
    columns = [
        Column("claim", "Claim", [text for text, *_ in claims]),
        Column("pair", "Difference", [f"{method_label(name)} − {method_label(rival)}" for _, name, rival in claims]),
        Column("auroc", "AUROC", [_estimate(own["auroc"]) for own in differences], Kind.POINTS),
        Column("auacc", "AUACC", [_estimate(own["auacc"]) for own in differences], Kind.POINTS),
        Column("verdict", "Shown?", [_verdict(own["auroc"]) for own in differences]),
    ]
    return Table("claims", "What is claimed, in percentage points.", columns)


def methods_table(pooled: PooledMethods, runs: Sequence[RunResults]) -> Table:
    """Every method, and the fused score minus it."""
    names = in_order(pooled.names)
    costs = runs[0].costs
    reference = runs[0].metrics.reference
    columns = [
        Column("method", "Method", [method_label(name) for name in names]),
        *(
            Column(metric, metric.upper(), [_estimate(pooled.figure(name, metric)) for name in names], Kind.PERCENT)
            for metric in ("auroc", "auacc")
        ),
        Column(
            "difference",
            f"{method_label(reference)} − it, AUROC",
            [None if name == reference else _estimate(pooled.difference(reference, name, "auroc")) for name in names],
            Kind.POINTS,
        ),
        Column(
            "cost",
            "Cost",
            [Estimate(costs[name].relative) if name in costs else None for name in names],
            Kind.NUMBER,
        ),
    ]
    return Table("methods", "Every method on the same answers.", columns)


def _verdict(difference: Difference) -> str:
    if isinstance(difference.ci, Undefined):
        return f"unknown: {difference.ci.reason}"
    low, high = difference.ci
    return "yes" if low > 0.0 else "no: the contrary is" if high < 0.0 else "no"


def _estimate(figure: Difference) -> Estimate:
    return estimate(figure.estimate, figure.ci)


def _before(runs: Sequence[RunResults]) -> list[float]:
    known = [defined(run.metrics.accuracy_before) for run in runs]
    return [value for value in known if value is not None]


def _made_with(runs: Sequence[RunResults]) -> str:
    """The devices and versions of the runs, in a sentence."""
    known = [run.provenance for run in runs if run.provenance is not None]
    made = dict.fromkeys(
        f"{own.hardware.device}, torch {own.versions['torch']}, transformers {own.versions['transformers']}"
        for own in known
    )
    return f"Made on {'; '.join(made)}." if made else ""


def _percent(shares: Sequence[float]) -> str:
    return f"{100 * float(np.mean(shares)):.1f}% ({', '.join(f'{share:.1%}' for share in shares)})"
