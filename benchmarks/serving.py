"""`python -m benchmarks.serving [--only PART,…] [--runs DIR] [--output DIR]`: what `aspire-llm serve` takes and gives.

Every answer is compared with the one that the predictor gives offline; a load with a lost or wrong answer is refused.
The run of the embedded model is made once, in about two minutes, and kept. With `--only`, what an earlier run wrote
stays.
"""

import argparse
import asyncio
import os
import random
import sys
import time
from collections.abc import Callable, Sequence
from datetime import UTC, datetime
from pathlib import Path
from statistics import fmean, median
from typing import Any

import torch

from aspire_llm import Prediction, RunConfig, SelectivePredictor, run
from aspire_llm.demo import demo_questions
from aspire_llm.demo.facts import facts_questions
from aspire_llm.records import Question
from benchmarks import machine
from benchmarks.http_load import Connection, Response, Served, ask_all, is_answer, serving
from benchmarks.measure import MismatchError, say
from benchmarks.serving_report import Row, read, table, write

THREADS = 1  # of a matrix product, on both sides
CLIENTS, REQUESTS = 64, 2000
SOAK = 20_000
_ALONE = 60  # questions that are asked one by one before a load, and again after it
_ROUNDS = 3
_CONFIG: dict[str, Any] = {
    "model": "demo",
    "data": {"name": "demo", "limit": 1200},
    "stage1": {"num_soft_tokens": 10, "learning_rate": 0.1, "epochs": 3},
    "stage2": {"num_beams": 5, "max_new_tokens": 16, "batch_size": 32},
    "stage3": {"num_soft_tokens": 5, "learning_rate": 0.1, "epochs": 1},
}


class Subject:
    """A run, questions to it, and what it answers offline.

    Args:
        name: For the tables.
        path: Of the run.
        questions: Distinct ones.
        runs: Where logs go.
    """

    def __init__(self, name: str, path: str | Path, questions: Sequence[str], runs: Path) -> None:
        self.name, self.path, self.questions, self._runs = name, path, questions, runs
        self.predictor = SelectivePredictor.load(path)
        say(f"{name}: {len(questions)} questions offline …")
        self.answers: list[Prediction] = self.predictor.predict(questions)

    def serving(self, *options: str) -> Any:
        """See `http_load.serving`."""
        return serving(self.path, self._runs / "server.log", *options, threads=THREADS)

    def alone(self, count: int) -> float:
        """Seconds that a question takes in-process, one by one."""
        return fmean(_seconds(lambda own=own: self.predictor.predict([own])) for own in self.questions[:count])

    def ask(self, served: Served, count: int, clients: int) -> tuple[list[Response], float]:
        """So many questions by so many clients, all of them answered rightly, and the seconds that it took.

        Raises:
            MismatchError: An answer was lost, or is not the one to its question.
        """
        asked = [self.questions[place % len(self.questions)] for place in range(count)]
        started = time.perf_counter()
        found = ask_all(served.url, asked, clients, candidates=1)
        seconds = time.perf_counter() - started
        self.check(found, count)
        return found, seconds

    def check(self, found: Sequence[Response], count: int) -> None:
        """Raise `MismatchError` where an answer is lost, or not the one to its question."""
        expected = self.answers
        wrong = [own for own in found if not is_answer(own, expected[own.place % len(expected)])]
        if wrong or len(found) != count:
            statuses = sorted({own.status for own in wrong})
            raise MismatchError(f"{len(found)} of {count} answered, {len(wrong)} of them wrongly (statuses {statuses})")


def load(subject: Subject) -> list[Row]:
    """64 clients ask 2,000 questions, between questions one by one in-process."""
    rows = []
    with subject.serving() as served:
        subject.ask(served, CLIENTS, CLIENTS)
        for _ in range(_ROUNDS):
            before, cpu = subject.alone(_ALONE), time.process_time()
            found, seconds = subject.ask(served, REQUESTS, CLIENTS)
            cpu = time.process_time() - cpu
            one = fmean((before, subject.alone(_ALONE)))
            rows.append(
                _latencies(found, seconds)
                | {
                    "in-process/s": round(1 / one, 1),
                    "times as many": round(one * REQUESTS / seconds, 2),
                    "clients' share of a core": round(cpu / seconds, 3),
                    "resident MiB": _mib(served),
                }
            )
            say(f"  {rows[-1]}")
    return rows


def lone(subject: Subject) -> list[Row]:
    """One client, and the same questions in-process, in turns."""
    own, theirs = list[float](), list[float]()

    async def ask(served: Served) -> None:
        async with Connection(served.url) as connection:
            for place, question in enumerate(subject.questions[: 5 * _ALONE]):
                theirs.append(_seconds(lambda question=question: subject.predictor.predict([question])))
                found = await connection.ask(place, question, {"candidates": 1})
                subject.check([found], 1)
                own.append(found.seconds)

    with subject.serving() as served:
        subject.ask(served, 8, 1)
        asyncio.run(ask(served))
    ratio = median(own) / median(theirs)
    paired = median(a / b for a, b in zip(own, theirs, strict=True))
    return [
        {
            "questions": len(own),
            "served p50 ms": _ms(median(own)),
            "in-process p50 ms": _ms(median(theirs)),
            "times as long": round(ratio, 3),
            "by pairs": round(paired, 3),
        }
    ]


