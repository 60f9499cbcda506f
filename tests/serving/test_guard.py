"""What stands before every request."""

import base64
import json
import logging
import math
import re
import socket
from collections.abc import Iterator
from pathlib import Path

import httpx2
import pytest
from serving.live import Live, live

from aspire_llm.errors import ConfigError
from aspire_llm.serving.guard import logger
from aspire_llm.serving.settings import ApiKeys, ServerSettings

KEY = "a-key-of-ours"
JSON = {"content-type": "application/json"}


@pytest.fixture(scope="module")
def locked(certified: Path) -> Iterator[Live]:
    """One that is opened by a key, takes short bodies, and not slowly."""
    with live([certified], key=KEY, keys=ApiKeys(("another", KEY)), max_body=4000, body_timeout=0.5) as own:
        yield own


def test_a_key_opens_everything_and_without_one_only_health_is_open(locked: Live) -> None:
    for path in ("/", "/docs", "/metrics", "/openapi.json", "/v1/models", "/v1/runs", "/page/app.js", "/nowhere"):
        response = httpx2.get(f"{locked.url}{path}")
        assert (response.status_code, response.json()["error"]["code"]) == (401, "invalid_api_key"), path
        assert response.headers["www-authenticate"] == "Bearer"
    assert httpx2.get(f"{locked.url}/health").status_code == 200
    assert locked.client.get("/v1/models").status_code == 200
    wrong = locked.client.get("/v1/models", headers={"authorization": f"Bearer {KEY}x"})
    assert (wrong.status_code, wrong.json()["error"]["type"]) == (401, "authentication_error")


def test_a_browser_is_asked_for_the_key_as_a_password(locked: Live) -> None:
    asked = httpx2.get(f"{locked.url}/", headers={"accept": "text/html"})
    assert asked.headers["www-authenticate"].startswith("Basic ")
    for password, status in ((KEY, 200), ("guess", 401)):
        value = base64.b64encode(f"anyone:{password}".encode()).decode()
        assert httpx2.get(f"{locked.url}/v1/models", headers={"authorization": f"Basic {value}"}).status_code == status
    broken = httpx2.get(f"{locked.url}/v1/models", headers={"authorization": "Basic ~~~"})
    assert broken.status_code == 401


@pytest.mark.parametrize("content", ["", "# none\n\n", "two words\n", "schlüssel\n"])
def test_a_file_without_a_key_that_can_be_sent_is_refused(content: str, tmp_path: Path) -> None:
    path = tmp_path / "keys"
    path.write_text(content, encoding="utf-8")
    with pytest.raises(ConfigError, match="--api-key-file"):
        ApiKeys.read(path)
    for first in ("# ours\none", "one", "\ufeffone", "\ufeff# ours\r\none"):
        path.write_text(f"{first}\n two \n", encoding="utf-8")
        keys = ApiKeys.read(path)
        assert [keys.accept(key) for key in ("one", "two", "# ours", "")] == [True, True, False, False]


@pytest.mark.parametrize(
    "wrong",
    [
        {"port": 70000},
        {"max_waiting": 0},
        {"max_batch": 0},
        *({"timeout": own} for own in (0, -1, math.inf, -math.inf, math.nan)),
    ],
)
def test_settings_that_cannot_be_are_one_line(wrong: dict) -> None:
    with pytest.raises(ConfigError, match="--"):
        ServerSettings(**wrong)


def test_a_body_that_is_too_long_is_refused_whether_or_not_it_says_so(locked: Live) -> None:
    def parts() -> Iterator[bytes]:
        for _ in range(100):
            yield b" " * 100

    for body in (b" " * 10_000, parts()):
        response = locked.client.post("/v1/answer", content=body, headers=JSON)
        assert (response.status_code, response.json()["error"]["code"]) == (413, "too_large")
    assert locked.client.get("/v1/models").status_code == 200


def test_a_body_that_does_not_come_is_given_up(locked: Live) -> None:
    host, port = locked.url.removeprefix("http://").split(":")
    with socket.create_connection((host, int(port)), timeout=10) as sock:
        head = f"POST /v1/answer HTTP/1.1\r\nHost: x\r\nAuthorization: Bearer {KEY}\r\nContent-Length: 50\r\n\r\n"
        sock.sendall(head.encode() + b'{"questions"')
        assert b" 408 " in sock.recv(4096).split(b"\r\n")[0]


