"""What stands before every request: its id, its key, the size and the time of its body; and the line that logs it."""

import asyncio
import base64
import binascii
import json
import logging
import re
import time
import uuid
from collections.abc import Iterable
from contextlib import suppress
from typing import Any

from starlette.datastructures import Headers, MutableHeaders
from starlette.responses import JSONResponse, Response
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from aspire_llm.serving.errors import CLIENT_GONE, ApiError
from aspire_llm.serving.metrics import Metrics
from aspire_llm.serving.settings import ApiKeys, ServerSettings

logger = logging.getLogger("aspire_llm.serving")

OPEN_PATH = "/health"
_ASKED_BY_MACHINES = (OPEN_PATH, "/metrics")
_LINGER = 2.0  # seconds that the rest of a refused body is read and forgotten
_ID = re.compile(r"[\w.:-]{1,128}", re.ASCII)
_HEADERS = {
    "x-content-type-options": "nosniff",
    "referrer-policy": "no-referrer",
    "cache-control": "no-store",
    "content-security-policy": "default-src 'none'; frame-ancestors 'none'",
}


class Guard:
    """ASGI middleware around all of the server.

    A response gets `x-request-id`, and headers that keep browsers from guessing, storing and telling. What the
    application learns of a request for its log line and metrics stands in the request's state, see `note`.

    Args:
        app: Behind it.
        settings: Of the server.
        metrics: Count every response.
        paths: Those that are counted by name.
    """

    def __init__(self, app: ASGIApp, settings: ServerSettings, metrics: Metrics, paths: Iterable[str]) -> None:
        self._app, self._settings, self._metrics, self._paths = app, settings, metrics, frozenset(paths)

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] != "http":
            await self._app(scope, receive, send)
            return
        given = Headers(scope=scope).get("x-request-id", "")
        request_id = given if _ID.fullmatch(given) else uuid.uuid4().hex
        scope.setdefault("state", {})["request_id"] = request_id
        scope["root_path"] = self._settings.root_path  # a path may come with it or without: proxies differ
        started, status = time.perf_counter(), 500

        async def answer(message: Message) -> None:
            nonlocal status
            if message["type"] == "http.response.start":
                status = message["status"]
                headers = MutableHeaders(scope=message)
                headers["x-request-id"] = request_id
                for name, value in _HEADERS.items():
                    headers.setdefault(name, value)
            await send(message)

        try:
            await self._admit(scope, receive, answer)
        finally:
            self._log(scope, status, time.perf_counter() - started)

    async def _admit(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Let a request through whose key and body are in order."""
        try:
            self._check_key(scope)
            body = await self._body(scope, receive)
        except ApiError as error:
            await _refuse(error, scope, receive, send)
            return
        if body is None:
            await Response(status_code=CLIENT_GONE)(scope, receive, send)
            return

        async def replay() -> Message:
            nonlocal body
            if body is None:
                return await receive()
            message, body = {"type": "http.request", "body": body, "more_body": False}, None
            return message

        # The protocol leaves the body of an answer to HEAD out.
        asked = {**scope, "method": "GET"} if scope["method"] == "HEAD" else scope
        await self._app(asked, replay, send)

    def _check_key(self, scope: Scope) -> None:
        keys, headers = self._settings.keys, Headers(scope=scope)
        if not keys or self._path(scope) == OPEN_PATH:
            return
        if not accepts(keys, headers.get("authorization", "")):
            error = ApiError(401, "a key of this server is needed: Authorization: Bearer KEY", code="invalid_api_key")
            # A browser asks its user for a name, which may be any, and a password, which is the key.
            wants_page = "text/html" in headers.get("accept", "")
            error.headers["WWW-Authenticate"] = 'Basic realm="aspire-llm", charset="UTF-8"' if wants_page else "Bearer"
            raise error

    async def _body(self, scope: Scope, receive: Receive) -> bytes | None:
        """The whole body; None where the client has gone.

        Raises:
            ApiError: It is too long, or too slow.
        """
        most, too_long = (
            self._settings.max_body,
            ApiError(
                413,
                f"a body may have {self._settings.max_body:,} bytes; send fewer questions at once",
                code="too_large",
            ),
        )
        declared = Headers(scope=scope).get("content-length", "")
        if declared.isdecimal() and int(declared[:20]) > most:
            raise too_long
        body = bytearray()
        try:
            async with asyncio.timeout(self._settings.body_timeout):
                while True:
                    message = await receive()
                    if message["type"] == "http.disconnect":
                        return None
                    body += message.get("body", b"")
                    if len(body) > most:
                        raise too_long
                    if not message.get("more_body", False):
                        return bytes(body)
        except TimeoutError as error:
            seconds = self._settings.body_timeout
            raise ApiError(408, f"the body did not come within {seconds:g} seconds", code="slow_body") from error

    def _path(self, scope: Scope) -> str:
        """What is asked for, whether or not the proxy leaves the path below which it shows the server."""
        path: str = scope["path"]
        root = self._settings.root_path
        return path.removeprefix(root) if path.startswith(f"{root}/") else path

    def _log(self, scope: Scope, status: int, seconds: float) -> None:
        noted: dict[str, Any] = scope["state"].get("noted", {})
        path = self._path(scope)
        self._metrics.request(noted.get("model", ""), path if path in self._paths else "other", status, seconds)
        line = {
            "request_id": scope["state"]["request_id"],
            "method": scope["method"],
            "path": path,
            "status": status,
            "seconds": round(seconds, 4),
            **noted,
        }
        quiet = path in _ASKED_BY_MACHINES and status < 400
        logger.log(logging.DEBUG if quiet else logging.INFO, json.dumps(line, ensure_ascii=False))


async def _refuse(error: ApiError, scope: Scope, receive: Receive, send: Send) -> None:
    """Answer before the body is read, and let go of what comes of it: a connection that is closed upon bytes that
    nobody has read is reset, and the answer lost with it."""

    async def answer(message: Message) -> None:
        if message["type"] == "http.response.body":
            await send({**message, "more_body": True})
            with suppress(TimeoutError):
                async with asyncio.timeout(_LINGER):
                    while (await receive()).get("more_body", False):
                        pass
            message = {"type": "http.response.body", "body": b"", "more_body": False}
        await send(message)

    response = JSONResponse(error.body, error.status, error.headers)
    response.headers["connection"] = "close"
    await response(scope, receive, answer)


def note(scope: Scope, **facts: Any) -> None:
    """Put facts into the log line of a request."""
    scope["state"].setdefault("noted", {}).update(facts)


def accepts(keys: ApiKeys, authorization: str) -> bool:
    """Whether a header carries a key: as OpenAI's clients send it, or as a browser sends a password."""
    scheme, _, value = authorization.partition(" ")
    if scheme.lower() == "bearer":
        return keys.accept(value.strip())
    if scheme.lower() == "basic":
        try:
            _, _, password = base64.b64decode(value.strip(), validate=True).decode().partition(":")
        except (binascii.Error, ValueError):
            return False
        return keys.accept(password)
    return False
