"""OpenAI's schema, by its own client and by hand."""

import json
import threading
from pathlib import Path

import openai
import pytest
from openai import OpenAI
from serving.live import Live, live

from aspire_llm import Prediction, SelectivePredictor
from aspire_llm.serving.asking import Pending

QUESTION = "Where was piano 7 built?"
OTHER = "Where was piano 12 built?"
ASKED = [{"role": "user", "content": QUESTION}]


@pytest.fixture(scope="module")
def client(served: Live) -> OpenAI:
    return OpenAI(base_url=f"{served.url}/v1", api_key="none is needed", max_retries=0)


@pytest.fixture(scope="module")
def predictor(finished: Path) -> SelectivePredictor:
    return SelectivePredictor.load(finished)


@pytest.fixture(scope="module")
def expected(predictor: SelectivePredictor) -> Prediction:
    return predictor.predict([QUESTION])[0]


def test_the_official_client_gets_what_the_predictor_says(client: OpenAI, expected: Prediction) -> None:
    name = client.models.list().data[0].id
    assert client.models.retrieve(name).id == name == "whole"
    got = client.chat.completions.create(model=name, messages=ASKED)
    choice = got.choices[0]
    assert choice.message.content == expected.text
    assert (choice.finish_reason, choice.message.refusal) == ("stop", None)
    said = choice.model_extra["aspire"]
    assert (said["abstained"], said["reason"]) == (expected.abstained, expected.reason)
    assert said["selection_score"] == pytest.approx(expected.scored.selection_score, abs=1e-5)
    assert said["confidence"] == pytest.approx(expected.confidence, abs=1e-5)
    assert "aspire" not in choice.message.model_dump()
    given = 0 if expected.abstained else expected.sampled.num_tokens
    assert (got.usage.completion_tokens, got.usage.total_tokens) == (given, got.usage.prompt_tokens + given)


def test_the_main_figures_stand_in_headers(served: Live, expected: Prediction) -> None:
    headers = served.chat(QUESTION).headers
    assert float(headers["x-aspire-confidence"]) == pytest.approx(expected.confidence, abs=1e-4)
    assert headers["x-aspire-abstained"] == str(expected.abstained).lower()


def test_a_stream_says_the_same(client: OpenAI, expected: Prediction) -> None:
    stream = client.chat.completions.create(
        model="whole", messages=ASKED, stream=True, stream_options={"include_usage": True}
    )
    pieces = list(stream)
    assert "".join(own.choices[0].delta.content or "" for own in pieces if own.choices) == expected.text
    assert [own.choices[0].finish_reason for own in pieces if own.choices][-1] == "stop"
    assert pieces[-2].choices[0].model_extra["aspire"]["abstained"] == expected.abstained
    assert (pieces[-1].choices, pieces[-1].usage.total_tokens > 0) == ([], True)


def test_a_slow_stream_pings_before_its_verdict_and_ends_with_done(finished: Path, expected: Prediction) -> None:
    with (
        live([finished], ping=0.0, batch_wait=0.3) as own,
        own.client.stream("POST", "/v1/chat/completions", json={"messages": ASKED, "stream": True}) as response,
    ):
        lines = [line for line in response.iter_lines() if line]
    assert response.headers["content-type"].startswith("text/event-stream")
    first = next(place for place, line in enumerate(lines) if not line.startswith(":"))
    assert first > 0
    assert lines[-1] == "data: [DONE]"
    said = [json.loads(line.removeprefix("data: ")) for line in lines[first:-1]]
    assert "".join(own["choices"][0]["delta"].get("content", "") for own in said) == expected.text


def test_completions_answer_every_prompt(client: OpenAI, predictor: SelectivePredictor) -> None:
    got = client.completions.create(model="whole", prompt=[QUESTION, OTHER])
    assert [own.text for own in got.choices] == [own.text for own in predictor.predict([QUESTION, OTHER])]
    assert [own.index for own in got.choices] == [0, 1]
    stream = client.completions.create(model="whole", prompt=QUESTION, stream=True)
    assert "".join(own.choices[0].text for own in stream) == got.choices[0].text


def test_what_a_client_sends_beside_is_ignored(client: OpenAI, expected: Prediction) -> None:
    got = client.chat.completions.create(
        model="whole",
        messages=ASKED,
        temperature=0.7,
        max_tokens=1,
        seed=3,
        stop=["x"],
        user="me",
        tools=[],
        response_format={"type": "text"},
        extra_body={"a field of tomorrow": {"deep": [1]}},
    )
    assert got.choices[0].message.content == expected.text


def test_candidates_are_the_hypotheses_of_the_search(client: OpenAI, expected: Prediction) -> None:
    got = client.chat.completions.create(model="whole", messages=ASKED, extra_body={"candidates": 3})
    shown = got.choices[0].model_extra["aspire"]["candidates"]
    beams = expected.scored.evidence.beams[:3]
    assert [own["text"] for own in shown] == [beam.text for beam in beams]
    assert [own["log_likelihood"] for own in shown] == pytest.approx([beam.log_likelihood for beam in beams], abs=1e-5)


