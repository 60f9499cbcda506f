"""Listening: uvicorn around the application, from the first request to the last answer."""

import logging
import sys
from collections.abc import Sequence
from pathlib import Path
from types import FrameType

import uvicorn

from aspire_llm.serving.app import create_app
from aspire_llm.serving.guard import logger
from aspire_llm.serving.served_model import Stored, load_models, names_of
from aspire_llm.serving.settings import ServerSettings
from aspire_llm.serving.shelf import Shelf

_MAX_HEADERS = 16 * 1024  # bytes
_LOOPBACK = ("127.0.0.1", "localhost", "::1")


def serve(runs: Sequence[str | Path], settings: ServerSettings, *, device: str | None = None) -> None:
    """Answer requests until SIGTERM or SIGINT; what was accepted by then is answered.

    Args:
        runs: Finished runs; ``demo`` is the one that ships with this package.
        settings: Of the server.
        device: Another device than the runs were made on.

    Raises:
        AspireError: A run cannot be loaded.
    """
    names = names_of(runs)
    for run in runs:
        Stored.read(run)  # what is wrong with a folder is said before anything listens
    _log_to_stderr()
    app, shelf = create_app(
        names,
        lambda own, metrics: load_models(runs, own, metrics, device=device),
        settings,
        on_failure=lambda: server.stop(),
    )
    config = uvicorn.Config(
        app,
        host=settings.host,
        port=settings.port,
        http="h11",
        loop="asyncio",
        h11_max_incomplete_event_size=_MAX_HEADERS,
        access_log=False,
        server_header=False,
        log_level="warning",
    )
    server = _Server(config, shelf, settings)
    server.run()
    if shelf.failure is not None:
        raise shelf.failure


class _Server(uvicorn.Server):
    """Says where it listens, and takes no question once it is to end."""

    def __init__(self, config: uvicorn.Config, shelf: Shelf, settings: ServerSettings) -> None:
        super().__init__(config)
        self._shelf, self._settings = shelf, settings

    async def startup(self, sockets: list[object] | None = None) -> None:  # type: ignore[override]
        await super().startup(sockets)  # type: ignore[arg-type]
        if self.servers:
            port = self.servers[0].sockets[0].getsockname()[1]
            say = f"{', '.join(self._shelf.names)}: http://{self._settings.host}:{port}{self._settings.root_path}/"
            print(f"aspire-llm: serving {say}", file=sys.stderr, flush=True)
            if self._settings.host not in _LOOPBACK and not self._settings.keys:
                print("aspire-llm: warning: open to the network without a key; see --api-key-file", file=sys.stderr)

    def handle_exit(self, sig: int, frame: FrameType | None) -> None:
        self._shelf.closing = True
        super().handle_exit(sig, frame)

    def stop(self) -> None:
        """End as if it had been told to."""
        self.should_exit = True


def _log_to_stderr() -> None:
    """A JSON object a request."""
    handler = logging.StreamHandler()
    handler.setFormatter(logging.Formatter("%(message)s"))
    logger.addHandler(handler)
    logger.setLevel(logging.INFO)
    logger.propagate = False
