"""A server in a process of its own, and many clients of it on one event loop.

The clients write HTTP by hand, so that what they take of the machine is little beside what an answer takes.
"""

import asyncio
import json
import os
import re
import signal
import subprocess
import sys
import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any
from urllib.error import HTTPError
from urllib.parse import urlsplit
from urllib.request import urlopen

import psutil

from aspire_llm.records import Prediction

LOST = 0  # in place of a status: the connection ended, or nothing came in time
_HANGS = 180.0  # seconds
_TOLERANCE = 1e-3  # of a selection score: questions that share a batch round otherwise than alone


@dataclass(frozen=True, slots=True)
class Response:
    """What a client got.

    Attributes:
        place: Of its question.
        status: Of HTTP, or `LOST`.
        seconds: Until it was read whole.
        body: As it came.
        retry_after: Seconds after which the server says to try again, where it does.
    """

    place: int
    status: int
    seconds: float
    body: bytes = b""
    retry_after: float = 0.0

    @property
    def content(self) -> dict[str, Any]:
        """The JSON object."""
        found: dict[str, Any] = json.loads(self.body)
        return found


@dataclass(frozen=True, slots=True)
class Served:
    """A server at work.

    Attributes:
        url: Where it listens.
        process: It.
        log: What it writes.
    """

    url: str
    process: psutil.Process
    log: Path

    @property
    def resident(self) -> int:
        """Bytes of memory that it holds now."""
        found: int = self.process.memory_info().rss
        return found


@contextmanager
def serving(run: str | Path, log: Path, *options: str, threads: int = 1) -> Iterator[Served]:
    """`aspire-llm serve` on any free port; within, its run is loaded. It ends by SIGTERM.

    Args:
        run: To serve.
        log: A file for what it writes.
        options: Further ones of the command.
        threads: That a matrix product may take.
    """
    command = [sys.executable, "-m", "aspire_llm.cli", "serve", str(run), "--port", "0", *options]
    environment = {**os.environ, "OMP_NUM_THREADS": str(threads)}
    with log.open("wb") as stderr, subprocess.Popen(command, stderr=stderr, env=environment) as process:
        try:
            yield Served(_address(process, log), psutil.Process(process.pid), log)
        finally:
            process.send_signal(signal.SIGTERM)
            process.wait(60)


def ask_all(url: str, questions: Sequence[str], clients: int, **fields: Any) -> list[Response]:
    """Put every question to a server once, in the order of their places; one that is refused is not put again.

    Args:
        url: Of the server.
        questions: Each a chat of its own.
        clients: That ask at the same time, one question after the other on one connection each, and pause where the
            server says so.
        fields: What else a request holds.
    """
    return asyncio.run(ask_all_now(url, questions, clients, **fields))


async def ask_all_now(url: str, questions: Sequence[str], clients: int, **fields: Any) -> list[Response]:
    """As `ask_all`, within an event loop."""
    waiting = iter(enumerate(questions))
    found: list[Response] = []

    async def client() -> None:
        async with Connection(url) as connection:
            for place, question in waiting:
                found.append(await connection.ask(place, question, fields))
                await asyncio.sleep(found[-1].retry_after)

    await asyncio.gather(*(client() for _ in range(clients)))
    return sorted(found, key=lambda own: own.place)


def is_answer(response: Response, prediction: Prediction) -> bool:
    """Whether a response is the one to its question: its id, the likeliest answer and its score are those of offline.

    The request must have asked for ``candidates=1``.
    """
    if response.status != 200 or response.content["id"] != f"chatcmpl-{response.place}":
        return False
    aspire = response.content["choices"][0]["aspire"]
    score = prediction.scored.selection_score
    return bool(
        aspire["candidates"][0]["text"] == prediction.sampled.text
        and abs(aspire["selection_score"] - score) < _TOLERANCE
    )


class Connection:
    """Of one client; it is opened anew where the server ended it.

    Args:
        url: Of the server.
    """

    def __init__(self, url: str) -> None:
        address = urlsplit(url)
        self._host, self._port = address.hostname or "", address.port or 80
        self._open: tuple[asyncio.StreamReader, asyncio.StreamWriter] | None = None

    async def __aenter__(self) -> "Connection":
        return self

    async def __aexit__(self, *_: object) -> None:
        self._close()

    async def ask(self, place: int, question: str, fields: dict[str, Any]) -> Response:
        """Put a question as a chat.

        Args:
            place: Is sent as the request's id.
            question: As of a user.
            fields: What else the request holds.
        """
        body = json.dumps({"messages": [{"role": "user", "content": question}], **fields}).encode()
        head = f"POST /v1/chat/completions HTTP/1.1\r\nHost: {self._host}\r\nX-Request-Id: {place}\r\n"
        head += f"Content-Type: application/json\r\nContent-Length: {len(body)}\r\n\r\n"
        started = time.perf_counter()
        try:
            async with asyncio.timeout(_HANGS):
                status, answer, retry_after = await self._exchange(head.encode() + body)
        except (OSError, EOFError, TimeoutError):
            self._close()
            status, answer, retry_after = LOST, b"", 0.0
        return Response(place, status, time.perf_counter() - started, answer, retry_after)

    async def _exchange(self, request: bytes) -> tuple[int, bytes, float]:
        if self._open is None:
            self._open = await asyncio.open_connection(self._host, self._port)
        reader, writer = self._open
        writer.write(request)
        head = (await reader.readuntil(b"\r\n\r\n")).lower()
        length = re.search(rb"content-length: (\d+)", head)
        assert length is not None
        body = await reader.readexactly(int(length[1]))
        if b"connection: close" in head:
            self._close()
        again = re.search(rb"retry-after: (\d+)", head)
        return int(head.split(b" ", 2)[1]), body, float(again[1]) if again else 0.0

    def _close(self) -> None:
        if self._open is not None:
            self._open[1].close()
        self._open = None


def _address(process: subprocess.Popen[bytes], log: Path) -> str:
    """Where a server listens, once its run is loaded."""
    while process.poll() is None:
        said = re.search(r"serving .* at (http://\S+)/\n", log.read_text(encoding="utf-8"))
        if said and _is_healthy(said[1]):
            return said[1]
        time.sleep(0.05)
    raise RuntimeError(f"the server ended: {log.read_text(encoding='utf-8')[-2000:]}")


def _is_healthy(url: str) -> bool:
    try:
        with urlopen(f"{url}/health", timeout=10) as response:  # noqa: S310 of our own server
            return bool(response.status == 200)
    except HTTPError:  # it is loading
        return False
