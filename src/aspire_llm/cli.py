"""The command line: a subcommand per job, no logic."""

import argparse
import os
import signal
import sys
import time
from collections.abc import Sequence
from contextlib import redirect_stderr, redirect_stdout, suppress
from pathlib import Path
from typing import NoReturn

from aspire_llm import cli_jobs
from aspire_llm.errors import AspireError, ConfigError, ProcessLostError
from aspire_llm.processes import process_count, process_index

_SECONDS_OF_MAIN = 5.0


class _Parser(argparse.ArgumentParser):
    """Bad usage is an error like any other: one line, exit code 2."""

    def error(self, message: str) -> NoReturn:
        raise ConfigError(f"{message} (see {self.prog} --help)")


def main(arguments: Sequence[str] | None = None) -> int:
    """Run one command; 0 if it went well, 2 for an error that the user can mend. Of several processes, one speaks."""
    _fill_closed_streams()
    if process_index() == 0:
        return _main(arguments)
    with open(os.devnull, "w") as nowhere, redirect_stdout(nowhere), redirect_stderr(nowhere):
        return _main(arguments)


def _fill_closed_streams() -> None:
    """Put /dev/null where the shell closed a stream (``>&-``): the next file to be opened would take its number."""
    for name, mode in (("stdin", "r"), ("stdout", "w"), ("stderr", "w")):  # in the order of their numbers
        if getattr(sys, name) is None:
            setattr(sys, name, open(os.devnull, mode))  # noqa: SIM115 for as long as the process lives


