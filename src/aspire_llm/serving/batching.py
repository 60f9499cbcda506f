"""Questions of many clients, answered together: a thread that takes what has come while it was busy.

A batch begins with the question that has waited longest, so none starves, and is filled with those of the most similar
length, so little is padding. A lone question waits `batch_wait` seconds for company, no longer.
"""

import logging
import threading
import time
from collections import deque
from collections.abc import Callable, Sequence
from concurrent.futures import Future
from dataclasses import dataclass, field

from aspire_llm.errors import AspireError
from aspire_llm.lm.memory import give_back_freed
from aspire_llm.lm.tokenization import EncodedPrompt
from aspire_llm.predictor import SelectivePredictor
from aspire_llm.records import Prediction, Question

_logger = logging.getLogger(__name__)
_SMOOTHING = 0.2  # of the time a question takes
_BATCHES_BETWEEN_TRIMS = 100


class QueueFullError(Exception):
    """There are too many questions already.

    Attributes:
        seconds: After which there will be room, as it seems.
    """

    def __init__(self, seconds: float) -> None:
        super().__init__(f"about {seconds:.1f} seconds of work wait")
        self.seconds = seconds


class ClosedError(Exception):
    """No question is taken any more."""


@dataclass(frozen=True, slots=True)
class Answered:
    """What became of a question.

    Attributes:
        prediction: By the run's own rule.
        prompt_tokens: That the model read.
    """

    prediction: Prediction
    prompt_tokens: int


@dataclass(slots=True, eq=False)
class _Waiting:
    question: Question
    since: float
    future: "Future[Answered]" = field(default_factory=Future)
    prompt: EncodedPrompt | None = None

    @property
    def length(self) -> int:
        return len(self.prompt.token_ids) if self.prompt else 0


class Batcher:
    """Answers questions on a thread of its own.

    Args:
        predictor: Answers them.
        max_waiting: Questions that may wait.
        max_batch: Questions that are answered together.
        wait: Seconds that a question waits for company, at most.
        on_batch: Is told the size of every batch, on the thread.
    """

    def __init__(
        self,
        predictor: SelectivePredictor,
        *,
        max_waiting: int,
        max_batch: int,
        wait: float,
        on_batch: Callable[[int], None] = lambda size: None,
    ) -> None:
        self._predictor, self._on_batch = predictor, on_batch
        self._max_waiting, self._max_batch, self._wait = max_waiting, max_batch, wait
        self._arrived: deque[_Waiting] = deque()
        self._ready: list[_Waiting] = []  # encoded, oldest first; of the thread alone
        self._pending = 0  # taken, and neither answered nor given up
        self._seconds = 0.0  # that a question takes, smoothed
        self._closed = False
        self._changed = threading.Condition()
        self._thread = threading.Thread(target=self._work, name="batcher", daemon=True)
        self._thread.start()

    @property
    def pending(self) -> int:
        """Questions that wait, or are being answered."""
        return self._pending

    def submit(self, questions: Sequence[Question]) -> "list[Future[Answered]]":
        """Take questions, all or none; a future that is cancelled gives its question up.

        Returns:
            What becomes of each; its exception is the `AspireError` of a question that cannot be put to the model.

        Raises:
            QueueFullError: There is no room for all of them.
            ClosedError: After `close`.
        """
        now = time.monotonic()
        taken = [_Waiting(question, now) for question in questions]
        with self._changed:
            if self._closed:
                raise ClosedError
            if self._pending + len(taken) > self._max_waiting:
                raise QueueFullError(self._pending * self._seconds)
            self._pending += len(taken)
            self._arrived.extend(taken)
            self._changed.notify()
        return [own.future for own in taken]

    def close(self) -> None:
        """Answer what was taken, take no more, and return when that is done."""
        with self._changed:
            self._closed = True
            self._changed.notify()
        self._thread.join()

    def _work(self) -> None:
        batches = 0
        while self._gather():
            self._encode()
            batch = self._next_batch()
            if batch:
                self._answer(batch)
                self._on_batch(len(batch))
                batches += 1
                if batches % _BATCHES_BETWEEN_TRIMS == 0:  # pieces that batches of other sizes left do not add up
                    give_back_freed()

    def _gather(self) -> bool:
        """Wait for questions, and a moment for company; False when there will be none."""
        with self._changed:
            self._changed.wait_for(lambda: self._arrived or self._ready or self._closed)
            if not self._ready and self._arrived:
                left = self._arrived[0].since + self._wait - time.monotonic()
                self._changed.wait_for(lambda: len(self._arrived) >= self._max_batch or self._closed, max(0.0, left))
            return bool(self._arrived or self._ready)

    def _encode(self) -> None:
        """Tokenize what has arrived; whatever cannot be put to the model is told so."""
        with self._changed:
            arrived = list(self._arrived)
            self._arrived.clear()
        for own in arrived:
            if own.future.cancelled():
                self._forget([own])
                continue
            try:
                own.prompt = self._predictor.encode(own.question)
            except BaseException as error:  # a panic of the tokenizer's is no Exception
                if not isinstance(error, AspireError):
                    _logger.exception("a question could not be encoded")
                self._forget([own])
                if own.future.set_running_or_notify_cancel():
                    own.future.set_exception(error)
            else:
                self._ready.append(own)

    def _next_batch(self) -> list[_Waiting]:
        """The question that has waited longest, and those of the most similar length."""
        given_up = {id(own) for own in self._ready if own.future.cancelled()}  # seen once: another may be, any time
        self._forget([own for own in self._ready if id(own) in given_up])
        self._ready = [own for own in self._ready if id(own) not in given_up]
        if not self._ready:
            return []
        first = self._ready[0]
        nearest = sorted(self._ready[1:], key=lambda own: abs(own.length - first.length))
        batch = [first, *nearest[: self._max_batch - 1]]
        chosen = set(map(id, batch))
        self._ready = [own for own in self._ready if id(own) not in chosen]
        running = [own for own in batch if own.future.set_running_or_notify_cancel()]
        self._forget([own for own in batch if own not in running])
        return running

    def _answer(self, batch: Sequence[_Waiting]) -> None:
        """Answer a batch; where that fails, each question by itself, so that one fails alone."""
        prompts = [own.prompt for own in batch if own.prompt]
        started = time.monotonic()
        try:
            predictions = self._predictor.predict_prompts(prompts)
            answered = [Answered(found, own.length) for own, found in zip(batch, predictions, strict=True)]
        except BaseException as error:
            if len(batch) > 1:
                for own in batch:
                    self._answer([own])
                return
            _logger.exception("a question could not be answered")
            self._forget(batch)
            batch[0].future.set_exception(error)
            return
        seconds = (time.monotonic() - started) / len(batch)
        self._seconds = seconds if not self._seconds else (1 - _SMOOTHING) * self._seconds + _SMOOTHING * seconds
        self._forget(batch)  # first: who is answered may ask again at once
        for own, outcome in zip(batch, answered, strict=True):
            own.future.set_result(outcome)

    def _forget(self, done: Sequence[_Waiting]) -> None:
        with self._changed:
            self._pending -= len(done)
