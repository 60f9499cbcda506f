"""The command line: a subcommand per job, no logic."""

import argparse
import os
import shlex
import sys
from collections.abc import Sequence
from contextlib import suppress
from pathlib import Path
from typing import TYPE_CHECKING, NoReturn

from aspire_llm.errors import AspireError, ConfigError, DataError

if TYPE_CHECKING:
    from aspire_llm.results.metrics import RunMetrics


class _Parser(argparse.ArgumentParser):
    """Bad usage is an error like any other: one line, exit code 2."""

    def error(self, message: str) -> NoReturn:
        raise ConfigError(f"{message} (see {self.prog} --help)")


def main(arguments: Sequence[str] | None = None) -> int:
    """Run one command; 0 if it went well, 2 for an error that the user can mend."""
    try:
        options = _parser().parse_args(arguments)
        options.job(options)
        sys.stdout.flush()
    except AspireError as error:
        return _fail(str(error))
    except BrokenPipeError:
        _let_go_of_output()
        return 2
    except (OSError, UnicodeEncodeError) as error:
        _let_go_of_output()
        return _fail(_explain(error))
    except KeyboardInterrupt:
        command = "the same command without --fresh" if getattr(options, "fresh", False) else "the same command"
        print(f"aspire-llm: interrupted; {command} goes on from here", file=sys.stderr)
        return 130
    return 0


def _fail(message: str) -> int:
    with suppress(BrokenPipeError):
        print(f"aspire-llm: {' '.join(message.splitlines())}", file=sys.stderr, flush=True)
    return 2


def _explain(error: OSError | UnicodeEncodeError) -> str:
    if isinstance(error, UnicodeEncodeError):
        sign = error.object[error.start]
        return f"the output's encoding, {error.encoding}, has no {sign!r}; set PYTHONIOENCODING=utf-8"
    place = f"{error.filename2 or error.filename}: " if error.filename else ""
    return f"{place}{error.strerror or error}; what was written whole stays: mend this and give the command again"


def _let_go_of_output() -> None:
    """Send what is still to be printed nowhere: Python writes it when it ends, and would complain again."""
    with suppress(OSError, ValueError):
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())


