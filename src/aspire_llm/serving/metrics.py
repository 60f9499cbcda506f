"""What Prometheus reads of a server. Every series is of one run, told by `model_name`."""

import math
from collections import deque
from collections.abc import Sequence

from prometheus_client import CollectorRegistry, Counter, Gauge, Histogram, generate_latest

from aspire_llm.records import Prediction, Reason
from aspire_llm.serving.live_watch import LiveWatch

_RECENT = 1000  # questions that rates are of
_SECONDS = (0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 5.0, 10.0, 30.0, 60.0)
_TENTHS = tuple(tenth / 10 for tenth in range(1, 11))
_SIZES = (1, 2, 4, 8, 16, 32, 64, 128)


class Metrics:
    """The series of all runs of a server."""

    def __init__(self) -> None:
        self._registry = CollectorRegistry()
        self._requests = Counter(
            "aspire_requests_total",
            "Requests by path and status",
            ("model_name", "path", "status"),
            registry=self._registry,
        )
        self._request_seconds = self._histogram("aspire_request_seconds", "Seconds from request to response", _SECONDS)
        self._questions = Counter(
            "aspire_questions_total",
            "Questions by outcome: answered, abstained, failed",
            ("model_name", "outcome"),
            registry=self._registry,
        )
        self._confidence = self._histogram("aspire_confidence", "Calibrated confidence of answers", _TENTHS)
        self._batch_size = self._histogram("aspire_batch_size", "Questions answered together", _SIZES)
        self._queue = self._gauge("aspire_queue_questions", "Questions that wait or are being answered")
        self._abstention = self._gauge("aspire_abstention_rate", f"Share withheld of the last {_RECENT} questions")
        self._novel = self._gauge("aspire_novel_rate", f"Share withheld as novel of the last {_RECENT} questions")
        self._drift = self._gauge(
            "aspire_drift_log_evidence", "ln of the evidence that live values have shifted, above 4.6 an alarm", "what"
        )
        self._alarm = self._gauge("aspire_drift_alarm", "1 once the evidence was beyond its level", "what")
        self._recent: dict[str, deque[Reason | None]] = {}

    def request(self, model_name: str, path: str, status: int, seconds: float) -> None:
        """A response was sent."""
        self._requests.labels(model_name, path, str(status)).inc()
        self._request_seconds.labels(model_name).observe(seconds)

    def batch(self, model_name: str, size: int) -> None:
        """A batch was answered."""
        self._batch_size.labels(model_name).observe(size)

    def failed(self, model_name: str) -> None:
        """A question could not be put to the model."""
        self._questions.labels(model_name, "failed").inc()

    def prediction(self, model_name: str, prediction: Prediction) -> None:
        """A question was answered, or the answer withheld."""
        self._questions.labels(model_name, "abstained" if prediction.abstained else "answered").inc()
        if prediction.confidence is not None:
            self._confidence.labels(model_name).observe(prediction.confidence)
        withheld = prediction.reason if prediction.abstained else None
        recent = self._recent.setdefault(model_name, deque(maxlen=_RECENT))
        recent.append(withheld)
        self._abstention.labels(model_name).set(_share(recent, [own for own in recent if own is not None]))
        self._novel.labels(model_name).set(_share(recent, [own for own in recent if own is Reason.NOVEL_QUESTION]))

    def state(self, model_name: str, pending: int, watch: LiveWatch) -> None:
        """What is looked at when somebody asks."""
        self._queue.labels(model_name).set(pending)
        for what, stream in watch.streams.items():
            self._drift.labels(model_name, what).set(stream.log_evidence)
            self._alarm.labels(model_name, what).set(stream.alarm)

    def text(self) -> bytes:
        """All series, in Prometheus' format."""
        return generate_latest(self._registry)

    def _histogram(self, name: str, about: str, bounds: Sequence[float]) -> Histogram:
        return Histogram(name, about, ("model_name",), buckets=(*bounds, math.inf), registry=self._registry)

    def _gauge(self, name: str, about: str, *labels: str) -> Gauge:
        return Gauge(name, about, ("model_name", *labels), registry=self._registry)


def _share(of: Sequence[object] | deque[Reason | None], part: Sequence[object]) -> float:
    return len(part) / len(of)
