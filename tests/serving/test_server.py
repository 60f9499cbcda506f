"""A server from its first request to its last answer: rows, runs, metrics, limits, waiting and ending."""

import gc
import json
import logging
import os
import shutil
import signal
import socket
import subprocess
import sys
import threading
import time
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import httpx2
import pytest
from serving.live import Live, live

from aspire_llm import SelectivePredictor
from aspire_llm.cli import main
from aspire_llm.config_files import with_changes
from aspire_llm.errors import ConfigError, ModelError
from aspire_llm.records import Prediction, Question
from aspire_llm.rundir.directory import RunDirectory
from aspire_llm.serving.server import Server, serve
from aspire_llm.serving.settings import ServerSettings

QUESTIONS = [f"Where was {'the old ' * (place % 3)}piano {place} built?" for place in range(12)]


@pytest.fixture(scope="module")
def expected(certified: Path) -> list[Prediction]:
    return SelectivePredictor.load(certified).predict(QUESTIONS)


def slow(monkeypatch: pytest.MonkeyPatch, seconds: float) -> None:
    """Let every batch take so long."""
    predict = SelectivePredictor.predict_prompts

    def slowly(self: SelectivePredictor, prompts: Any, **more: Any) -> list[Prediction]:
        time.sleep(seconds)
        return predict(self, prompts, **more)

    monkeypatch.setattr(SelectivePredictor, "predict_prompts", slowly)


def test_a_batch_comes_back_in_order_with_the_bad_ones_named(served: Live, expected: list[Prediction]) -> None:
    asked: list[Any] = [*QUESTIONS]
    asked.insert(3, {"question": "Who? " * 300, "id": "long"})
    answers = served.post("/v1/answer", model="whole", questions=asked, candidates=2).json()["answers"]
    assert (answers[3]["id"], answers[3]["answer"], answers[3]["abstained"]) == ("long", None, True)
    assert "tokens" in answers[3]["error"]
    assert set(answers[3]) == set(answers[0])
    del answers[3]
    for row, prediction in zip(answers, expected, strict=True):
        assert (row["answer"], row["text"]) == (prediction.answer, prediction.text)
        assert row["selection_score"] == pytest.approx(prediction.scored.selection_score, abs=1e-4)
        assert [own["text"] for own in row["candidates"]] == [own.text for own in prediction.scored.evidence.beams[:2]]
        assert row["error"] is None


def test_context_and_history_are_those_of_the_predictor(served: Live, certified: Path) -> None:
    history = (("Who built it?", "Ada"),)
    (own,) = SelectivePredictor.load(certified).predict(
        [Question("x", "Where?", context="The piano was built in Rome.", history=history)]
    )
    turns = [{"question": asked, "answer": answer} for asked, answer in history]
    question = {"question": "Where?", "context": own.question.context, "history": turns, "id": "x"}
    (row,) = served.post("/v1/answer", questions=[question]).json()["answers"]
    assert row["selection_score"] == pytest.approx(own.scored.selection_score, abs=1e-4)
    messages = [
        {"role": "system", "content": own.question.context},
        {"role": "user", "content": "Who built it?"},
        {"role": "assistant", "content": "Ada"},
        {"role": "user", "content": "Where?"},
    ]
    choice = served.post("/v1/chat/completions", messages=messages).json()["choices"][0]
    assert choice["aspire"]["selection_score"] == pytest.approx(own.scored.selection_score, abs=1e-4)


def test_a_certified_target_decides(served: Live, certified: Path, expected: list[Prediction]) -> None:
    predictor = SelectivePredictor.load(certified)
    for risk in (0.01, 0.99):
        rows = served.post("/v1/answer", questions=QUESTIONS, target_risk=risk).json()["answers"]
        known = predictor.predict(QUESTIONS, target_risk=risk)
        assert [row["abstained"] for row in rows] == [own.abstained for own in known]
        assert [row["reason"] for row in rows] == [own.reason for own in known]
        assert {row["guarantee"]["target_risk"] for row in rows} == {risk}
    assert not all(row["abstained"] for row in rows)


def test_runs_tell_what_they_are(served: Live) -> None:
    (card,) = served.client.get("/v1/runs").json()["runs"]
    assert (card["name"], card["score"], card["max_questions"]) == ("whole", "aspire", 256)
    targets = {own["target_risk"]: own["certified"] for own in card["targets"]}
    assert targets[0.01] is False
    assert targets[0.99] is True
    assert list(targets) == sorted(targets)
    assert card["curve"][-1] == {"coverage": 1.0, "accuracy": pytest.approx(card["accuracy"])}
    assert {own["what"] for own in card["drift"]} <= {"scores", "questions"}
    assert (card["own_target"], card["abstain_below"]) == (None, 0.5)


