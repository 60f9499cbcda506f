"""Many clients at once: none lost, none another's answer, none left hanging, and memory that stays what it is."""

import asyncio
import random
import time
from collections.abc import Iterator, Sequence
from pathlib import Path
from statistics import median

import pytest
from serving.live import live

from aspire_llm import Prediction, RunConfig, SelectivePredictor, run
from aspire_llm.demo import demo_questions
from benchmarks.http_load import LOST, Connection, Response, Served, ask_all, is_answer, serving

_CLIENTS, _REQUESTS, _SOAK = 64, 2000, 30_000
_CONFIG = {
    "model": "demo",
    "data": {"name": "demo", "limit": 400},
    "stage1": {"num_soft_tokens": 10, "learning_rate": 0.1, "epochs": 2},
    "stage2": {"num_beams": 5, "max_new_tokens": 16, "batch_size": 32},
    "stage3": {"num_soft_tokens": 5, "learning_rate": 0.1, "epochs": 1},
}


def pianos(count: int) -> list[str]:
    return [f"Where was {'the old ' * (place % 5)}piano {place} built?" for place in range(count)]


def test_a_small_load_is_answered_and_each_client_gets_its_own(certified: Path) -> None:
    asked = pianos(48)
    expected = SelectivePredictor.load(certified).predict(asked)
    with live([certified]) as own:
        found = ask_all(own.url, asked, 16, candidates=1)
        assert [response.place for response in found] == list(range(48))
        assert all(map(is_answer, found, expected))
        swapped = [expected[1], expected[0], *expected[2:]]
        assert sum(map(is_answer, found, swapped)) < 48  # what is compared tells answers apart


def test_a_small_overload_is_refused_at_once(certified: Path) -> None:
    with live([certified], max_waiting=4) as own:
        found = ask_all(own.url, pianos(32), 16, candidates=1)
        assert statuses(found) == {200, 429}
        assert own.client.get("/health").status_code == 200
        assert own.metric('aspire_queue_questions{model_name="whole"}') == 0


class Embedded:
    """A run of the embedded model, questions to it, and what it answers offline."""

    def __init__(self, folder: Path) -> None:
        run(RunConfig.model_validate(_CONFIG), folder / "embedded")
        self.folder = folder
        self.predictor = SelectivePredictor.load(folder / "embedded")
        distinct = sorted({own.question for own in demo_questions()})
        self.questions = random.Random(0).sample(distinct, _REQUESTS)
        self.answers: Sequence[Prediction] = self.predictor.predict(self.questions)

    def seconds_alone(self) -> float:
        """Of a question in-process, one by one."""
        started = time.perf_counter()
        for question in self.questions[:50]:
            self.predictor.predict([question])
        return (time.perf_counter() - started) / 50

    def all_answered(self, served: Served) -> float:
        """All questions by all clients; how many seconds it took."""
        started = time.perf_counter()
        found = ask_all(served.url, self.questions, _CLIENTS, candidates=1)
        seconds = time.perf_counter() - started
        assert len(found) == _REQUESTS
        assert all(map(is_answer, found, self.answers))
        return seconds


@pytest.fixture(scope="module")
def embedded(tmp_path_factory: pytest.TempPathFactory) -> Embedded:
    return Embedded(tmp_path_factory.mktemp("load"))


@pytest.fixture
def served(embedded: Embedded) -> Iterator[Served]:
    with serving(embedded.folder / "embedded", embedded.folder / "server.log") as own:
        yield own


@pytest.mark.slow
def test_sixty_four_clients_get_three_times_what_one_by_one_gives(embedded: Embedded, served: Served) -> None:
    before = embedded.seconds_alone()
    seconds = embedded.all_answered(served) / _REQUESTS
    assert seconds * 3 <= (before + embedded.seconds_alone()) / 2


@pytest.mark.slow
def test_a_lone_request_takes_little_longer_than_in_process(embedded: Embedded, served: Served) -> None:
    ratios = []

    async def ask() -> None:
        async with Connection(served.url) as connection:
            for place, question in enumerate(embedded.questions[:200]):
                started = time.perf_counter()
                embedded.predictor.predict([question])
                alone = time.perf_counter() - started
                ratios.append((await connection.ask(place, question, {})).seconds / alone)

    asyncio.run(ask())
    assert median(ratios) <= 1.2


@pytest.mark.slow
def test_an_overload_is_told_so_and_hangs_nobody(embedded: Embedded) -> None:
    with serving(embedded.folder / "embedded", embedded.folder / "server.log", "--max-waiting", "32") as own:
        found = ask_all(own.url, embedded.questions, 128, candidates=1)
        assert statuses(found) == {200, 429}
        answered = [response for response in found if response.status == 200]
        assert all(is_answer(response, embedded.answers[response.place]) for response in answered)
        assert max(response.seconds for response in found) < 60
        again = ask_all(own.url, embedded.questions[:32], 32, candidates=1)
        assert statuses(again) == {200}


@pytest.mark.slow
def test_memory_stays_what_it_is(embedded: Embedded, served: Served) -> None:
    held = []
    for _ in range(_SOAK // _REQUESTS):
        embedded.all_answered(served)
        held.append(served.resident)
    assert held[-1] < 1.15 * held[0]  # the allocator of a process settles in its first thousands
    assert held[-1] < 1.03 * held[len(held) // 2 - 1]


def statuses(found: Sequence[Response]) -> set[int]:
    assert LOST not in {response.status for response in found}
    return {response.status for response in found}