@pytest.mark.parametrize(
    "body",
    [
        b"",
        b"{",
        b"[]",
        b'"text"',
        b"null",
        b'{"questions": NaN}',
        b'{"questions": ["Who?"], "target_risk": Infinity}',
        b"[" * 3000,
        b'{"a":' * 600,
        b'{"questions": ["\xff\xfe"]}',
        b'{"questions": ["\\ud800"]}',
        b'{"questions": []}',
        b'{"questions": [["Who?"]]}',
        b'{"questions": ["Who?"], "candidates": -1}',
    ],
)
def test_what_is_no_request_is_a_400(locked: Live, body: bytes) -> None:
    response = locked.client.post("/v1/answer", content=body, headers=JSON)
    assert (response.status_code, response.json()["error"]["type"]) == (400, "invalid_request_error"), response.text


def test_a_body_that_is_not_called_json_is_told_so(locked: Live) -> None:
    for kind in ("text/plain", "application/x-www-form-urlencoded"):
        response = locked.client.post("/v1/answer", content=b'{"questions": ["Who?"]}', headers={"content-type": kind})
        assert response.status_code == 400
        assert "Content-Type: application/json" in response.json()["error"]["message"]


def test_a_request_keeps_its_id_and_gets_one_where_it_has_none(locked: Live) -> None:
    assert locked.client.get("/v1/models", headers={"x-request-id": "abc-1"}).headers["x-request-id"] == "abc-1"
    for strange in ("a b", "x" * 300, "<script>"):
        own = locked.client.get("/v1/models", headers={"x-request-id": strange}).headers["x-request-id"]
        assert re.fullmatch(r"[0-9a-f]{32}", own)
    assert httpx2.get(f"{locked.url}/v1/models").headers["x-request-id"]


def test_no_other_origin_is_let_in_and_browsers_are_told_what_they_may(locked: Live) -> None:
    headers = locked.client.get("/v1/models", headers={"origin": "https://elsewhere.example"}).headers
    assert "access-control-allow-origin" not in headers
    assert headers["x-content-type-options"] == "nosniff"
    assert headers["content-security-policy"].startswith("default-src 'none'")
    assert "server" not in headers


@pytest.mark.parametrize(("log_texts", "known"), [(False, False), (True, True)])
def test_the_log_holds_texts_only_where_that_was_asked_for(
    certified: Path, caplog: pytest.LogCaptureFixture, log_texts: bool, known: bool
) -> None:
    with live([certified], log_texts=log_texts) as own, caplog.at_level(logging.INFO, logger=logger.name):
        caplog.clear()  # of what was asked while it loaded, where an earlier server has set the level
        own.chat("Where was the secret piano built?")
        own.post("/v1/answer", questions=["Where was the secret piano built?"])
    lines = [json.loads(record.message) for record in caplog.records if record.name == logger.name]
    assert [line["path"] for line in lines] == ["/v1/chat/completions", "/v1/answer"]
    assert all((line["model"], line["status"], line["questions"]) == ("whole", 200, 1) for line in lines)
    assert all(("secret piano" in json.dumps(line)) is known for line in lines)


@pytest.mark.parametrize("root_path", ["/aspire", "/aspire/"])
def test_below_a_path_of_a_proxy_that_strips_it_or_does_not(certified: Path, root_path: str) -> None:
    with live([certified], key=KEY, keys=ApiKeys((KEY,)), root_path=root_path) as own:
        assert own.url.endswith("/aspire")
        for base in (own.url, own.url.removesuffix("/aspire")):
            assert httpx2.get(f"{base}/health").status_code == 200
            for path in ("/", "/docs", "/v1/models", "/metrics"):
                assert httpx2.get(f"{base}{path}").status_code == 401
                assert own.client.get(f"{base}{path}").status_code == 200
        assert own.client.get("/openapi.json").json()["servers"] == [{"url": "/aspire"}]
        assert own.metric('aspire_requests_total{model_name="",path="/v1/models",status="200"}') == 2
        assert own.metric('aspire_requests_total{model_name="",path="/v1/models",status="401"}') == 2
