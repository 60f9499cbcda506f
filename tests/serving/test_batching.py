"""Questions of many clients on one thread: company, order, fairness, and what one bad question may do."""

import threading
from collections.abc import Sequence
from concurrent.futures import CancelledError
from dataclasses import dataclass, field
from typing import Any

import pytest

from aspire_llm.errors import ModelError
from aspire_llm.records import Question
from aspire_llm.serving.batching import Batcher, ClosedError, QueueFullError


@dataclass
class Prompt:
    question: Question

    @property
    def token_ids(self) -> tuple[int, ...]:
        return (0,) * len(self.question.question)


class Panic(BaseException):
    """As Rust's in Python: no Exception."""


@dataclass
class Slow:
    """A predictor that answers when it is let, and repeats the question."""

    batches: list[list[str]] = field(default_factory=list)
    go: threading.Event = field(default_factory=threading.Event)
    begun: threading.Event = field(default_factory=threading.Event)
    encoded: list[str] = field(default_factory=list)

    def encode(self, question: Question) -> Prompt:
        self.encoded.append(question.question)
        if question.question == "panic":
            raise Panic
        if question.question == "too long":
            raise ModelError("it is too long")
        return Prompt(question)

    def predict_prompts(self, prompts: Sequence[Prompt]) -> list[Any]:
        self.batches.append([own.question.question for own in prompts])
        self.begun.set()
        assert self.go.wait(10)
        if any(own.question.question == "panic later" for own in prompts):
            raise Panic
        if any(own.question.question == "broken" for own in prompts):
            raise RuntimeError("the model broke")
        return [own.question.question for own in prompts]


def questions(*texts: str) -> list[Question]:
    return [Question(text, text) for text in texts]


def batcher(predictor: Slow, **more: Any) -> Batcher:
    return Batcher(predictor, **{"max_waiting": 100, "max_batch": 3, "wait": 0.0, **more})  # type: ignore[arg-type]


def busy(**more: Any) -> tuple[Batcher, Slow]:
    """One that is at its first question, and will be until it is let go."""
    predictor = Slow()
    own = batcher(predictor, **more)
    own.submit(questions("first"))
    assert predictor.begun.wait(10)
    return own, predictor


def test_what_came_while_it_was_busy_is_answered_together() -> None:
    own, predictor = busy()
    futures = own.submit(questions("a", "b")) + own.submit(questions("c"))
    predictor.go.set()
    assert [future.result(10).prediction for future in futures] == ["a", "b", "c"]
    assert predictor.batches == [["first"], ["a", "b", "c"]]
    own.close()


def test_the_oldest_goes_first_with_those_of_its_length_and_none_starves() -> None:
    own, predictor = busy(max_batch=2)
    own.submit(questions("x" * 50, "s", "x" * 49, "t"))
    predictor.go.set()
    own.close()
    assert predictor.batches[1:] == [["x" * 50, "x" * 49], ["s", "t"]]


def test_a_lone_question_waits_for_company_no_longer_than_it_is_told() -> None:
    predictor = Slow()
    predictor.go.set()
    own = batcher(predictor, wait=0.5)
    first = own.submit(questions("a"))
    second = own.submit(questions("b"))
    assert [future.result(10).prediction for future in first + second] == ["a", "b"]
    assert predictor.batches == [["a", "b"]]
    own.close()


def test_a_bad_question_fails_alone() -> None:
    own, predictor = busy()
    futures = own.submit(questions("a", "too long", "broken"))
    predictor.go.set()
    assert futures[0].result(10).prediction == "a"
    with pytest.raises(ModelError, match="it is too long"):
        futures[1].result(10)
    with pytest.raises(RuntimeError, match="the model broke"):
        futures[2].result(10)
    own.close()
    assert own.pending == 0


def test_a_full_queue_takes_all_or_nothing() -> None:
    own, predictor = busy(max_waiting=3)
    with pytest.raises(QueueFullError):
        own.submit(questions("a", "b", "c"))
    taken = own.submit(questions("a", "b"))
    with pytest.raises(QueueFullError):
        own.submit(questions("c"))
    predictor.go.set()
    assert [future.result(10).prediction for future in taken] == ["a", "b"]
    own.close()


def test_a_question_that_is_given_up_is_not_answered_and_makes_room() -> None:
    own, predictor = busy(max_waiting=3)
    given_up, kept = own.submit(questions("a", "b"))
    assert given_up.cancel()
    predictor.go.set()
    assert kept.result(10).prediction == "b"
    own.close()
    assert predictor.batches == [["first"], ["b"]]
    with pytest.raises(CancelledError):
        given_up.result()
    assert own.pending == 0


def test_a_question_that_is_given_up_at_any_moment_makes_room(monkeypatch: pytest.MonkeyPatch) -> None:
    """Whoever else goes at the moment at which the batcher makes room for a question that was given up."""
    own, predictor = busy(max_batch=1, max_waiting=4)
    _, first, late = own.submit(questions("a", "b", "c"))
    forget = own._forget

    def forget_while_another_goes(done: Sequence[Any]) -> None:
        if any(waiting.future is first for waiting in done):
            late.cancel()
        forget(done)

    monkeypatch.setattr(own, "_forget", forget_while_another_goes)
    encode = predictor.encode

    def encode_while_one_goes(question: Question) -> Prompt:
        if question.id == "c":
            first.cancel()  # which is encoded already
        return encode(question)

    monkeypatch.setattr(predictor, "encode", encode_while_one_goes)
    predictor.go.set()
    own.close()
    assert late.cancelled()
    assert predictor.batches == [["first"], ["a"]]
    assert own.pending == 0


def test_closing_answers_what_was_taken_and_takes_no_more() -> None:
    own, predictor = busy()
    futures = own.submit(questions("a", "b", "c", "d"))
    closing = threading.Thread(target=own.close)
    closing.start()
    predictor.go.set()
    closing.join(10)
    assert [future.result(0).prediction for future in futures] == ["a", "b", "c", "d"]
    with pytest.raises(ClosedError):
        own.submit(questions("e"))


def test_a_panic_of_a_library_fails_one_question_and_ends_nothing() -> None:
    own, predictor = busy()
    futures = own.submit(questions("panic", "a")) + own.submit(questions("b", "panic later"))
    predictor.go.set()
    assert [futures[place].result(10).prediction for place in (1, 2)] == ["a", "b"]
    for place in (0, 3):
        with pytest.raises(Panic):
            futures[place].result(10)
    assert own.submit(questions("c"))[0].result(10).prediction == "c"
    own.close()
    assert own.pending == 0


def test_who_is_answered_may_ask_again_at_once() -> None:
    predictor = Slow()
    predictor.go.set()
    own = batcher(predictor, max_waiting=1)
    for place in range(200):
        answered = threading.Event()
        (future,) = own.submit(questions(str(place)))
        future.add_done_callback(lambda _, answered=answered: answered.set())
        assert answered.wait(10)
    own.close()


def test_what_is_given_up_before_it_is_encoded_costs_nothing() -> None:
    own, predictor = busy()
    (future,) = own.submit(questions("panic"))
    assert future.cancel()
    predictor.go.set()
    own.close()
    assert predictor.encoded == ["first"]
    assert own.pending == 0
