"""A server at work beside a test."""

import threading
import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import httpx2

from aspire_llm.serving.server import Server
from aspire_llm.serving.settings import ServerSettings


class Live:
    """A server, and a client of it.

    Attributes:
        server: On a thread.
        url: Where it listens.
        client: Talks to it.
    """

    def __init__(self, server: Server, headers: dict[str, str]) -> None:
        self.server, self.url = server, server.address
        self.client = httpx2.Client(base_url=self.url, headers=headers, timeout=60)

    def post(self, path: str, **content: Any) -> httpx2.Response:
        """A JSON request."""
        return self.client.post(path, json=content)

    def chat(self, question: str, **more: Any) -> httpx2.Response:
        """One question as a chat."""
        return self.post("/v1/chat/completions", messages=[{"role": "user", "content": question}], **more)

    def metric(self, line: str) -> float:
        """The value of a series, given as `name{label="value"}`."""
        for own in self.client.get("/metrics").text.splitlines():
            if own.startswith(f"{line} "):
                return float(own.rpartition(" ")[2])
        raise LookupError(line)


@contextmanager
def live(runs: Sequence[str | Path], *, key: str | None = None, **settings: Any) -> Iterator[Live]:
    """Serve runs on any free port; within, they are loaded."""
    server = Server(runs, ServerSettings(port=0, **settings))
    thread = threading.Thread(target=server.run, daemon=True)
    thread.start()
    _wait(lambda: bool(server.address) or not thread.is_alive())
    own = Live(server, {} if key is None else {"authorization": f"Bearer {key}"})
    try:
        _wait(lambda: own.client.get("/health").status_code == 200)
        yield own
    finally:
        own.client.close()
        server.should_exit = True
        thread.join(timeout=(server.config.timeout_graceful_shutdown or 0) + 30)  # it may wait for clients that long
    assert not thread.is_alive()


def _wait(ready: Any, seconds: float = 60.0) -> None:
    deadline = time.monotonic() + seconds
    while not ready():
        assert time.monotonic() < deadline, "the server did not begin in time"
        time.sleep(0.02)
