"""OpenAI's messages as one question, or why they are none.

The last message of the user is the question; what the user and the assistant said before is its history; system text,
and a message or block whose `name` is ``context``, is its context.
"""

from collections.abc import Sequence

from aspire_llm.records import Question
from aspire_llm.serving.errors import bad_request, limit_questions
from aspire_llm.serving.schema import ChatRequest, CompletionRequest, ContentPart, Message
from aspire_llm.serving.settings import System

_SYSTEM = ("system", "developer")
_CONTEXT = "context"


def question_of_chat(request: ChatRequest, id: str, system: System) -> Question:
    """The question that a conversation ends with.

    Args:
        request: Of the client.
        id: The question's.
        system: What text of the system role is.

    Raises:
        ApiError: It holds what a question cannot be made of: images, tools, no question at its end.
    """
    _refuse_what_is_no_question(request)
    passages, turns = [], []
    for place, message in enumerate(request.messages):
        where = f"messages[{place}]"
        said, context = _texts(message, where)
        passages += context
        if message.role in _SYSTEM:
            passages += [said] if system == "context" and said else []
        elif said:
            turns.append((message.role, said))
    if request.context is not None:
        passages.append(request.context)
    question, history = _question_and_history(turns)
    metadata = dict(request.metadata or {})
    return Question(id, question, context="\n\n".join(passages) or None, history=history, metadata=metadata)


def questions_of_completion(request: CompletionRequest, id: str, max_questions: int) -> list[Question]:
    """Every prompt as a question.

    Raises:
        ApiError: There are too many, a prompt is of token ids, or the answer is to be put into a text.
    """
    _refuse_choices(request)
    if request.echo or request.suffix:
        raise bad_request(
            "an answer is no continuation: leave out echo and suffix", "echo" if request.echo else "suffix"
        )
    prompts = [request.prompt] if isinstance(request.prompt, str) else request.prompt
    if not prompts or not all(isinstance(prompt, str) for prompt in prompts):
        raise bad_request("prompt must be a text or a list of texts, not token ids", "prompt")
    limit_questions(len(prompts), max_questions)
    metadata = dict(request.metadata or {})
    return [
        Question(f"{id}-{place}", str(prompt), context=request.context or None, metadata=metadata)
        for place, prompt in enumerate(prompts)
    ]


def _refuse_what_is_no_question(request: ChatRequest) -> None:
    _refuse_choices(request)
    if request.top_logprobs:
        raise bad_request(_NO_LOGPROBS, "top_logprobs")
    if request.tools or request.functions:
        param = "tools" if request.tools else "functions"
        raise bad_request("tools and functions are not called: leave them out", param)
    if request.modalities and set(request.modalities) != {"text"}:
        raise bad_request("answers are text alone", "modalities")
    kind = (request.response_format or {}).get("type", "text")
    if kind != "text":
        raise bad_request(f"answers are plain text; response_format {kind!r} cannot be kept", "response_format")


_NO_LOGPROBS = "log-probabilities of tokens are not served; aspire.confidence says how sure it is"


def _refuse_choices(request: ChatRequest | CompletionRequest) -> None:
    for name, value in (("n", request.n), ("best_of", request.best_of)):
        if value not in (None, 1):
            raise bad_request(f"{name} must be 1; candidates shows other hypotheses", name)
    if request.logprobs is not None and request.logprobs is not False:
        raise bad_request(_NO_LOGPROBS, "logprobs")


def _texts(message: Message, where: str) -> tuple[str, list[str]]:
    """What a message says, and the passages in it."""
    if message.role not in (*_SYSTEM, "user", "assistant"):
        raise bad_request(f"role {message.role!r} cannot be mapped to a question; use system, user, assistant", where)
    if message.content is None:
        return "", []
    parts = [ContentPart(type="text", text=message.content)] if isinstance(message.content, str) else message.content
    for number, part in enumerate(parts):
        if part.type not in ("text", "refusal") or part.text is None:
            raise bad_request(
                f"a block of type {part.type!r} cannot be answered; use blocks of type 'text'",
                f"{where}.content[{number}]",
            )
    marked = [part.text or "" for part in parts if _CONTEXT in (message.name, part.name)]
    said = [part.text or "" for part in parts if _CONTEXT not in (message.name, part.name)]
    return "\n".join(said), [passage for passage in marked if passage]


def _question_and_history(turns: Sequence[tuple[str, str]]) -> tuple[str, tuple[tuple[str, str], ...]]:
    """The last thing that the user said, and what was said before, question by answer.

    What one side said in several messages in a row is one turn.
    """
    joined: list[tuple[str, str]] = []
    for role, said in turns:
        if joined and joined[-1][0] == role:
            joined[-1] = role, f"{joined[-1][1]}\n{said}"
        else:
            joined.append((role, said))
    if not joined or joined[-1][0] != "user":
        raise bad_request("the last message must be the user's question", "messages")
    before = joined[:-1]
    if before and before[0][0] == "assistant":
        before = before[1:]  # a greeting answers nothing
    pairs = zip(before[::2], before[1::2], strict=True)
    return joined[-1][1], tuple((asked[1], answer[1]) for asked, answer in pairs)
