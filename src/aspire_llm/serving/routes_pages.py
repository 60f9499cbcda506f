"""The page to ask, the documentation, and what watches the server."""

from importlib.resources import files
from pathlib import PurePosixPath

from fastapi import APIRouter, Request, Response
from fastapi.responses import HTMLResponse, JSONResponse, PlainTextResponse

from aspire_llm.serving.errors import ApiError
from aspire_llm.serving.guard import OPEN_PATH
from aspire_llm.serving.routes import shelf_of

router = APIRouter(include_in_schema=False)

_SWAGGER = files("fastapi_offline") / "static"
_KINDS = {".css": "text/css", ".html": "text/html", ".js": "text/javascript", ".svg": "image/svg+xml"}
_PAGE = {own.name: own for own in (files("aspire_llm.serving") / "page").iterdir()}
_OWN = "default-src 'none'; script-src 'self'; connect-src 'self'; img-src 'self' data:; base-uri 'none'; "
_LOCKED = "form-action 'none'; frame-ancestors 'none'"
_PAGE_POLICY = f"{_OWN}style-src 'self'; {_LOCKED}"
_DOCS_POLICY = f"{_OWN}style-src 'self' 'unsafe-inline'; {_LOCKED}"  # Swagger sets styles of elements

_DOCS = """<!doctype html>
<html lang="en">
<head><meta charset="utf-8"><title>aspire-llm: the API</title>
<meta name="viewport" content="width=device-width, initial-scale=1">
<link rel="icon" href="data:,"><link rel="stylesheet" href="docs/swagger-ui.css"></head>
<body><div id="docs"></div>
<script src="docs/swagger-ui-bundle.js"></script><script src="docs/start.js"></script></body>
</html>
"""
_START = 'SwaggerUIBundle({url: "openapi.json", dom_id: "#docs", validatorUrl: null});\n'


@router.get("/")
async def page() -> Response:
    """A page to ask."""
    return _file("index.html")


@router.get("/page/{name}")
async def page_file(name: str) -> Response:
    """What it is made of."""
    return _file(name)


@router.get("/docs")
async def docs() -> Response:
    """The documentation of the API, without a network."""
    return HTMLResponse(_DOCS, headers={"content-security-policy": _DOCS_POLICY})


@router.get("/docs/{name}")
async def docs_file(name: str) -> Response:
    """What it is made of."""
    if name == "start.js":
        return Response(_START, media_type="text/javascript")
    if name not in ("swagger-ui.css", "swagger-ui-bundle.js"):
        raise ApiError(404, f"there is no {name!r} here")
    return Response((_SWAGGER / name).read_bytes(), media_type=_KINDS[PurePosixPath(name).suffix])


@router.get(OPEN_PATH)
async def health(request: Request) -> Response:
    """200 where questions are taken, 503 while the runs load and when the server ends."""
    shelf = shelf_of(request)
    try:
        return JSONResponse({"status": "ok", "models": list(shelf.models)})
    except ApiError as error:
        return JSONResponse({"status": error.code, "models": list(shelf.names)}, error.status, error.headers)


@router.get("/metrics")
async def metrics(request: Request) -> Response:
    """For Prometheus."""
    counted = request.app.state.metrics
    for model in request.app.state.shelf.loaded:
        counted.state(model.name, model.batcher.pending, model.watch)
    return PlainTextResponse(counted.text(), media_type="text/plain; version=0.0.4; charset=utf-8")


def _file(name: str) -> Response:
    path, suffix = _PAGE.get(name), PurePosixPath(name).suffix
    if path is None or suffix not in _KINDS:
        raise ApiError(404, f"there is no {name!r} here")
    return Response(path.read_bytes(), media_type=_KINDS[suffix], headers={"content-security-policy": _PAGE_POLICY})
