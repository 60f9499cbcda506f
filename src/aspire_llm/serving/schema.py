"""What requests hold. Fields that are not named here are ignored: clients send more than a server knows."""

from typing import Annotated, Any, Literal, TypeVar

from pydantic import BaseModel, BeforeValidator, ConfigDict, Field, StringConstraints

T = TypeVar("T")
_MAX_METADATA = 64  # fields


def _few(value: Any) -> Any:
    if isinstance(value, dict) and len(value) > _MAX_METADATA:
        raise ValueError(f"metadata may have {_MAX_METADATA} fields, not {len(value)}")
    return value


Text = Annotated[str, StringConstraints(max_length=1_000_000)]
Name = Annotated[str, StringConstraints(max_length=256)]
Scalar = Annotated[str, StringConstraints(max_length=4096)] | bool | int | float
# One error is told, so none is gathered after it: a body of a million wrong items would take minutes, and gigabytes.
Metadata = Annotated[dict[Name, Scalar], Field(max_length=_MAX_METADATA), BeforeValidator(_few)]
Items = Annotated[list[T], Field(fail_fast=True)]


class Body(BaseModel):
    """A part of a request."""

    model_config = ConfigDict(extra="ignore", frozen=True, allow_inf_nan=False)


class Deciding(Body):
    """By what a request is decided, and what is shown of it.

    Attributes:
        target_risk: A certified share of wrong answers among those given, whose threshold decides.
        per: The field of `metadata` per whose value it was certified, where it was.
        score: The selection score to decide by, ``aspire`` or ``fused``; a run decides by its own alone.
        candidates: How many hypotheses of the search to show; withheld answers are among them.
    """

    target_risk: float | None = Field(default=None, gt=0, lt=1)
    per: Name | None = None
    score: Name | None = None
    candidates: int = Field(default=0, ge=0, le=1000)


class Options(Deciding):
    """What this server knows beside OpenAI's fields (`extra_body` of its client).

    Attributes:
        context: A passage to answer from.
        refusal: Say an abstention in `message.refusal` rather than in `message.content`.
        metadata: What else is known of the question; no part of what is asked.
    """

    context: Text | None = None
    refusal: bool = False
    metadata: Metadata | None = None


class StreamOptions(Body):
    """OpenAI's options of a stream."""

    include_usage: bool | None = False


class ContentPart(Body):
    """A block of a message.

    Attributes:
        type: Only ``text`` can be answered.
        name: ``context`` marks a passage.
    """

    type: Name
    text: Text | None = None
    name: Name | None = None


class Message(Body):
    """A message of a conversation.

    Attributes:
        name: ``context`` marks a passage.
    """

    role: Name
    content: Text | Items[ContentPart] | None = None
    name: Name | None = None


class _OpenAiRequest(Options):
    """What both of OpenAI's requests have.

    Attributes:
        model: A run by its name; may be left out where there is one.
        n, best_of: Nothing but 1.
        logprobs: Not served: the figures of an answer stand in `aspire`.
    """

    model: Name | None = None
    stream: bool | None = False
    stream_options: StreamOptions | None = None
    n: int | None = None
    best_of: int | None = None
    logprobs: bool | int | None = None


class ChatRequest(_OpenAiRequest):
    """`POST /v1/chat/completions`."""

    messages: Items[Message] = Field(min_length=1, max_length=1000)
    top_logprobs: int | None = None
    tools: list[Any] | None = None
    functions: list[Any] | None = None
    response_format: dict[str, Any] | None = None
    modalities: Items[Name] | None = None


class CompletionRequest(_OpenAiRequest):
    """`POST /v1/completions`: every prompt is a question."""

    prompt: Text | Items[Text] | Items[int] | Items[Items[int]]
    echo: bool | None = False
    suffix: Text | None = None


class Turn(Body):
    """An earlier question of a conversation with its answer."""

    question: Text
    answer: Text


class AskedQuestion(Body):
    """A question of `POST /v1/answer`."""

    question: Text
    context: Text | None = None
    history: Items[Turn] = Field(default=[], max_length=1000)
    id: Annotated[str, StringConstraints(max_length=1024)] | None = None
    metadata: Metadata | None = None


class AnswerRequest(Deciding):
    """`POST /v1/answer`.

    Attributes:
        model: A run by its name; may be left out where there is one.
        questions: Texts, or objects.
    """

    model: Name | None = None
    questions: Items[Text | AskedQuestion] = Field(min_length=1)


class Problem(Body):
    """The object of an error."""

    message: str
    type: Literal["invalid_request_error", "authentication_error", "rate_limit_error", "server_error"]
    param: str | None
    code: str | None


class ErrorBody(Body):
    """What every error answers."""

    error: Problem
