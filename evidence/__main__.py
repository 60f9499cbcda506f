"""`python -m evidence [--only TASK,…] [--seeds N] [--gemma PATH] …`: run the tasks, and write the page.

Takes hours; killed, the same command goes on. The page is written anew after every run.
"""

import argparse
import sys
from pathlib import Path

from aspire_llm.errors import AspireError
from aspire_llm.pipeline import run
from aspire_llm.report.run_results import RunResults, read_run_results
from aspire_llm.results.metrics import METRICS
from evidence.page import write_page
from evidence.tasks import HERE, TASKS, Task

PAGE = HERE.parent / "docs" / "evidence.md"


def main(arguments: list[str] | None = None) -> int:
    """Run what is asked for; 1 where a task could not be run, 2 for an error that the user can mend."""
    options = _parser().parse_args(arguments)
    asked = options.only.split(",") if options.only else [task.name for task in TASKS]
    if unknown := set(asked) - {task.name for task in TASKS}:
        print(f"no task {', '.join(sorted(unknown))}; there are {', '.join(task.name for task in TASKS)}")
        return 2
    places = {name: getattr(options, name) for name in ("squad", "squad2", "triviaqa", "gemma")}
    failed = 0
    for task in (task for task in TASKS if task.name in asked):
        if missing := {own for own in (task.source, task.model) if own} & {
            n for n, place in places.items() if not place
        }:
            print(f"evidence: {task.name} is left out: say where it is with --{missing.pop()}", file=sys.stderr)
            continue
        for seed in range(options.seeds):
            try:
                run(task.config(seed, places), _folder(options.output, task, seed), methods=options.methods)
            except AspireError as error:
                print(f"evidence: {task.name}, seed {seed}: {error}", file=sys.stderr)
                failed = 1
                break
            write_page(options.page, _finished(options.output))
    print(options.page)
    return failed


def _finished(output: Path) -> dict[Task, list[RunResults]]:
    """The runs that are there, by task, seed after seed."""
    return {
        task: [
            read_run_results(folder)
            for folder in sorted((output / task.name).glob("[0-9]*"), key=lambda own: int(own.name))
            if METRICS.exists(folder)
        ]
        for task in TASKS
    }


def _folder(output: Path, task: Task, seed: int) -> Path:
    return output / task.name / str(seed)


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(prog="python -m evidence")
    parser.add_argument("--only", help="tasks, separated by commas; all of them otherwise")
    parser.add_argument("--seeds", type=int, default=3)
    parser.add_argument("--squad", default="squad:validation", help="SQuAD v1.1's dev set: the hub's, or a file")
    parser.add_argument("--squad2", default="squad_v2:validation", help="SQuAD v2's dev set, likewise")
    parser.add_argument("--triviaqa", default="triviaqa:validation", help="TriviaQA's dev set, likewise")
    parser.add_argument("--gemma", help="Gemma 3 270M, base: a folder, a GGUF file or a hub id; its terms are Google's")
    parser.add_argument("--methods", default="all", help="as of aspire-llm run")
    parser.add_argument("--output", type=Path, default=Path("runs/evidence"))
    parser.add_argument("--page", type=Path, default=PAGE)
    return parser


if __name__ == "__main__":
    sys.exit(main())