def _parser() -> argparse.ArgumentParser:
    parser = _Parser(prog="aspire-llm", description="Selective prediction for language models (ASPIRE).")
    jobs = parser.add_subparsers(required=True, metavar="JOB", parser_class=_Parser)

    run = jobs.add_parser("run", help="all three stages, predictions, metrics and report")
    run.add_argument("config", nargs="?", type=Path, metavar="CONFIG.yaml", help="default: a demonstration")
    run.add_argument("--model", help="a folder, a GGUF file, a hub id, demo or smollm2")
    run.add_argument("--data", help="a file, a folder, a data set name, hf:OWNER/NAME, or demo")
    run.add_argument("--output", type=Path, help="the run directory (default: runs/NAME of the config)")
    run.add_argument("--seed", type=int)
    run.add_argument("--set", action="append", default=[], metavar="KEY.PATH=VALUE", help="override a config key")
    run.add_argument("--methods", metavar="A,B|all", help="selection methods to evaluate (default: the cheap ones)")
    run.add_argument("--seeds", type=int, default=1, metavar="N", help="repeat with N seeds and summarise")
    run.add_argument("--fresh", action="store_true", help="replace the run that is there")
    run.add_argument("--remake", action="store_true", help="train again what changed settings change; keep the rest")
    run.set_defaults(job=_run)

    predict = jobs.add_parser("predict", help="answer a file of questions")
    predict.add_argument("run", type=Path, metavar="RUN")
    predict.add_argument("--input", type=Path, required=True, metavar="Q.jsonl", help="- is standard input")
    predict.add_argument("--output", type=Path, required=True, metavar="P.jsonl", help="- is standard output")
    predict.add_argument("--fields", metavar="NAME,…", help="write these fields of a line alone, and its id")
    predict.add_argument("--include-candidates", action="store_true", help="also write the other beams of the search")
    _add_target_risk(predict)
    _add_per(predict)
    predict.set_defaults(job=_predict)

    ask = jobs.add_parser("ask", help="answer one question")
    ask.add_argument("run", type=Path, metavar="RUN")
    ask.add_argument("question")
    ask.add_argument("--context", metavar="TEXT|@FILE", help="a passage to answer from")
    _add_target_risk(ask)
    ask.set_defaults(job=_ask)

    calibrate = jobs.add_parser("calibrate", help="certify at most how many answers are wrong; nothing is trained")
    calibrate.add_argument("run", type=Path, metavar="RUN")
    calibrate.add_argument("--target-risk", type=float, action="append", default=[], metavar="R", help="e.g. 0.1")
    calibrate.add_argument("--delta", type=float, default=0.05, metavar="D", help="chance that that fails (0.05)")
    _add_per(calibrate)
    calibrate.add_argument("--data", help="questions with answers or marks, instead of the run's own split")
    calibrate.set_defaults(job=_calibrate)

    cascade = jobs.add_parser(
        "cascade", help="certify two runs as one: the large one answers what the small one withholds"
    )
    cascade.add_argument("small", type=Path, metavar="SMALL")
    cascade.add_argument("large", type=Path, metavar="LARGE")
    cascade.add_argument("--target-risk", type=float, action="append", required=True, metavar="R", help="e.g. 0.1")
    cascade.add_argument("--delta", type=float, default=0.05, metavar="D", help="chance that that fails (0.05)")
    cascade.add_argument("--output", type=Path, metavar="DIR", help="keep it there, for Cascade.load(DIR) in Python")
    cascade.set_defaults(job=_cascade)

    drift = jobs.add_parser("drift", help="are live questions, scores and risk still what they were?")
    drift.add_argument("run", type=Path, metavar="RUN")
    drift.add_argument("--input", type=Path, required=True, metavar="P.jsonl", help="what predict wrote")
    drift.add_argument("--labelled", type=Path, metavar="L.jsonl", help="lines with id and correct, of some of them")
    drift.add_argument("--target-risk", type=float, metavar="R", help="that was promised (default: what decided)")
    drift.set_defaults(job=_drift)

    evaluate = jobs.add_parser("evaluate", help="metrics of a run, on its test split or on other data")
    evaluate.add_argument("run", type=Path, metavar="RUN")
    evaluate.add_argument("--data", help="score these questions instead of the run's test split")
    evaluate.add_argument("--methods", metavar="A,B|all", help="selection methods (default: the cheap ones)")
    evaluate.set_defaults(job=_evaluate)

    report = jobs.add_parser("report", help="write report.html again")
    report.add_argument("run", type=Path, metavar="RUN")
    report.set_defaults(job=_report)

    sweep = jobs.add_parser("sweep", help="how sensitive a run is to its settings")
    sweep.add_argument("run", type=Path, metavar="RUN")
    sweep.add_argument("--over", action="append", metavar="KEY=V,V,…", help="a setting and its values")
    sweep.set_defaults(job=_sweep)

    compare = jobs.add_parser("compare", help="lay runs side by side")
    compare.add_argument("runs", type=Path, nargs="+", metavar="RUN")
    compare.add_argument("--output", type=Path, metavar="DIR", help="also write CSV, Markdown, LaTeX and a page there")
    compare.set_defaults(job=_compare)

    data = jobs.add_parser("data", help="look at data").add_subparsers(required=True, metavar="JOB")
    check = data.add_parser("check", help="report every problem of a data set at once")
    check.add_argument("data", metavar="D")
    check.set_defaults(job=_check_data)
    return parser


def _add_target_risk(parser: argparse.ArgumentParser) -> None:
    parser.add_argument(
        "--target-risk", type=float, metavar="R", help="decide by what aspire-llm calibrate certified for R"
    )


