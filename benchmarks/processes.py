"""`python -m benchmarks.processes [--output DIR]`: stage 2 by two processes of one thread against one of one thread.

64 questions of unequal length at OPT-125M size, batches of 4. Both must find the same sequences, with scores within
1e-5. The time is from when all processes have loaded the model until all have all answers.
"""

import argparse
import json
import os
import subprocess
import sys
import time
from pathlib import Path
from statistics import median
from typing import Any

import torch

from aspire_llm.lm.batching import by_length
from aspire_llm.lm.decoding.beam_search import beam_search
from aspire_llm.lm.decoding.hypotheses import Hypothesis
from aspire_llm.processes import joined, process_index, processes
from benchmarks import machine
from benchmarks.measure import MismatchError, close, same, say
from benchmarks.models import SOMETIMES, prompts, subject

MODEL, QUESTIONS, BATCH, BEAMS, NEW_TOKENS = "opt-125m", 64, 4, 5, 8
POSITIONS = tuple(60 + 3 * (i * 37 % QUESTIONS) for i in range(QUESTIONS))  # 60 to 249, in no order
TARGET = 1.8
_ROUNDS = 3


@joined()
def decode(model: str, positions: tuple[int, ...]) -> dict[str, Any]:
    """What the processes find together, and how long it takes them."""
    both = subject(model, SOMETIMES)
    questions = prompts(both.plain, positions)

    def decoded(places: Any) -> list[list[Hypothesis]]:
        own = [questions[place] for place in places]
        return list(beam_search(both.ours, own, num_beams=BEAMS, max_new_tokens=NEW_TOKENS).hypotheses)

    with torch.no_grad():
        decoded([0])
        processes().wait()
        started = time.perf_counter()
        found = by_length([len(own.token_ids) for own in questions], BATCH, decoded)
        seconds = time.perf_counter() - started
    answers = [[[list(own.token_ids), sum(own.token_log_probs)] for own in beams] for beams in found]
    return {"seconds": seconds, "answers": answers}


def launched(count: int, model: str = MODEL, positions: tuple[int, ...] = POSITIONS) -> dict[str, Any]:
    """The same by so many processes of one thread each."""
    launcher = [sys.executable, "-m", "torch.distributed.run", "--standalone", "--nproc-per-node", str(count)]
    command = [*launcher, "-m", "benchmarks.processes", "--decode", json.dumps([model, positions])]
    done = subprocess.run(command, env={**os.environ, "OMP_NUM_THREADS": "1"}, capture_output=True, text=True)
    if done.returncode:
        raise MismatchError(done.stderr)
    found: dict[str, Any] = json.loads(done.stdout.splitlines()[-1])
    return found


def check(one: dict[str, Any], several: dict[str, Any]) -> None:
    """The same sequences, scores within 1e-5."""
    for i, (alone, shared) in enumerate(zip(one["answers"], several["answers"], strict=True)):
        same(f"sequences of question {i}", [tokens for tokens, _ in shared], [tokens for tokens, _ in alone])
        worst = max(abs(a - b) for (_, a), (_, b) in zip(shared, alone, strict=True))
        close(f"scores of question {i}", worst, 1e-5)


def main() -> int:
    """Measure, print, write; 1 where results differ."""
    parser = argparse.ArgumentParser(prog="python -m benchmarks.processes", description=__doc__)
    parser.add_argument("--output", type=Path, default=Path("benchmarks"), help="default: benchmarks/")
    parser.add_argument("--decode", help=argparse.SUPPRESS)
    options = parser.parse_args()
    if options.decode:
        model, positions = json.loads(options.decode)
        found = decode(model, tuple(positions))
        if process_index() == 0:
            print(json.dumps(found))
        return 0
    seconds: dict[int, list[float]] = {1: [], 2: []}
    for number in range(_ROUNDS):
        rounds = {count: launched(count) for count in seconds}
        check(rounds[1], rounds[2])
        for count, own in rounds.items():
            seconds[count].append(own["seconds"])
        say(f"round {number + 1}: {rounds[1]['seconds']:.1f} s by one, {rounds[2]['seconds']:.1f} s by two")
    _write(options.output, seconds)
    return 0


def _write(folder: Path, seconds: dict[int, list[float]]) -> None:
    one, two = (median(seconds[count]) for count in (1, 2))
    here = machine.describe(torch.device("cpu"))
    page = f"""# Several processes

Written by `python -m benchmarks.processes` on {here["date"]}. Processor: {here["processor"]}; torch
{here["versions"]["torch"]}. Stage 2 over {QUESTIONS} questions of {min(POSITIONS)} to {max(POSITIONS)} positions,
{MODEL} with random weights, batches of {BATCH}, k = {BEAMS}, at most {NEW_TOKENS} new tokens. Processes have one thread
each; medians of {_ROUNDS} rounds in turns. Both found the same sequences, with scores within 1e-5.

| processes | seconds | rounds |
|---:|---:|---|
| 1 | {one:.1f} | {", ".join(f"{own:.1f}" for own in seconds[1])} |
| 2 | {two:.1f} | {", ".join(f"{own:.1f}" for own in seconds[2])} |

Two are {one / two:.2f} times as fast as one (wanted: {TARGET}).
"""
    folder.mkdir(parents=True, exist_ok=True)
    (folder / "PROCESSES.md").write_text(page, encoding="utf-8")
    print(page)


if __name__ == "__main__":
    sys.exit(main())
