"""A server with fixed answers that speaks as `aspire-llm serve` does, for tests of its page in a browser."""

import json
import threading
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any

import aspire_llm

PAGE = Path(aspire_llm.__file__).parent / "serving" / "page"
BELOW = "/models/"  # as behind a proxy: the page must not assume that it stands at the root
TYPES = {".html": "text/html", ".css": "text/css", ".js": "text/javascript"}
POLICY = (
    "default-src 'none'; script-src 'self'; style-src 'self'; connect-src 'self'; img-src 'self' data:; "
    "base-uri 'none'; form-action 'none'; frame-ancestors 'none'"
)
MAX_QUESTIONS = 3

Json = dict[str, Any]


def _target(risk: float, coverage: float | None) -> Json:
    """A target of the cards below; without a coverage it is not certified."""
    what = f"at most {100 * risk:g}% of the answered ones are wrong, with 95% certainty"
    sentence = (
        f"Of questions like the 400 calibration questions, {what}; {100 * coverage:.0f}% are answered."
        if coverage is not None
        else f"At most {100 * risk:g}% wrong answers cannot be certified with 95% certainty: 400 independent questions "
        "are too few to tell; the lowest target these questions certify is about 4%; about 1,478 calibration "
        "questions like these would do."
    )
    certified = coverage is not None
    return {"target_risk": risk, "delta": 0.05, "certified": certified, "coverage": coverage, "sentence": sentence}


def _curve() -> list[Json]:
    """From 98% right among the surest to 58% right among all."""
    return [{"coverage": i / 20, "accuracy": 0.98 - 0.4 * (i / 20) ** 1.8} for i in range(1, 21)]


def _drift(what: str, evidence: float, peak: float, alarm: bool) -> Json:
    return {"what": what, "evidence": evidence, "peak": peak, "alarm": alarm, "questions": 1204}


FACTS: Json = {
    "name": "facts",
    "model": "SmolLM2-135M-Instruct",
    "parameters": 134_515_008,
    "data": "facts.jsonl",
    "questions": {"train": 500, "validation": 200, "calibration": 400, "test": 1000},
    "score": "fused",
    "n": 1000,
    "accuracy": 0.58,
    "auroc": 0.8734,
    "answered": {"share": 0.61, "accuracy": 0.82},
    "ece": 0.0312,
    "abstain_below": 0.5,
    "own_target": None,
    "caveats": ["every answer is withheld for a target of 1%"],
    "max_candidates": 10,
    "max_questions": MAX_QUESTIONS,
    "targets": [_target(0.01, None), _target(0.05, 0.24), _target(0.1, 0.42), _target(0.2, 0.67)],
    "curve": _curve(),
    "drift": [_drift("scores", 0.62, 1.41, False), _drift("questions", 3.1e8, 4.2e8, True)],
    "abstention": "I don't know",
}
# Nothing was measured, nothing certified.
BARE: Json = FACTS | {
    "name": "bare",
    "parameters": None,
    "score": "aspire",
    "n": None,
    "accuracy": None,
    "auroc": None,
    "answered": None,
    "ece": None,
    "caveats": ["no calibration (all answers are right): nothing can be vouched for, and confidence is null"],
    "max_candidates": 2,
    "targets": [],
    "curve": [],
    "drift": [],
}


def _candidates(*texts: str) -> list[Json]:
    return [
        {"text": text, "log_likelihood": -0.21 - 0.9 * place, "selection_score": 1.31 - 1.7 * place}
        for place, text in enumerate(texts)
    ]


def _withheld(reason: str, why: str, confidence: float | None) -> Json:
    return {
        "answer": None,
        "text": FACTS["abstention"],
        "abstained": True,
        "reason": reason,
        "why": why,
        "confidence": confidence,
        "selection_score": -0.74,
        "candidates": _candidates("Mongolia", "China", "Kyrgyzstan"),
    }


_GIVEN: Json = {
    "answer": "Austria",
    "text": "Austria",
    "abstained": False,
    "reason": "sure_enough",
    "why": "confidence 0.82 is at least 0.50",
    "confidence": 0.8237,
    "selection_score": 1.31,
    "threshold": {"of": "confidence", "value": 0.5, "confidence": 0.5},
    "novelty": 0.6271,
    "context_cut": False,
    "guarantee": None,
    "candidates": _candidates("Austria", "Germany", "Switzerland", "Hungary", "the Republic of Austria"),
    "error": None,
}
ANSWERS: Mapping[str, Json] = {
    "In which country is Graz?": _GIVEN,
    "In which country is Bayan-Ovoo?": _GIVEN | _withheld("below_threshold", "confidence 0.31 is below 0.50", 0.3128),
    "What is love?": _GIVEN
    | _withheld("novel_question", "the question is unlike the calibration questions (p = 0.0025 < 0.01)", 0.7134)
    | {"novelty": 0.0025},
    "Just below?": _GIVEN | _withheld("below_threshold", "confidence 0.50 is below 0.50", 0.4982),
    "Nearly certain?": _GIVEN
    | {"confidence": 0.9968, "threshold": {"of": "selection_score", "value": 0.194, "confidence": None}},
    "Uncalibrated?": _GIVEN
    | {
        "reason": "no_calibration",
        "why": "no calibration: nothing can be vouched for",
        "confidence": None,
        "threshold": None,
        "novelty": None,
        "context_cut": True,
        "candidates": [],
    },
    "<b>bold</b> & <script>alert(1)</script>": _GIVEN | {"text": "<i>not</i> italic", "answer": "<i>not</i> italic"},
    "=1+1": _GIVEN | {"text": '=2,"two"', "answer": '=2,"two"', "selection_score": -1.25},
    "Too long?": _GIVEN
    | {"answer": None, "text": "", "reason": None, "why": "", "confidence": None, "threshold": None, "candidates": []}
    | {"abstained": True, "error": "the prompt has 3,021 tokens and the model takes 2,048"},
}