def _add_per(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("--per", metavar="FIELD", help="a promise for each value of this field of the questions")


def _run(options: argparse.Namespace) -> None:
    from aspire_llm.commands import resolve_run  # libraries take seconds to import; other commands do without them
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


def _predict(options: argparse.Namespace) -> None:
    from aspire_llm.answering import predict_file
    from aspire_llm.results.chosen_fields import Layout
    from aspire_llm.rundir.streams import is_stream

    names = None if options.fields is None else [name.strip() for name in options.fields.split(",")]
    layout = Layout.of(names, include_candidates=options.include_candidates)
    found = predict_file(options.run, options.input, options.output, options.target_risk, options.per, layout)
    _warn(*found.caveats)
    if found.contexts_cut:
        _warn(f"{found.contexts_cut} contexts do not fit the model's window and were cut (context_cut in their lines)")
    if found.errors:
        _warn(f"{found.errors} questions could not be put to the model (error in their lines)")
    if found.unread:
        _warn(f"{found.unread} rows are no questions (error in their lines)")
    print(
        f"{found.answered} of {found.questions} questions answered, the rest withheld: {options.output}",
        file=sys.stderr if is_stream(options.output) else sys.stdout,
    )


def _ask(options: argparse.Namespace) -> None:
    from aspire_llm.answering import ask

    prediction, caveats = ask(options.run, options.question, options.context, options.target_risk)
    _warn(*caveats)
    if prediction.context_cut:
        _warn("the context does not fit the model's window, and its end was cut")
    print(prediction.text)
    scored = prediction.scored
    verdict = scored.evidence.self_eval
    print(
        f"  likeliest answer: {scored.answer.text!r} · score {scored.selection_score:.3f} · "
        f"{'' if verdict is None else f'P(correct) by the model {verdict:.2f} · '}{prediction.why}",
        file=sys.stderr,
    )


def _calibrate(options: argparse.Namespace) -> None:
    from aspire_llm.commands import calibrate
    from aspire_llm.selection import RiskTarget

    targets = [RiskTarget(risk, options.delta, options.per) for risk in options.target_risk]
    print(calibrate(options.run, targets, options.data))


def _cascade(options: argparse.Namespace) -> None:
    from aspire_llm.cascade import certify_cascade
    from aspire_llm.selection import RiskTarget

    targets = [RiskTarget(risk, options.delta) for risk in options.target_risk]
    print(certify_cascade(options.small, options.large, targets, options.output))


def _drift(options: argparse.Namespace) -> None:
    from aspire_llm.monitoring import drift

    print(drift(options.run, options.input, options.labelled, options.target_risk))


def _evaluate(options: argparse.Namespace) -> None:
    from aspire_llm.commands import evaluate

    directory, metrics = evaluate(options.run, options.data, options.methods)
    _print_results(directory, metrics)


def _report(options: argparse.Namespace) -> None:
    from aspire_llm.report import write_report
    from aspire_llm.rundir.directory import RunDirectory
    from aspire_llm.rundir.own import run_of

    with RunDirectory.open(run_of(options.run)):
        print(write_report(options.run))


def _sweep(options: argparse.Namespace) -> None:
    from aspire_llm.studies import DEFAULT_SWEEPS, sweep

    print(sweep(options.run, options.over or DEFAULT_SWEEPS))


def _compare(options: argparse.Namespace) -> None:
    from aspire_llm.commands import compare

    print(compare(options.runs, options.output))


def _check_data(options: argparse.Namespace) -> None:
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


def _warn(*warnings: str) -> None:
    for warning in warnings:
        print(f"aspire-llm: warning: {warning}", file=sys.stderr)


def _print_results(directory: Path, metrics: "RunMetrics", more: str = "") -> None:
    from aspire_llm.report import results_table

    print(results_table(metrics))
    print(f"{more}\nReport: {directory / 'report.html'}")


def _some_answers(directory: Path) -> str:
    """A few answers of a run, and how to ask it for others."""
    from aspire_llm.report import sample_answers
    from aspire_llm.results.predictions import PREDICTIONS

    predictions = PREDICTIONS.read(directory)
    text = f"\nSome of its answers, picked by rule:\n{sample_answers(predictions)}\n"
    question = predictions[0].question
    if question.context is not None:
        return text
    return f"{text}\nAsk it yourself: aspire-llm ask {shlex.join([str(directory), question.question])}\n"


if __name__ == "__main__":
    sys.exit(main())
