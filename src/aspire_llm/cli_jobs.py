"""What each subcommand does with its options: one call, and what is printed of it.

Libraries take seconds to import, so each imports what it needs.
"""

import shlex
import signal
import sys
from argparse import Namespace
from importlib.util import find_spec
from pathlib import Path
from typing import TYPE_CHECKING

from aspire_llm.errors import ConfigError, DataError
from aspire_llm.progress import warn

if TYPE_CHECKING:
    from aspire_llm.results.metrics import RunMetrics


def run_job(options: Namespace) -> None:
    """`aspire-llm run`."""
    from aspire_llm.commands import resolve_run
    from aspire_llm.pipeline import run
    from aspire_llm.studies import run_seeds

    config, output, notes = resolve_run(
        options.config,
        model=options.model,
        data=options.data,
        seed=options.seed,
        overrides=options.set,
        output=options.output,
    )
    if options.seeds < 1:
        raise ConfigError(f"--seeds got {options.seeds}; at least one run is needed")
    asked = {"fresh": options.fresh, "remake": options.remake, "methods": options.methods, "notes": notes}
    metrics = run(config, output, **asked) if options.seeds == 1 else run_seeds(config, output, options.seeds, **asked)
    _print_results(output, metrics, _some_answers(output))


def plan_job(options: Namespace) -> None:
    """`aspire-llm plan`."""
    from aspire_llm.commands import resolve_run
    from aspire_llm.planning import plan_run
    from aspire_llm.selection.risk_tests import RiskTarget

    asked = {"model": options.model, "data": options.data, "seed": options.seed, "overrides": options.set}
    config, _, _ = resolve_run(options.config, **asked)
    wanted = options.target_risk or ([config.score.target_risk] if config.score.target_risk else [0.1])
    print(plan_run(config).text([RiskTarget(risk, options.delta) for risk in wanted]))


def predict_job(options: Namespace) -> None:
    """`aspire-llm predict`."""
    from aspire_llm.answering import predict_file
    from aspire_llm.results.chosen_fields import Layout
    from aspire_llm.rundir.streams import is_stream

    names = None if options.fields is None else [name.strip() for name in options.fields.split(",")]
    layout = Layout.of(names, include_candidates=options.include_candidates)
    decided = (options.target_risk, options.per, layout)
    if options.engine == "ray":
        from aspire_llm.ray_data import predict_with_ray

        found = predict_with_ray(options.run, options.input, options.output, *decided, workers=options.workers)
    else:
        found = predict_file(options.run, Path(options.input), Path(options.output), *decided)
    warn(*found.caveats)
    if found.contexts_cut:
        warn(f"{found.contexts_cut} contexts do not fit the model's window and were cut (context_cut in their lines)")
    if found.errors:
        warn(f"{found.errors} questions could not be put to the model (error in their lines)")
    if found.unread:
        warn(f"{found.unread} rows are no questions (error in their lines)")
    print(
        f"{found.answered} of {found.questions} questions answered, the rest withheld: {options.output}",
        file=sys.stderr if is_stream(Path(options.output)) else sys.stdout,
    )


def ask_job(options: Namespace) -> None:
    """`aspire-llm ask`."""
    from aspire_llm.answering import ask

    prediction, caveats = ask(options.run, options.question, options.context, options.target_risk)
    warn(*caveats)
    if prediction.context_cut:
        warn("the context does not fit the model's window, and its end was cut")
    print(prediction.text)
    scored = prediction.scored
    verdict = scored.evidence.self_eval
    kind = "likeliest" if prediction.passed_over is None else "best-scored"
    print(
        f"  {kind} answer: {scored.answer.text!r} · score {scored.selection_score:.3f} · "
        f"{'' if verdict is None else f'P(correct) by the model {verdict:.2f} · '}{prediction.why}",
        file=sys.stderr,
    )


def calibrate_job(options: Namespace) -> None:
    """`aspire-llm calibrate`."""
    from aspire_llm.commands import calibrate
    from aspire_llm.selection import RiskTarget

    targets = [RiskTarget(risk, options.delta, options.per) for risk in options.target_risk]
    print(calibrate(options.run, targets, options.data))


