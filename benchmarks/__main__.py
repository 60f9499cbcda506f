"""`python -m benchmarks [--device cuda] [--full] [--questions N] [--only PATH,…] [--output DIR]`: measure and write.

With `--only`, what an earlier run on the same machine wrote of the other paths stays.
"""

import argparse
import sys
import time
import warnings
from pathlib import Path

import torch
from transformers.utils import logging as transformers_logging

from benchmarks import (
    growth,
    machine,
    pipeline,
    report,
    sampling,
    self_evaluation_inference,
    stage1_task_tuning,
    stage2_beam_search,
    stage3_self_evaluation,
)
from benchmarks.measure import Benchmark, MismatchError, Settings, say

BENCHMARKS: dict[str, Benchmark] = {
    module.__name__.rpartition(".")[2]: module
    for module in (
        stage2_beam_search,
        stage3_self_evaluation,
        stage1_task_tuning,
        self_evaluation_inference,
        sampling,
        pipeline,
        growth,
    )
}


_FEWEST_QUESTIONS = 4
_ON_CPU = ("pipeline", "growth")


def main(arguments: list[str] | None = None) -> int:
    """Run what is asked for; 1 where a result differs from its peer's."""
    options = _parser().parse_args(arguments)
    device, on_cpu = torch.device(options.device), options.device == "cpu"
    output = options.output or Path("benchmarks") / ("" if on_cpu else options.device)
    names = options.only.split(",") if options.only else [own for own in BENCHMARKS if own not in _ON_CPU or on_cpu]
    if unknown := [name for name in names if name not in BENCHMARKS]:
        print(f"no benchmark {', '.join(unknown)}; there are {', '.join(BENCHMARKS)}", file=sys.stderr)
        return 2
    questions = options.questions or (200 if options.full else 5)
    if questions < _FEWEST_QUESTIONS:
        print(f"--questions is {questions}; the pipeline needs {_FEWEST_QUESTIONS}, one a split", file=sys.stderr)
        return 2
    warnings.filterwarnings("ignore", category=FutureWarning)
    transformers_logging.set_verbosity_error()
    transformers_logging.disable_progress_bar()
    torch.manual_seed(0)
    limits = machine.probe(device)
    say(f"limits of this machine: {report.speeds(limits)}, {torch.get_num_threads()} threads")
    settings = Settings(options.full, questions, rounds=3 if options.full else 1, device=options.device)
    here = machine.describe(device)
    rows = [row for row in report.read(output, here) if row.path not in names] if options.only else []
    refused: dict[str, str] = {}
    for name in names:
        say(f"{name} …")
        started = time.perf_counter()
        try:
            for row in BENCHMARKS[name].rows(settings):
                rows.append(row if on_cpu else row.without_targets())
                # Row by row, so that a run that is killed leaves what it measured.
                report.write(output, rows, BENCHMARKS, refused, here, limits)
        except MismatchError as error:
            refused[name] = str(error)
            say(f"  REFUSED: {error}")
        limits = limits.better(machine.probe(device))
        report.write(output, rows, BENCHMARKS, refused, here, limits)
        say(f"  {time.perf_counter() - started:.0f} s")
    for group, own in report.groups(rows).items():
        say(f"\n{group}\n{report.table(own)}")
    say(f"\nwritten to {output / 'RESULTS.md'} and {output / 'results.json'}")
    return 1 if refused else 0


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(prog="python -m benchmarks", description="Ours beside what a user would write.")
    parser.add_argument("--full", action="store_true", help="all models, more rounds, and the growth tables (hours)")
    parser.add_argument("--questions", type=int, metavar="N", help="of the whole pipeline: 5, or 200 in the full form")
    parser.add_argument("--only", metavar="PATH,…", help=f"some of {', '.join(BENCHMARKS)}")
    parser.add_argument("--device", default="cpu", help="cpu, or cuda: larger models, and neither pipeline nor growth")
    parser.add_argument("--output", type=Path, help="where the results go: benchmarks, or benchmarks/cuda")
    return parser


if __name__ == "__main__":
    sys.exit(main())