@pytest.fixture
def withholding(finished: Path, client: OpenAI) -> dict:
    """A choice whose target nothing certifies."""
    got = client.chat.completions.create(
        model="whole", messages=ASKED, extra_body={"target_risk": 0.01, "refusal": True}
    )
    return got.choices[0].model_dump()


def test_an_abstention_is_no_error_and_gives_nothing_away(withholding: dict, client: OpenAI, expected: Prediction):
    plain = client.chat.completions.create(model="whole", messages=ASKED, extra_body={"target_risk": 0.01})
    assert (plain.choices[0].message.content, plain.choices[0].finish_reason) == ("I don't know", "stop")
    assert plain.choices[0].message.refusal is None
    assert (withholding["message"]["content"], withholding["message"]["refusal"]) == (None, "I don't know")
    assert withholding["aspire"]["reason"] == "not_certified"
    assert withholding["aspire"]["threshold"] is None
    assert "cannot be certified" in withholding["aspire"]["guarantee"]["sentence"]
    assert plain.usage.completion_tokens == 0
    assert expected.sampled.text not in json.dumps(withholding)


@pytest.mark.parametrize(
    ("wrong", "param", "said"),
    [
        ({"n": 2}, "n", "must be 1"),
        ({"logprobs": True}, "logprobs", "not served"),
        ({"logprobs": True, "top_logprobs": 3}, "logprobs", "not served"),
        ({"tools": [{"type": "function", "function": {"name": "f"}}]}, "tools", "tools and functions"),
        ({"response_format": {"type": "json_object"}}, "response_format", "json_object"),
        ({"extra_body": {"score": "magic"}}, "score", "decides by its"),
        ({"extra_body": {"candidates": 500}}, "candidates", "keeps"),
        ({"extra_body": {"target_risk": 0.123}}, "target_risk", "0.123"),
        ({"extra_body": {"target_risk": 7}}, "target_risk", "less than 1"),
        ({"extra_body": {"per": "kind"}}, "per", "target_risk"),
        ({"messages": [{"role": "tool", "content": "x", "tool_call_id": "1"}]}, "messages[0]", "tool"),
        ({"messages": [{"role": "user", "content": "  "}]}, "messages", "messages: 'question' is empty"),
        ({"messages": [{"role": "assistant", "content": "Paris"}]}, "messages", "last message"),
        (
            {"messages": [{"role": "user", "content": [{"type": "image_url", "image_url": {"url": "data:,"}}]}]},
            "messages[0].content[0]",
            "image_url",
        ),
    ],
)
def test_what_cannot_be_kept_is_a_400_that_says_so(client: OpenAI, wrong: dict, param: str | None, said: str) -> None:
    with pytest.raises(openai.BadRequestError, match=said) as caught:
        client.chat.completions.create(**{"model": "whole", "messages": ASKED, **wrong})
    assert caught.value.param == param
    assert caught.value.type == "invalid_request_error"


def test_other_errors_have_their_status(client: OpenAI, served: Live) -> None:
    with pytest.raises(openai.NotFoundError, match="served are whole") as missing:
        client.chat.completions.create(model="gpt-9", messages=ASKED)
    assert missing.value.code == "model_not_found"
    with pytest.raises(openai.UnprocessableEntityError, match=r"has \d+ tokens, .* leaves \d+") as long:
        client.chat.completions.create(model="whole", messages=[{"role": "user", "content": "Who? " * 300}])
    assert long.value.code == "context_length_exceeded"
    assert served.client.get("/v1/nowhere").status_code == 404
    assert served.client.get("/v1/chat/completions").json()["error"]["type"] == "invalid_request_error"


def test_tokens_instead_of_a_text_are_refused(served: Live) -> None:
    for prompt in ([1, 2, 3], [[1, 2]], []):
        response = served.post("/v1/completions", prompt=prompt)
        assert (response.status_code, response.json()["error"]["param"]) == (400, "prompt"), prompt
    assert served.post("/v1/completions", prompt="Who?", echo=True).json()["error"]["param"] == "echo"


def test_what_breaks_after_a_stream_began_is_told_in_it(finished: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def broken(*_: object) -> None:
        raise RuntimeError("a secret of the model")

    monkeypatch.setattr("aspire_llm.serving.routes_openai.chunks", broken)
    with live([finished], ping=0.0, batch_wait=0.3) as own:
        client = OpenAI(base_url=f"{own.url}/v1", api_key="none is needed", max_retries=0)
        with pytest.raises(openai.APIError, match="the server's log says more") as caught:
            list(client.chat.completions.create(model="whole", messages=ASKED, stream=True))
        assert "secret" not in str(caught.value)


def test_a_stream_whose_client_goes_is_given_up(finished: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    cancelled = threading.Event()
    cancel = Pending.cancel

    def noted(self: Pending) -> None:
        if not self._all.done():
            cancelled.set()
        cancel(self)

    monkeypatch.setattr(Pending, "cancel", noted)
    with live([finished], ping=0.05, batch_wait=3.0) as own:
        with own.client.stream("POST", "/v1/chat/completions", json={"messages": ASKED, "stream": True}) as response:
            assert next(response.iter_lines()).startswith(":")
        assert cancelled.wait(10)
