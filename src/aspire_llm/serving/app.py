"""The application: its paths, its errors, and what it does when it begins and ends."""

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable, Mapping, Sequence
from contextlib import asynccontextmanager
from importlib.metadata import version

from fastapi import FastAPI, Request
from fastapi.exceptions import RequestValidationError
from fastapi.responses import JSONResponse, Response
from starlette.exceptions import HTTPException
from starlette.types import ASGIApp

from aspire_llm.serving.asking import ClientGoneError, failed
from aspire_llm.serving.card import fixed_card
from aspire_llm.serving.errors import CLIENT_GONE, ApiError, bad_request
from aspire_llm.serving.guard import Guard
from aspire_llm.serving.metrics import Metrics
from aspire_llm.serving.routes import paths_of
from aspire_llm.serving.routes_answer import router as answer_routes
from aspire_llm.serving.routes_openai import router as openai_routes
from aspire_llm.serving.routes_pages import router as page_routes
from aspire_llm.serving.served_model import ServedModel
from aspire_llm.serving.settings import ServerSettings
from aspire_llm.serving.shelf import Shelf

_ROUTERS = (openai_routes, answer_routes, page_routes)

Load = Callable[[ServerSettings, Metrics], Mapping[str, ServedModel]]


def create_app(
    names: Sequence[str], load: Load, settings: ServerSettings, on_failure: Callable[[], None] = lambda: None
) -> tuple[ASGIApp, Shelf]:
    """The application of some runs.

    Args:
        names: Of the runs.
        load: Loads them, on another thread, while the server listens already.
        settings: Of the server.
        on_failure: Is called where they cannot be loaded; `Shelf.failure` says why.

    Returns:
        The application, and its runs.
    """
    metrics = Metrics()
    cards: dict[str, dict[str, object]] = {}

    def load_all() -> Mapping[str, ServedModel]:
        models = load(settings, metrics)
        cards.update({name: fixed_card(own, settings) for name, own in models.items()})
        return models

    shelf = Shelf(names, load_all)

    @asynccontextmanager
    async def lifespan(_: FastAPI) -> AsyncIterator[None]:
        async def fill() -> None:
            await shelf.fill()
            if shelf.failure is not None:
                on_failure()

        filling = asyncio.create_task(fill())
        yield
        filling.cancel()  # nobody was told yet that there would be an answer
        await asyncio.wait([filling])
        await shelf.close()

    app = FastAPI(
        title="aspire-llm",
        version=version("aspire-llm"),
        description="Answers that abstain: a language model that says how sure it is, and nothing where it is not.",
        lifespan=lifespan,
        docs_url=None,
        redoc_url=None,
    )
    app.state.shelf, app.state.settings, app.state.metrics, app.state.cards = shelf, settings, metrics, cards
    for router in _ROUTERS:
        app.include_router(router)
    for kind, handler in _HANDLERS.items():
        app.add_exception_handler(kind, handler)
    return Guard(app, settings, metrics, [path for own in _ROUTERS for path in paths_of(own)]), shelf


async def _api_error(_: Request, error: Exception) -> Response:
    assert isinstance(error, ApiError)
    return JSONResponse(error.body, error.status, error.headers)


async def _invalid(request: Request, error: Exception) -> Response:
    """The first thing that is wrong with a body."""
    assert isinstance(error, RequestValidationError)
    kind = request.headers.get("content-type", "").lower()
    if "json" not in kind:
        wrong = bad_request(f"the body must be JSON, with Content-Type: application/json (got {kind!r})")
        return await _api_error(request, wrong)
    first = error.errors()[0]
    where = ".".join(map(str, first["loc"][1:]))
    return await _api_error(request, bad_request(f"{where or 'body'}: {first['msg']}", where or None))


async def _http_error(request: Request, error: Exception) -> Response:
    assert isinstance(error, HTTPException)
    own = ApiError(error.status_code, str(error.detail))
    own.headers.update(error.headers or {})
    return await _api_error(request, own)


async def _client_gone(_request: Request, _error: Exception) -> Response:
    return Response(status_code=CLIENT_GONE)


async def _failed(request: Request, _error: Exception) -> Response:
    return await _api_error(request, failed("the server"))


_HANDLERS: Mapping[type[Exception], Callable[[Request, Exception], Awaitable[Response]]] = {
    ApiError: _api_error,
    RequestValidationError: _invalid,
    HTTPException: _http_error,
    ClientGoneError: _client_gone,
    Exception: _failed,
}