def test_a_run_tells_of_a_target_of_its_own(certified: Path, tmp_path: Path) -> None:
    run = shutil.copytree(certified, tmp_path / "own")
    config = with_changes(RunDirectory.open(run).config, [("score.target_risk", 0.99)])
    (run / "config.yaml").write_text(config.to_yaml(), encoding="utf-8")
    with live([run]) as own:
        (card,) = own.client.get("/v1/runs").json()["runs"]
        (row,) = own.post("/v1/answer", questions=["Where was piano 3 built?"]).json()["answers"]
    assert (card["own_target"], card["abstain_below"]) == (0.99, None)
    assert row["guarantee"]["target_risk"] == 0.99


def test_metrics_count_what_happened(served: Live) -> None:
    answered = 'aspire_questions_total{model_name="whole",outcome="failed"}'
    served.chat("Where was piano 3 built?")
    served.chat("Who? " * 300)
    before = served.metric(answered)
    served.chat("Who? " * 300)
    assert served.metric(answered) == before + 1
    assert served.metric('aspire_queue_questions{model_name="whole"}') == 0
    assert 0 <= served.metric('aspire_abstention_rate{model_name="whole"}') <= 1
    assert served.metric('aspire_requests_total{model_name="whole",path="/v1/chat/completions",status="422"}') >= 2
    assert "aspire_drift_log_evidence" in served.client.get("/metrics").text
    served.client.get("/v1/strange-name")
    assert "strange" not in served.client.get("/metrics").text


def test_the_documentation_needs_no_network(served: Live) -> None:
    page = served.client.get("/docs").text
    assert "//" not in page.replace("<!doctype", "")
    for name in ("swagger-ui.css", "swagger-ui-bundle.js", "start.js"):
        assert served.client.get(f"/docs/{name}").status_code == 200
    assert served.client.get("/docs/../server.py").status_code == 404
    assert "/v1/answer" in served.client.get("/openapi.json").json()["paths"]


def test_runs_that_share_a_model_share_its_weights_and_answer_as_alone(
    certified: Path, finished: Path, tmp_path: Path, expected: list[Prediction]
) -> None:
    other = tmp_path / "other"
    shutil.copytree(finished, other)
    with live([certified, other]) as own:
        models = own.server.shelf.models
        assert models["whole"].predictor.model.backbone is models["other"].predictor.model.backbone
        for name in ("whole", "other"):
            rows = own.post("/v1/answer", model=name, questions=QUESTIONS).json()["answers"]
            assert [row["text"] for row in rows] == [known.text for known in expected]
        unnamed = own.post("/v1/answer", questions=QUESTIONS)
        assert (unnamed.status_code, unnamed.json()["error"]["param"]) == (400, "model")


def test_many_clients_get_their_own_answers(served: Live, expected: list[Prediction]) -> None:
    def ask(place: int) -> str:
        own = place % len(QUESTIONS)
        response = served.chat(QUESTIONS[own])
        assert response.status_code == 200
        assert response.json()["choices"][0]["message"]["content"] == expected[own].text
        return response.headers["x-request-id"]

    with ThreadPoolExecutor(16) as pool:
        assert len(set(pool.map(ask, range(96)))) == 96