def cascade_job(options: Namespace) -> None:
    """`aspire-llm cascade`."""
    from aspire_llm.cascade import certify_cascade
    from aspire_llm.selection import RiskTarget

    targets = [RiskTarget(risk, options.delta) for risk in options.target_risk]
    print(certify_cascade(options.small, options.large, targets, options.output))


def drift_job(options: Namespace) -> None:
    """`aspire-llm drift`."""
    from aspire_llm.monitoring import drift

    print(drift(options.run, options.input, options.labelled, options.target_risk))


def serve_job(options: Namespace) -> None:
    """`aspire-llm serve`."""
    missing = [name for name in ("fastapi", "uvicorn", "prometheus_client", "fastapi_offline") if not find_spec(name)]
    if missing:
        raise ConfigError(f"serve needs {', '.join(missing)}; pip install 'aspire-llm[serve]'")
    from aspire_llm.serving.server import serve
    from aspire_llm.serving.settings import ApiKeys, ServerSettings

    settings = ServerSettings(
        host=options.host,
        port=options.port,
        root_path=options.root_path,
        keys=ApiKeys.read(options.api_key_file) if options.api_key_file else ApiKeys(),
        max_waiting=options.max_waiting,
        max_batch=options.max_batch,
        timeout=options.timeout,
        system="ignore" if options.ignore_system else "context",
        log_texts=options.log_texts,
    )
    try:
        serve(options.runs, settings, device=options.device)
    except KeyboardInterrupt:  # amid the loading of weights, which ends no process well that waits for it, or does not
        signal.signal(signal.SIGINT, signal.SIG_DFL)
        signal.raise_signal(signal.SIGINT)


def export_job(options: Namespace) -> None:
    """`aspire-llm export`."""
    from aspire_llm.sharing import export_run

    folder = export_run(
        options.run, options.folder, half=options.half, with_questions=options.with_questions, push=options.push
    )
    print(f"{folder}: read its README.md before it is shared")


def import_job(options: Namespace) -> None:
    """`aspire-llm import`."""
    from aspire_llm.sharing import import_run

    print(import_run(options.source, options.folder, model=options.model))


def evaluate_job(options: Namespace) -> None:
    """`aspire-llm evaluate`."""
    from aspire_llm.commands import evaluate

    directory, metrics = evaluate(options.run, options.data, options.methods)
    _print_results(directory, metrics)


def report_job(options: Namespace) -> None:
    """`aspire-llm report`."""
    from aspire_llm.report import write_report
    from aspire_llm.rundir.directory import RunDirectory
    from aspire_llm.rundir.own import run_of

    with RunDirectory.open(run_of(options.run)):
        print(write_report(options.run))


def sweep_job(options: Namespace) -> None:
    """`aspire-llm sweep`."""
    from aspire_llm.studies import DEFAULT_SWEEPS, sweep

    print(sweep(options.run, options.over or DEFAULT_SWEEPS))


def compare_job(options: Namespace) -> None:
    """`aspire-llm compare`."""
    from aspire_llm.commands import compare

    print(compare(options.runs, options.output))


def check_data_job(options: Namespace) -> None:
    """`aspire-llm data check`."""
    from aspire_llm.data import check_data

    report = check_data(options.data)
    for problem in report.problems:
        print(problem)
    if report.problems:
        raise DataError(f"{options.data}: {len(report.problems)} problems; {report.questions} questions are good")
    print(
        f"{options.data}: {report.format}, {report.questions} questions in {report.groups} groups, "
        f"{report.unanswerable} unanswerable; no problem found"
    )


def _print_results(directory: Path, metrics: "RunMetrics", more: str = "") -> None:
    from aspire_llm.report import results_table

    print(results_table(metrics))
    print(f"{more}\nReport: {directory / 'report.html'}")


def _some_answers(directory: Path) -> str:
    """A few answers of a run, and how to ask it for others."""
    from aspire_llm.report import sample_answers
    from aspire_llm.results.predictions import DECIDED_PREDICTIONS

    predictions = DECIDED_PREDICTIONS.read(directory)
    text = f"\nSome of its answers, picked by rule:\n{sample_answers(predictions)}\n"
    question = predictions[0].question
    if question.context is not None:
        return text
    return f"{text}\nAsk it yourself: aspire-llm ask {shlex.join([str(directory), question.question])}\n"
