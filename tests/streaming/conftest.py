"""No test here takes a model."""

import pytest
from streamed import StubPredictor


@pytest.fixture(autouse=True)
def stub(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("aspire_llm.predictor.SelectivePredictor.load", StubPredictor.load)
    monkeypatch.setattr(StubPredictor, "parts_left", None)