def _main(arguments: Sequence[str] | None) -> int:
    try:
        options = _parser().parse_args(arguments)
        if process_count() > 1 and options.job not in (cli_jobs.run_job, cli_jobs.predict_job):
            raise ConfigError("only run and predict take several processes; start it without a launcher")
        options.job(options)
        sys.stdout.flush()
    except ProcessLostError as error:
        return _fail(str(error)) if process_index() == 0 else 2
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
    said = f"aspire-llm: {' '.join(message.splitlines())}"
    with suppress(BrokenPipeError):
        if process_index() == 0:
            print(said, file=sys.stderr, flush=True)
        else:  # what is wrong for all of them, the main one says, and the launcher ends the others
            signal.signal(signal.SIGTERM, signal.SIG_DFL)
            time.sleep(_SECONDS_OF_MAIN)
            print(said.replace(":", f" (process {process_index()}):", 1), file=sys.__stderr__, flush=True)
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
    _add_settings(run)
    run.add_argument("--output", type=Path, help="the run directory (default: runs/NAME of the config)")
    run.add_argument("--methods", metavar="A,B|all", help="selection methods to evaluate (default: the cheap ones)")
    run.add_argument("--seeds", type=int, default=1, metavar="N", help="repeat with N seeds and summarise")
    run.add_argument("--fresh", action="store_true", help="replace the run that is there")
    run.add_argument("--remake", action="store_true", help="train again what changed settings change; keep the rest")
    run.set_defaults(job=cli_jobs.run_job)

    plan = jobs.add_parser("plan", help="time and memory of each step of a run on this machine; nothing is run")
    _add_settings(plan)
    plan.add_argument("--target-risk", type=float, action="append", default=[], metavar="R", help="labels it takes")
    plan.add_argument("--delta", type=float, default=0.05, metavar="D", help="chance that the promise fails (0.05)")
    plan.set_defaults(job=cli_jobs.plan_job)

    predict = jobs.add_parser("predict", help="answer a file of questions")
    predict.add_argument("run", type=Path, metavar="RUN")
    predict.add_argument("--input", required=True, metavar="Q.jsonl", help="- is standard input")
    predict.add_argument("--output", required=True, metavar="P.jsonl", help="- is standard output")
    predict.add_argument("--fields", metavar="NAME,…", help="write these fields of a line alone, and its id")
    predict.add_argument("--include-candidates", action="store_true", help="also write the other beams of the search")
    predict.add_argument("--engine", choices=["local", "ray"], default="local", help="ray: Parquet out, any storage")
    predict.add_argument("--workers", type=int, default=1, metavar="N", help="of ray: predictors at the same time")
    _add_target_risk(predict)
    _add_per(predict)
    predict.set_defaults(job=cli_jobs.predict_job)

    ask = jobs.add_parser("ask", help="answer one question")
    ask.add_argument("run", type=Path, metavar="RUN")
    ask.add_argument("question")
    ask.add_argument("--context", metavar="TEXT|@FILE", help="a passage to answer from")
    _add_target_risk(ask)
    ask.set_defaults(job=cli_jobs.ask_job)

    calibrate = jobs.add_parser("calibrate", help="certify at most how many answers are wrong; nothing is trained")
    calibrate.add_argument("run", type=Path, metavar="RUN")
    calibrate.add_argument("--target-risk", type=float, action="append", default=[], metavar="R", help="e.g. 0.1")
    calibrate.add_argument("--delta", type=float, default=0.05, metavar="D", help="chance that that fails (0.05)")
    _add_per(calibrate)
    calibrate.add_argument("--data", help="questions with answers or marks, instead of the run's own split")
    calibrate.set_defaults(job=cli_jobs.calibrate_job)

    cascade = jobs.add_parser(
        "cascade", help="certify two runs as one: the large one answers what the small one withholds"
    )
    cascade.add_argument("small", type=Path, metavar="SMALL")
    cascade.add_argument("large", type=Path, metavar="LARGE")
    cascade.add_argument("--target-risk", type=float, action="append", required=True, metavar="R", help="e.g. 0.1")
    cascade.add_argument("--delta", type=float, default=0.05, metavar="D", help="chance that that fails (0.05)")
    cascade.add_argument("--output", type=Path, metavar="DIR", help="keep it there, for Cascade.load(DIR) in Python")
    cascade.set_defaults(job=cli_jobs.cascade_job)

    drift = jobs.add_parser("drift", help="are live questions, scores and risk still what they were?")
    drift.add_argument("run", type=Path, metavar="RUN")
    drift.add_argument("--input", type=Path, required=True, metavar="P.jsonl", help="what predict wrote")
    drift.add_argument("--labelled", type=Path, metavar="L.jsonl", help="lines with id and correct, of some of them")
    drift.add_argument("--target-risk", type=float, metavar="R", help="that was promised (default: what decided)")
    drift.set_defaults(job=cli_jobs.drift_job)

    serve = jobs.add_parser("serve", help="answer over HTTP: OpenAI's schema, a plain one, and a page to ask")
    serve.add_argument("runs", nargs="+", metavar="RUN", help="finished runs, by their folders' names")
    serve.add_argument("--host", default="127.0.0.1", help="where it listens (127.0.0.1: this machine alone)")
    serve.add_argument("--port", type=int, default=8000)
    serve.add_argument("--root-path", default="", metavar="/PATH", help="the path below which a proxy shows it")
    serve.add_argument("--api-key-file", type=Path, metavar="FILE", help="keys, one a line, that open the server")
    serve.add_argument("--max-waiting", type=int, default=512, metavar="N", help="questions that may wait (512)")
    serve.add_argument("--max-batch", type=int, metavar="N", help="answered together (default: stage2.batch_size)")
    serve.add_argument("--timeout", type=float, default=60.0, metavar="SECONDS", help="of a request (60)")
    serve.add_argument("--ignore-system", action="store_true", help="system messages are no context of the question")
    serve.add_argument("--log-texts", action="store_true", help="questions and answers stand in the log")
    serve.add_argument("--device", help="another one than the runs were made on")
    serve.set_defaults(job=cli_jobs.serve_job)

    export = jobs.add_parser("export", help="what a run answers with, and a card, in a folder for others")
    export.add_argument("run", type=Path, metavar="RUN")
    export.add_argument("folder", type=Path, metavar="DIR")
    export.add_argument("--half", action="store_true", help="adapters in float16: half the size")
    export.add_argument(
        "--with-questions", action="store_true", help="also the questions that calibrate, and their answers"
    )
    export.add_argument("--push", metavar="OWNER/NAME", help="put it on the hub, too")
    export.set_defaults(job=cli_jobs.export_job)

    take = jobs.add_parser("import", help="make a run of an exported one")
    take.add_argument("source", metavar="DIR|hf:OWNER/NAME")
    take.add_argument("folder", type=Path, metavar="RUN")
    take.add_argument("--model", help="where its base model is here, if not where it was")
    take.set_defaults(job=cli_jobs.import_job)

    evaluate = jobs.add_parser("evaluate", help="metrics of a run, on its test split or on other data")
    evaluate.add_argument("run", type=Path, metavar="RUN")
    evaluate.add_argument("--data", help="score these questions instead of the run's test split")
    evaluate.add_argument("--methods", metavar="A,B|all", help="selection methods (default: the cheap ones)")
    evaluate.set_defaults(job=cli_jobs.evaluate_job)

    report = jobs.add_parser("report", help="write report.html again")
    report.add_argument("run", type=Path, metavar="RUN")
    report.set_defaults(job=cli_jobs.report_job)

    sweep = jobs.add_parser("sweep", help="how sensitive a run is to its settings")
    sweep.add_argument("run", type=Path, metavar="RUN")
    sweep.add_argument("--over", action="append", metavar="KEY=V,V,…", help="a setting and its values")
    sweep.set_defaults(job=cli_jobs.sweep_job)

    compare = jobs.add_parser("compare", help="lay runs side by side")
    compare.add_argument("runs", type=Path, nargs="+", metavar="RUN")
    compare.add_argument("--output", type=Path, metavar="DIR", help="also write CSV, Markdown, LaTeX and a page there")
    compare.set_defaults(job=cli_jobs.compare_job)

    data = jobs.add_parser("data", help="look at data").add_subparsers(required=True, metavar="JOB")
    check = data.add_parser("check", help="report every problem of a data set at once")
    check.add_argument("data", metavar="D")
    check.set_defaults(job=cli_jobs.check_data_job)
    return parser


def _add_settings(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("config", nargs="?", type=Path, metavar="CONFIG.yaml", help="default: a demonstration")
    parser.add_argument("--model", help="a folder, a GGUF file, a hub id, demo or smollm2")
    parser.add_argument("--data", help="a file, a folder, a data set name, hf:OWNER/NAME, or demo")
    parser.add_argument("--seed", type=int)
    parser.add_argument("--set", action="append", default=[], metavar="KEY.PATH=VALUE", help="override a config key")


def _add_target_risk(parser: argparse.ArgumentParser) -> None:
    parser.add_argument(
        "--target-risk", type=float, metavar="R", help="decide by what aspire-llm calibrate certified for R"
    )


def _add_per(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("--per", metavar="FIELD", help="a promise for each value of this field of the questions")


if __name__ == "__main__":
    sys.exit(main())
