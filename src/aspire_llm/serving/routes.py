"""What all routes share: strict JSON, the errors that their documentation names, and what a request is asked at."""

from collections.abc import Callable, Coroutine
from typing import Any

from fastapi import APIRouter, HTTPException, Request, Response
from fastapi.routing import APIRoute
from pydantic_core import from_json

from aspire_llm.serving.guard import note
from aspire_llm.serving.schema import ErrorBody
from aspire_llm.serving.served_model import ServedModel
from aspire_llm.serving.settings import ServerSettings
from aspire_llm.serving.shelf import Shelf

_ERRORS = {
    400: "Malformed, or nothing that can be answered",
    401: "No key, or a wrong one",
    404: "No such model",
    408: "The body came too slowly",
    413: "Too long, or too many questions",
    422: "A question does not fit the model's window",
    429: "Too many questions wait; see Retry-After",
    500: "The server failed",
    503: "Loading, or shutting down",
    504: "No answer in time",
}
RESPONSES: dict[int | str, dict[str, Any]] = {
    status: {"model": ErrorBody, "description": about} for status, about in _ERRORS.items()
}


class _StrictRequest(Request):
    """JSON as the standard has it: no NaN, no endless nesting, no half of a character."""

    async def json(self) -> Any:
        try:
            return from_json(await self.body(), allow_inf_nan=False)
        except ValueError as error:
            raise HTTPException(400, f"the body is no JSON: {error}") from error


class _StrictRoute(APIRoute):
    def get_route_handler(self) -> Callable[[Request], Coroutine[Any, Any, Response]]:
        handle = super().get_route_handler()

        async def strictly(request: Request) -> Response:
            return await handle(_StrictRequest(request.scope, request.receive))

        return strictly


def new_router(*tags: str) -> APIRouter:
    """For routes that take JSON."""
    return APIRouter(route_class=_StrictRoute, responses=RESPONSES, tags=list(tags))


def paths_of(router: APIRouter) -> list[str]:
    """The paths that name nothing of a request."""
    return [path for route in router.routes if "{" not in (path := getattr(route, "path", "{"))]


def shelf_of(request: Request) -> Shelf:
    """The runs of the server."""
    shelf: Shelf = request.app.state.shelf
    return shelf


def settings_of(request: Request) -> ServerSettings:
    """Of the server."""
    settings: ServerSettings = request.app.state.settings
    return settings


def model_of(request: Request, name: str | None) -> ServedModel:
    """The run that a request is about; it stands in the log.

    Raises:
        ApiError: There is none, or not yet.
    """
    model = shelf_of(request).model(name)
    note(request.scope, model=model.name)
    return model
