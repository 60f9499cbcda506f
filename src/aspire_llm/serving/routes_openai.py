"""OpenAI's paths, for its clients as they are."""

import logging
from collections.abc import AsyncIterator
from typing import Any

from fastapi import Request, Response
from fastapi.responses import JSONResponse, StreamingResponse

from aspire_llm.serving.asking import Pending, Reply, clean, failed
from aspire_llm.serving.conversation import question_of_chat, questions_of_completion
from aspire_llm.serving.errors import ApiError
from aspire_llm.serving.guard import note
from aspire_llm.serving.replies import (
    ChatFormat,
    CompletionFormat,
    Format,
    JsonObject,
    chunks,
    completion,
    event,
    mirrored,
)
from aspire_llm.serving.routes import model_of, new_router, settings_of, shelf_of
from aspire_llm.serving.schema import ChatRequest, CompletionRequest
from aspire_llm.serving.served_model import ServedModel

router = new_router("OpenAI")
_STREAM: dict[int | str, dict[str, Any]] = {200: {"content": {"text/event-stream": {"schema": {"type": "string"}}}}}
_logger = logging.getLogger(__name__)


@router.get("/v1/models")
async def list_models(request: Request) -> JsonObject:
    """The runs that are served."""
    return {"object": "list", "data": [_model_object(own) for own in shelf_of(request).models.values()]}


@router.get("/v1/models/{name:path}")
async def get_model(name: str, request: Request) -> JsonObject:
    """One of them."""
    return _model_object(model_of(request, name))


@router.post("/v1/chat/completions", responses=_STREAM)
async def chat_completions(body: ChatRequest, request: Request) -> Response:
    """Answer the last message of the user, or withhold the answer."""
    model, settings = model_of(request, body.model), settings_of(request)
    question = question_of_chat(body, request.state.request_id, settings.system)
    pending = Pending(model, clean([question], "messages"), body, settings.timeout)
    return await _respond(request, body, model, pending, ChatFormat)


@router.post("/v1/completions", responses=_STREAM)
async def completions(body: CompletionRequest, request: Request) -> Response:
    """Answer every prompt as a question, or withhold the answer."""
    model, settings = model_of(request, body.model), settings_of(request)
    questions = questions_of_completion(body, request.state.request_id, settings.max_questions)
    pending = Pending(model, clean(questions, "prompt"), body, settings.timeout)
    return await _respond(request, body, model, pending, CompletionFormat)


async def _respond(
    request: Request, body: ChatRequest | CompletionRequest, model: ServedModel, pending: Pending, form: Format
) -> Response:
    ping = settings_of(request).ping
    # A stream begins when its verdict is known or takes long: what goes wrong at once has its own status.
    if not await pending.wait_with(request, ping if body.stream else None):
        return _event_stream(_events(request, body, model, pending, form))
    replies = pending.replies()
    _note_outcome(request, replies)
    headers = mirrored(replies[0]) if len(replies) == 1 else {}
    id = request.state.request_id
    if body.stream:
        return _event_stream(_each(chunks(form, id, model.name, replies, with_usage=_with_usage(body))), headers)
    return JSONResponse(completion(form, id, model.name, replies), headers=headers)


async def _events(
    request: Request, body: ChatRequest | CompletionRequest, model: ServedModel, pending: Pending, form: Format
) -> AsyncIterator[str]:
    """Comments until the verdict is known, then all of the answer at once."""
    ping, id = settings_of(request).ping, request.state.request_id
    try:
        yield ": waiting for the verdict\n\n"
        while not await pending.wait(ping):
            yield ": waiting for the verdict\n\n"
        replies = pending.replies()
        _note_outcome(request, replies)
        for piece in chunks(form, id, model.name, replies, with_usage=_with_usage(body)):
            yield piece
    except ApiError as error:
        yield event(error.body)
    except Exception:
        _logger.exception("a stream could not be ended")
        yield event(failed(model.name).body)
    finally:
        pending.cancel()  # where the client has gone before the verdict


async def _each(pieces: list[str]) -> AsyncIterator[str]:
    for piece in pieces:
        yield piece


def _event_stream(events: AsyncIterator[str], headers: dict[str, str] | None = None) -> Response:
    return StreamingResponse(
        events, media_type="text/event-stream", headers={**(headers or {}), "x-accel-buffering": "no"}
    )


def _with_usage(body: ChatRequest | CompletionRequest) -> bool:
    return bool(body.stream_options and body.stream_options.include_usage)


def _note_outcome(request: Request, replies: list[Reply]) -> None:
    note(request.scope, questions=len(replies), abstained=sum(own.prediction.abstained for own in replies))
    if settings_of(request).log_texts:
        note(request.scope, texts=[[own.prediction.question.question, own.prediction.text] for own in replies])


def _model_object(model: ServedModel) -> JsonObject:
    return {"id": model.name, "object": "model", "created": model.created, "owned_by": "aspire-llm"}