def overload(subject: Subject) -> list[Row]:
    """Four times as many clients as may wait: who is answered is answered rightly, the others are told at once."""
    waiting, clients = 32, 128
    with subject.serving("--max-waiting", str(waiting)) as served:
        asked = subject.questions[:REQUESTS]
        started = time.perf_counter()
        found = ask_all(served.url, asked, clients, candidates=1)
        seconds = time.perf_counter() - started
        answered = [own for own in found if own.status == 200]
        refused = [own for own in found if own.status == 429]
        subject.check(answered, len(found) - len(refused))
        subject.ask(served, CLIENTS // 2, CLIENTS // 2)  # it is as well as before
    return [
        {
            "--max-waiting": waiting,
            "clients": clients,
            "requests": len(found),
            "200": len(answered),
            "429": len(refused),
            "other": len(found) - len(answered) - len(refused),
            "answers/s": round(len(answered) / seconds, 1),
            "longest ms of a 200": _ms(max(own.seconds for own in answered)),
            "p50 ms of a 429": _ms(median(own.seconds for own in refused)),
            "longest ms of a 429": _ms(max(own.seconds for own in refused)),
        }
    ]


def soak(subject: Subject) -> list[Row]:
    """20,000 requests by 64 clients, and the memory that the server holds on its way."""
    rows: list[Row] = []
    with subject.serving() as served:
        for done in range(REQUESTS, SOAK + 1, REQUESTS):
            found, seconds = subject.ask(served, REQUESTS, CLIENTS)
            rows.append({"after": done, **_latencies(found, seconds), "resident MiB": _mib(served)})
            say(f"  {rows[-1]}")
    return rows


def sizing(subject: Subject, cases: Sequence[tuple[int, int, int]]) -> list[Row]:
    """Settings side by side: questions that are answered together, clients, requests."""
    rows: list[Row] = []
    for batch, clients, count in cases:
        with subject.serving("--max-batch", str(batch)) as served:
            subject.ask(served, min(count, clients), clients)
            found, seconds = subject.ask(served, count, clients)
            own = {"run": subject.name, "--max-batch": batch, "clients": clients}
            rows.append({**own, **_latencies(found, seconds), "resident MiB": _mib(served)})
            say(f"  {rows[-1]}")
    return rows


_SMALL = [(1, 64, 256), (8, 64, 512), (16, 64, 512), (32, 64, 1024), (32, 16, 512), (32, 1, 64)]
_LARGE = [(1, 16, 32), (4, 16, 64), (16, 16, 96), (16, 64, 128), (16, 1, 16)]


def main(arguments: list[str] | None = None) -> int:
    """Measure what is asked for; 1 where an answer was lost or wrong."""
    parts: dict[str, Callable[[], list[Row]]] = {
        "load": lambda: load(embedded()),
        "lone": lambda: lone(embedded()),
        "overload": lambda: overload(embedded()),
        "sizing": lambda: [*sizing(embedded(), _SMALL), *sizing(smollm2(), _LARGE)],
        "soak": lambda: soak(embedded()),
    }
    parser = argparse.ArgumentParser(prog="python -m benchmarks.serving", description="The server under load.")
    parser.add_argument("--only", metavar="PART,…", help=f"some of {', '.join(parts)}")
    parser.add_argument("--runs", type=Path, default=Path("runs/serving"), help="where the run is made, and kept")
    parser.add_argument("--output", type=Path, default=Path("benchmarks"), help="where SERVING.md goes")
    options = parser.parse_args(arguments)
    names = options.only.split(",") if options.only else list(parts)
    if unknown := set(names) - set(parts):
        parser.error(f"there is no {', '.join(sorted(unknown))}")
    torch.set_num_threads(THREADS)
    made: dict[str, Subject] = {}

    def embedded() -> Subject:
        if "embedded" not in made:
            folder = options.runs / "embedded"
            run(RunConfig.model_validate(_CONFIG), folder)
            asked = _some(demo_questions(), REQUESTS)
            made["embedded"] = Subject("embedded, 2.8 M, k=5", folder, asked, options.runs)
        return made["embedded"]

    def smollm2() -> Subject:
        return Subject("SmolLM2-135M, k=10", "demo", _some(facts_questions(), 128), options.runs)

    known = read(options.output)
    for name in names:
        say(f"{name} …")
        try:
            rows = parts[name]()
        except MismatchError as error:
            say(f"  REFUSED: {error}")
            return 1
        measured = f"{datetime.now(UTC):%Y-%m-%d %H:%M} UTC, load {os.getloadavg()[1]:.1f} on {os.cpu_count()} cores"
        known[name] = {"measured": measured, "rows": rows}
        write(options.output, known, machine.describe(torch.device("cpu")))
        say(table(rows))
    return 0


def _some(questions: Sequence[Question], count: int) -> list[str]:
    distinct = sorted({own.question for own in questions})
    return random.Random(0).sample(distinct, count)


def _latencies(found: Sequence[Response], seconds: float) -> Row:
    times = sorted(own.seconds for own in found)
    return {
        "requests": len(found),
        "requests/s": round(len(found) / seconds, 1),
        "p50 ms": _ms(median(times)),
        "p99 ms": _ms(times[int(0.99 * (len(times) - 1))]),
    }


def _seconds(job: Callable[[], object]) -> float:
    started = time.perf_counter()
    job()
    return time.perf_counter() - started


def _ms(seconds: float) -> int:
    return round(1000 * seconds)


def _mib(served: Served) -> int:
    return round(served.resident / 2**20)


if __name__ == "__main__":
    sys.exit(main())