def test_a_full_queue_says_when_to_come_back(certified: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    slow(monkeypatch, 0.3)
    with live([certified], max_waiting=4) as own, ThreadPoolExecutor(12) as pool:
        found = list(pool.map(lambda place: own.chat(QUESTIONS[place % 12]), range(12)))
        statuses = sorted(response.status_code for response in found)
        refused = [response for response in found if response.status_code == 429]
        assert statuses == [200] * (12 - len(refused)) + [429] * len(refused)
        assert 0 < len(refused) < 12
        assert all(int(response.headers["retry-after"]) >= 1 for response in refused)
        assert own.post("/v1/answer", questions=["Who?"] * 300).status_code == 413
        assert own.post("/v1/answer", questions=["Who?"] * 5).status_code == 413  # an idle server has no room, either
        assert own.post("/v1/answer", questions=["Who?"] * 4).status_code == 200


def test_a_request_that_takes_too_long_is_given_up(certified: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    slow(monkeypatch, 0.5)
    with live([certified], timeout=0.1) as own:
        response = own.chat(QUESTIONS[0])
        assert (response.status_code, response.json()["error"]["code"]) == (504, "timeout")
        streamed = own.chat(QUESTIONS[0], stream=True)
        assert streamed.status_code == 504


def test_a_client_that_goes_takes_its_questions_with_it(certified: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    slow(monkeypatch, 0.4)
    with live([certified], max_batch=1) as own:
        waiting = threading.Thread(target=own.chat, args=(QUESTIONS[0],))
        waiting.start()
        batcher = own.server.shelf.models["whole"].batcher
        _until(lambda: batcher.pending == 1)
        with pytest.raises(httpx2.TimeoutException):
            httpx2.post(f"{own.url}/v1/answer", json={"questions": QUESTIONS}, timeout=0.1)
        _until(lambda: batcher.pending <= 1)
        waiting.join()


def test_what_breaks_is_a_500_that_leaks_nothing(certified: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def broken(self: SelectivePredictor, prompts: Any, **more: Any) -> list[Prediction]:
        raise RuntimeError("a secret of the model")

    with live([certified]) as own:
        monkeypatch.setattr(SelectivePredictor, "predict_prompts", broken)
        response = own.chat(QUESTIONS[0], stream=False)
        assert (response.status_code, response.json()["error"]["type"]) == (500, "server_error")
        assert "secret" not in response.text
        assert own.client.get("/health").status_code == 200


def test_a_run_that_cannot_be_served_is_one_line(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["serve", str(tmp_path), "--port", "0"]) == 2
    assert capsys.readouterr().err.count("\n") == 1
    (tmp_path / "a" / "run").mkdir(parents=True)
    assert main(["serve", str(tmp_path / "a" / "run"), str(tmp_path / "run"), "--port", "0"]) == 2


def test_the_model_has_answered_before_it_is_said_to_be_there(certified: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Else the first request takes several times as long as the second."""
    answered, predict = list[int](), SelectivePredictor.predict_prompts

    def counted(self: SelectivePredictor, prompts: Any, **more: Any) -> list[Prediction]:
        answered.append(len(prompts))
        return predict(self, prompts, **more)

    monkeypatch.setattr(SelectivePredictor, "predict_prompts", counted)
    with live([certified]) as own:
        assert answered == [1]
        assert "aspire_questions_total{" not in own.client.get("/metrics").text  # nobody asked


def test_ctrl_c_is_an_end_and_not_an_interruption(
    certified: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    def interrupted(_: Server) -> None:
        raise KeyboardInterrupt

    monkeypatch.setattr("aspire_llm.serving.server._log_to_stderr", lambda: None)  # the test's own is closed later
    monkeypatch.setattr(Server, "run", interrupted)
    assert main(["serve", str(certified), "--port", "0"]) == 0
    assert "goes on from here" not in capsys.readouterr().err


def test_a_log_of_the_program_goes_on_behind_a_server(certified: Path, tmp_path: Path) -> None:
    log = logging.FileHandler(tmp_path / "log")
    stream = log.stream
    Server([certified], ServerSettings(port=0))
    assert not stream.closed
    log.close()


def test_head_is_get_without_a_body(served: Live) -> None:
    for path, status in (("/", 200), ("/health", 200), ("/v1/models", 200), ("/nothing", 404), ("/v1/answer", 405)):
        head = served.client.head(path)
        assert (head.status_code, head.content) == (status, b"")
        assert served.client.get(path).status_code == status


def test_sigterm_under_load_loses_nothing_that_was_accepted(certified: Path, expected: list[Prediction]) -> None:
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    command = [sys.executable, "-m", "aspire_llm.cli", "serve", str(certified), "--port", str(port), "--max-batch", "2"]
    url, outcomes = f"http://127.0.0.1:{port}", list[str]()

    def ask(place: int) -> None:
        try:
            response = client.post("/v1/answer", json={"questions": [QUESTIONS[place % 12]]})
        except (httpx2.ConnectError, httpx2.ReadError, httpx2.RemoteProtocolError):
            # Refused, dropped by the kernel with the listening socket, or closed before its request was read: what was
            # read stands in the log, whose lines are counted below.
            outcomes.append("not accepted")
            return
        if response.status_code == 503:
            outcomes.append("told so")
            return
        assert response.json()["answers"][0]["text"] == expected[place % 12].text
        outcomes.append("answered")

    one_each = httpx2.Limits(max_keepalive_connections=0)
    with (
        httpx2.Client(base_url=url, timeout=60, limits=one_each) as client,
        subprocess.Popen(command, stderr=subprocess.PIPE, text=True, env=os.environ) as server,
    ):
        assert server.stderr is not None
        _until(lambda: _status(client, "/health") == 200, seconds=60)
        with ThreadPoolExecutor(24) as pool:
            futures = [pool.submit(ask, place) for place in range(96)]
            _until(lambda: outcomes.count("answered") >= 12)
            server.send_signal(signal.SIGTERM)
            for future in futures:
                future.result()
        log = server.stderr.read()
        assert server.wait(60) in (0, -signal.SIGTERM)
    assert len(outcomes) == 96
    accepted = [line["status"] for line in map(_json, log.splitlines()) if line.get("path") == "/v1/answer"]
    assert accepted.count(200) == outcomes.count("answered")
    assert len(accepted) == 96 - outcomes.count("not accepted")


def _json(line: str) -> dict[str, Any]:
    return json.loads(line) if line.startswith("{") else {}


def _status(client: httpx2.Client, path: str) -> int:
    try:
        return client.get(path).status_code
    except httpx2.TransportError:
        return 0


def _until(ready: Any, seconds: float = 20.0) -> None:
    deadline = time.monotonic() + seconds
    while not ready():
        assert time.monotonic() < deadline
        time.sleep(0.02)


_LOADS_LONG = """
import sys, time
import aspire_llm.serving.server as server
from aspire_llm.cli import main
server.load_models = lambda *_, **__: time.sleep(60)
main(["serve", sys.argv[1], "--port", "0"])
"""


@pytest.mark.parametrize("sent", [signal.SIGTERM, pytest.param(signal.SIGINT, marks=pytest.mark.slow)])
def test_it_ends_at_once_while_runs_are_loaded(certified: Path, sent: signal.Signals) -> None:
    known = os.environ | {"PYTHONPATH": os.pathsep.join(sys.path)}
    command = [sys.executable, "-c", _LOADS_LONG, str(certified)]
    with subprocess.Popen(command, stderr=subprocess.PIPE, text=True, env=known) as server:
        assert server.stderr is not None
        assert "serving" in server.stderr.readline()
        server.send_signal(sent)
        assert server.wait(30) == -sent  # not the 60 seconds that loading takes
        assert server.stderr.read() == ""


@pytest.mark.parametrize("host", ["127.0.0.1", "no.such.host.invalid", "a..b", "x" * 64 + ".example"])
def test_an_address_that_cannot_be_had_is_an_error_before_anything_is_loaded(
    certified: Path, monkeypatch: pytest.MonkeyPatch, host: str
) -> None:
    monkeypatch.setattr(
        "aspire_llm.serving.server._log_to_stderr", lambda: None
    )  # the test's own would be closed later
    monkeypatch.setattr(SelectivePredictor, "load_all", lambda *_, **__: pytest.fail("it was loaded"))
    with socket.create_server(("127.0.0.1", 0)) as taken:
        port = taken.getsockname()[1]
        with pytest.raises(ConfigError, match=rf"cannot listen at {host}, port {port} \("):
            serve([certified], ServerSettings(host=host, port=port))


class Panic(BaseException):
    """As tokenizers end with that are damaged: no Exception."""


@pytest.mark.parametrize("error", [ModelError("no such weights"), RuntimeError("out of memory"), Panic("no such map")])
def test_a_run_that_cannot_be_loaded_ends_the_server(
    certified: Path, monkeypatch: pytest.MonkeyPatch, error: BaseException
) -> None:
    def fails(*_: Any, **__: Any) -> None:
        time.sleep(0.3)  # the server listens by then
        raise error

    monkeypatch.setattr("aspire_llm.serving.server._log_to_stderr", lambda: None)
    monkeypatch.setattr(SelectivePredictor, "load_all", fails)
    with pytest.raises(type(error), match=str(error)):
        serve([certified], ServerSettings(port=0))


def test_who_does_not_read_an_answer_keeps_no_server_from_its_end(
    certified: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("aspire_llm.serving.server._GRACE", 0)
    with live([certified], timeout=0.5, body_timeout=0.5) as own, socket.socket() as sock:
        sock.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 4096)
        host, port = own.url.removeprefix("http://").split(":")
        sock.connect((host, int(port)))
        sock.sendall(b"GET /docs/swagger-ui-bundle.js HTTP/1.1\r\nHost: x\r\n\r\n" * 8)
        _until(lambda: len(own.server.server_state.tasks) > 0)
        own.server.should_exit = True
        _until(lambda: not own.server.servers[0].is_serving() and not own.server.server_state.tasks)


def test_nothing_that_is_given_up_is_reported_as_forgotten(
    certified: Path, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    slow(monkeypatch, 0.3)
    with live([certified], timeout=0.05, ping=0.01) as own:
        assert own.chat(QUESTIONS[0]).status_code == 504
        assert "timeout" in own.chat(QUESTIONS[0], stream=True).text
    gc.collect()
    assert [record.message for record in caplog.records if record.name == "asyncio"] == []
