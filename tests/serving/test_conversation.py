"""Messages as a question."""

import pytest

from aspire_llm.records import Question
from aspire_llm.serving.conversation import question_of_chat
from aspire_llm.serving.errors import ApiError
from aspire_llm.serving.schema import ChatRequest
from aspire_llm.serving.settings import System


def question(*messages: dict, system: System = "context", **more) -> Question:
    return question_of_chat(ChatRequest.model_validate({"messages": list(messages), **more}), "id", system)


def said(role: str, content, **more) -> dict:
    return {"role": role, "content": content, **more}


def test_the_last_message_of_the_user_is_the_question() -> None:
    own = question(said("user", "Who wrote it?"), metadata={"kind": "book"})
    assert own == Question("id", "Who wrote it?")
    assert own.metadata == {"kind": "book"}


def test_what_was_said_before_is_its_history() -> None:
    own = question(said("user", "Who?"), said("assistant", "Ada"), said("user", "When?"))
    assert (own.question, own.history) == ("When?", (("Who?", "Ada"),))


def test_a_side_that_speaks_twice_says_one_thing_and_a_greeting_answers_nothing() -> None:
    own = question(
        said("assistant", "Hello!"),
        said("user", "I read a book."),
        said("user", "Who wrote it?"),
        said("assistant", "Ada"),
        said("assistant", "Vorn"),
        said("user", "When?"),
    )
    assert own.history == (("I read a book.\nWho wrote it?", "Ada\nVorn"),)


def test_context_is_system_text_marked_messages_marked_blocks_and_the_field() -> None:
    blocks = [{"type": "text", "text": "Third.", "name": "context"}, {"type": "text", "text": "Who?"}]
    own = question(
        said("system", "First."), said("user", "Second.", name="context"), said("user", blocks), context="Fourth."
    )
    assert (own.question, own.context) == ("Who?", "First.\n\nSecond.\n\nThird.\n\nFourth.")
    assert own.history == ()


def test_system_text_may_be_ignored_but_what_is_marked_is_not() -> None:
    messages = [said("developer", "Be kind."), said("system", "A passage.", name="context"), said("user", "Who?")]
    assert question(*messages, system="ignore").context == "A passage."
    assert question(said("system", "Be kind."), said("user", "Who?"), system="ignore").context is None


@pytest.mark.parametrize(
    ("messages", "param"),
    [
        ([said("user", "Who?"), said("assistant", "Ada")], "messages"),
        ([said("system", "Only this.")], "messages"),
        ([said("user", None)], "messages"),
        ([said("function", "x")], "messages[0]"),
        ([said("user", "Who?"), said("user", [{"type": "input_audio"}])], "messages[1].content[0]"),
        ([said("user", [{"type": "text"}])], "messages[0].content[0]"),
    ],
)
def test_what_is_no_question_is_refused_where_it_stands(messages: list[dict], param: str) -> None:
    with pytest.raises(ApiError) as caught:
        question(*messages)
    assert (caught.value.status, caught.value.param) == (400, param)
