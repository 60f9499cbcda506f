"""A request on its way: taken, waited for as long as its client and its time last, and decided."""

import asyncio
from collections.abc import Sequence
from concurrent.futures import Future
from dataclasses import dataclass
from typing import Any

from starlette.requests import Request

from aspire_llm.data import as_question
from aspire_llm.data.asked import cleaned
from aspire_llm.data.validation import InvalidValueError
from aspire_llm.errors import AspireError, DataError, TooLongError
from aspire_llm.records import Prediction, Question
from aspire_llm.selection import DecisionRule
from aspire_llm.serving.batching import Answered, ClosedError, QueueFullError
from aspire_llm.serving.errors import ApiError, bad_request
from aspire_llm.serving.schema import Deciding, Options
from aspire_llm.serving.served_model import Choice, ServedModel


@dataclass(frozen=True, slots=True)
class Reply:
    """An answer as a request wants it.

    Attributes:
        prediction: By the rule of the request.
        rule: That decided.
        prompt_tokens: That the model read.
        candidates: How many hypotheses are shown.
        refusal: Whether an abstention stands in OpenAI's field for refusals.
    """

    prediction: Prediction
    rule: DecisionRule
    prompt_tokens: int
    candidates: int
    refusal: bool


class ClientGoneError(Exception):
    """Nobody waits for the answer any more."""


class Pending:
    """Questions that the model has taken; cancelled where they are not waited for to the end.

    Args:
        model: That answers.
        questions: All of one request, or why one of them cannot be put to any model.
        options: Of the request.
        timeout: Seconds from now after which it is given up.

    Raises:
        ApiError: An option cannot be kept, or there is no room for the questions.
    """

    def __init__(
        self, model: ServedModel, questions: Sequence[Question | AspireError], options: Deciding, timeout: float
    ) -> None:
        self._model, self._options = model, options
        self.rule = _rule(model, options)
        try:
            taken = iter(model.submit([own for own in questions if isinstance(own, Question)]))
        except QueueFullError as full:
            message = "too many questions wait already; try again later"
            raise ApiError(429, message, code="queue_full", retry_after=full.seconds) from full
        except ClosedError as closed:
            raise shutting_down() from closed
        self._deadline = asyncio.get_running_loop().time() + timeout
        self._timeout = timeout
        futures = (next(taken) if isinstance(own, Question) else _failed_with(own) for own in questions)
        self._all = asyncio.gather(*map(asyncio.wrap_future, futures), return_exceptions=True)
        self._all.add_done_callback(_take_note)

    def cancel(self) -> None:
        """Give up what is not being answered yet."""
        self._all.cancel()

    async def wait(self, seconds: float | None = None) -> bool:
        """Whether all is answered after so many seconds, or before; None: as long as there is time.

        Raises:
            ApiError: The time of the request is over.
        """
        left = max(0.0, self._deadline - asyncio.get_running_loop().time())
        await asyncio.wait([self._all], timeout=left if seconds is None else min(seconds, left))
        if not self._all.done() and (seconds is None or seconds >= left):
            self.cancel()
            raise ApiError(504, f"no answer within {self._timeout:g} seconds; try again later", code="timeout")
        return self._all.done()

    async def wait_with(self, request: Request, seconds: float | None = None) -> bool:
        """As `wait`, but no longer than the client is there.

        Raises:
            ClientGoneError: It has gone.
        """
        gone, answered = asyncio.ensure_future(_disconnected(request)), asyncio.ensure_future(self.wait(seconds))
        try:
            await asyncio.wait([gone, answered], return_when=asyncio.FIRST_COMPLETED)
            if not answered.done():
                raise ClientGoneError
            return answered.result()
        except BaseException:
            self.cancel()
            raise
        finally:
            gone.cancel()
            answered.cancel()

    def outcomes(self) -> list[Reply | AspireError]:
        """What became of each question.

        Raises:
            ApiError: The server failed at one that was in order.
        """
        return [self._outcome(found) for found in self._all.result()]

    def replies(self) -> list[Reply]:
        """All answers.

        Raises:
            ApiError: A question could not be put to the model.
        """
        return [_or_refuse(found) for found in self.outcomes()]

    def _outcome(self, found: Answered | BaseException) -> Reply | AspireError:
        if isinstance(found, AspireError):
            self._model.failed()
            return found
        if isinstance(found, BaseException):  # the batcher's log says more
            raise failed(self._model.name)
        prediction = self._model.decide(found, self.rule)
        refusal = isinstance(self._options, Options) and self._options.refusal
        return Reply(prediction, self.rule, found.prompt_tokens, self._options.candidates, refusal)


def readable(question: Question) -> Question | DataError:
    """The question as it is read from files, too, or why it is none."""
    try:
        return as_question(question)
    except DataError as error:
        return error


def clean(questions: Sequence[Question], param: str) -> list[Question]:
    """The questions as they are read from files, too.

    Raises:
        ApiError: One says nothing; `param` is the part of the request that holds them.
    """
    return [_clean(own, param if len(questions) == 1 else f"{param}[{i}]") for i, own in enumerate(questions)]


def _clean(question: Question, param: str) -> Question:
    try:
        return cleaned(question)
    except InvalidValueError as error:
        raise bad_request(f"{param}: {error}", param) from error


def shutting_down() -> ApiError:
    """What is said while the server ends."""
    return ApiError(503, "the server is shutting down", code="shutting_down", retry_after=5)


def failed(what: str) -> ApiError:
    """What is said of a fault of the server's own, which its log explains."""
    return ApiError(500, f"{what} failed; the server's log says more")


def _rule(model: ServedModel, options: Deciding) -> DecisionRule:
    if options.score not in (None, model.score):
        raise bad_request(
            f"run {model.name!r} decides by its {model.score} score, which its confidence is calibrated for; "
            f"{options.score!r} takes a run with score.kind: {options.score}",
            "score",
        )
    beams = model.stored.config.stage2.num_beams
    if options.candidates > beams:
        raise bad_request(
            f"candidates is {options.candidates}; the search of run {model.name!r} keeps {beams}", "candidates"
        )
    return model.rule(Choice(options.target_risk, options.per))


def _or_refuse(found: Reply | AspireError) -> Reply:
    if isinstance(found, TooLongError):
        raise ApiError(422, str(found), code="context_length_exceeded") from found
    if isinstance(found, AspireError):
        raise bad_request(str(found)) from found
    return found


def _failed_with(error: AspireError) -> "Future[Answered]":
    future: Future[Answered] = Future()
    future.set_exception(error)
    return future


def _take_note(future: "asyncio.Future[Any]") -> None:
    """Look at an outcome that nobody may come for, lest asyncio report it: what was given up is no error."""
    if not future.cancelled():
        future.exception()


async def _disconnected(request: Request) -> None:
    while (await request.receive())["type"] != "http.disconnect":
        pass
