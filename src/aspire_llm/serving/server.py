"""Listening: uvicorn around the application, from the first request to the last answer."""

import asyncio
import logging
import math
import socket
import sys
from collections.abc import Sequence
from contextlib import suppress
from pathlib import Path
from types import FrameType

import uvicorn

from aspire_llm.demo import find_run
from aspire_llm.errors import ConfigError
from aspire_llm.progress import warn
from aspire_llm.rundir.directory import RunDirectory
from aspire_llm.serving.app import create_app
from aspire_llm.serving.guard import logger
from aspire_llm.serving.protocol import PunctualProtocol
from aspire_llm.serving.served_model import load_models, names_of
from aspire_llm.serving.settings import ServerSettings

_MAX_HEADERS = 16 * 1024  # bytes
_KEEP_ALIVE = 75  # seconds: longer than clients and proxies keep idle connections, so that they end them
_GRACE = 5  # seconds
_LOOPBACK = ("127.0.0.1", "localhost", "::1")


def serve(runs: Sequence[str | Path], settings: ServerSettings, *, device: str | None = None) -> None:
    """Answer requests until SIGTERM or SIGINT; what was accepted by then is answered.

    Args:
        runs: Finished runs; ``demo`` is the one that ships with this package.
        settings: Of the server.
        device: Another device than the runs were made on.

    Raises:
        AspireError: A run cannot be loaded, or the host or the port cannot be had.
        KeyboardInterrupt: It is to end while a run is loaded, which a thread goes on with.
    """
    for run in runs:
        RunDirectory.open(find_run(run))  # that there is none is said before anything listens
    _log_to_stderr()
    server = Server(runs, settings, device=device)
    with suppress(KeyboardInterrupt):  # raised again once all is answered
        server.run()
    if server.shelf.is_loading:
        raise KeyboardInterrupt
    if server.shelf.failure is not None:
        raise server.shelf.failure


class Server(uvicorn.Server):
    """Listens, says where, and takes no question once it is to end.

    Arguments as of `serve`.

    Attributes:
        shelf: Its runs.
        address: Where it listens, once it does.
    """

    def __init__(self, runs: Sequence[str | Path], settings: ServerSettings, *, device: str | None = None) -> None:
        app, self.shelf = create_app(
            names_of(runs),
            lambda own, metrics: load_models(runs, own, metrics, device=device),
            settings,
            on_failure=self._stop,
        )
        self._settings, self.address = settings, ""
        config = uvicorn.Config(
            app,
            host=settings.host,
            port=settings.port,
            http=PunctualProtocol,
            ws="none",
            loop="asyncio",
            h11_max_incomplete_event_size=_MAX_HEADERS,
            access_log=False,
            timeout_keep_alive=_KEEP_ALIVE,
            # All that was accepted is answered by then; who does not read an answer keeps no server from its end.
            timeout_graceful_shutdown=math.ceil(settings.body_timeout + settings.timeout) + _GRACE,
            server_header=False,
            log_level="warning",
            log_config=None,  # uvicorn's own would close every log handler of the program
        )
        super().__init__(config)

    async def startup(self, sockets: list[socket.socket] | None = None) -> None:
        """Listen, before anything is loaded.

        Raises:
            ConfigError: The host or the port cannot be had.
        """
        await super().startup(sockets or _listen(self._settings.host, self._settings.port))
        port = self.servers[0].sockets[0].getsockname()[1]
        host = f"[{self._settings.host}]" if ":" in self._settings.host else self._settings.host
        self.address = f"http://{host}:{port}{self._settings.root_path}"
        print(f"aspire-llm: serving {', '.join(self.shelf.names)} at {self.address}/", file=sys.stderr, flush=True)
        if self._settings.host not in _LOOPBACK and not self._settings.keys:
            warn("open to the network without a key; --api-key-file FILE asks for one")

    async def shutdown(self, sockets: list[socket.socket] | None = None) -> None:
        """Let go of the connections, too, whose clients do not."""
        await super().shutdown(sockets)
        for connection in list(self.server_state.connections):
            connection.transport.abort()
        await asyncio.sleep(0)

    def handle_exit(self, sig: int, frame: FrameType | None) -> None:
        """Begin to end: what was accepted is answered."""
        self.shelf.closing = True
        super().handle_exit(sig, frame)

    def _stop(self) -> None:
        self.should_exit = True


def _listen(host: str, port: int) -> list[socket.socket]:
    """A socket for every address of a host."""
    found = list[socket.socket]()
    try:
        for family, *_, address in socket.getaddrinfo(host, port, type=socket.SOCK_STREAM, flags=socket.AI_PASSIVE):
            found.append(socket.create_server(address[:2], family=family))
    except (OSError, UnicodeError) as error:
        for own in found:
            own.close()
        reason = error.strerror if isinstance(error, OSError) else "that can be no host's name"
        raise ConfigError(f"cannot listen at {host}, port {port} ({reason}); choose others") from error
    return found


def _log_to_stderr() -> None:
    """A JSON object a request."""
    handler = logging.StreamHandler()
    handler.setFormatter(logging.Formatter("%(message)s"))
    logger.addHandler(handler)
    logger.setLevel(logging.INFO)
    logger.propagate = False