def answer(asked: Json, card: Json, risk: float | None, candidates: int) -> Json:
    """What this server says of a question; of one it does not know, what it says of Graz."""
    own = ANSWERS.get(asked["question"], _GIVEN) | {"id": asked.get("id", "0"), "question": asked["question"]}
    own["candidates"] = own["candidates"][:candidates]
    if risk is not None and own["confidence"] is not None:
        target = next(target for target in card["targets"] if target["target_risk"] == risk)
        own["guarantee"] = {key: target[key] for key in ("target_risk", "delta", "sentence")}
        own["threshold"] = {"of": "selection_score", "value": 0.194, "confidence": 0.66}
        side = "below" if own["abstained"] else "at least"
        own["why"] = (
            f"score {own['selection_score']:.3f} is {side} 0.194, which is certified for at most {100 * risk:g}% "
            "wrong answers"
        )
    return own


@dataclass
class StandIn:
    """The server, what it was asked, and what it is to do wrong.

    Attributes:
        origin: Where it is.
        url: Of the page.
        cards: Of the runs that it has.
        asked: The bodies of all requests to answer, in their order.
        failures: Status, error and seconds to wait of the next requests, the next one first.
        held: What requests to answer wait for, so that a test can look at the page while they do.
    """

    origin: str = ""
    url: str = ""
    cards: Sequence[Json] = (FACTS,)
    asked: list[Json] = field(default_factory=list)
    failures: list[tuple[int, Json, int]] = field(default_factory=list)
    held: threading.Event = field(default_factory=threading.Event)

    def reset(self) -> None:
        """As at first."""
        self.cards = (FACTS,)
        self.asked.clear()
        self.failures.clear()
        self.held.set()

    def fail(self, status: int, message: str, *, param: str | None = None, seconds: int = 1) -> None:
        """Answer one more of the next requests with an error."""
        error = {"message": message, "type": "error", "param": param, "code": None}
        self.failures.append((status, {"error": error}, seconds))


@contextmanager
def stand_in() -> Iterator[StandIn]:
    """The server, on a free port of this machine."""
    state = StandIn()
    state.reset()
    server = ThreadingHTTPServer(("127.0.0.1", 0), _handler(state))
    server.daemon_threads = True
    state.origin = f"http://127.0.0.1:{server.server_port}"
    state.url = state.origin + BELOW
    thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.02})
    thread.start()
    yield state
    server.shutdown()
    server.server_close()
    thread.join()


def _handler(state: StandIn) -> type[BaseHTTPRequestHandler]:
    class Handler(BaseHTTPRequestHandler):
        protocol_version = "HTTP/1.1"

        def do_GET(self) -> None:
            path = self.path.removeprefix(BELOW)
            if path == "v1/runs":
                self._answer({"runs": list(state.cards)})
                return
            file = PAGE / (path.removeprefix("page/") or "index.html")
            if file.is_file():
                self._send(200, file.read_bytes(), TYPES[file.suffix])
            else:
                self._send(404, b"", "text/plain")

        def do_POST(self) -> None:
            body = json.loads(self.rfile.read(int(self.headers["Content-Length"])))
            state.asked.append(body)
            state.held.wait(10)
            card = next(own for own in state.cards if own["name"] == body["model"])
            assert self.path == f"{BELOW}v1/answer"
            assert len(body["questions"]) <= card["max_questions"]
            assert body["candidates"] <= card["max_candidates"]
            rest = (card, body["target_risk"], body["candidates"])
            self._answer({"model": card["name"], "answers": [answer(own, *rest) for own in body["questions"]]})

        def _answer(self, content: Json) -> None:
            """The content, or the next failure."""
            status, content, seconds = state.failures.pop(0) if state.failures else (200, content, 0)
            self._send(status, json.dumps(content).encode(), "application/json", seconds)

        def _send(self, status: int, content: bytes, kind: str, seconds: int = 0) -> None:
            try:
                self.send_response(status)
                self.send_header("Content-Type", f"{kind}; charset=utf-8")
                self.send_header("Content-Length", str(len(content)))
                self.send_header("Content-Security-Policy", POLICY)
                if seconds:
                    self.send_header("Retry-After", str(seconds))
                self.end_headers()
                self.wfile.write(content)
            except ConnectionError:
                return  # the page has stopped waiting

        def log_message(self, format: str, *args: object) -> None:
            """Nothing is printed."""

    return Handler
