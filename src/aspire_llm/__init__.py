"""Selective prediction for language models: answer when sure, say "I don't know" when not (ASPIRE)."""

from importlib import import_module
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from aspire_llm.cascade import Cascade
    from aspire_llm.config import RunConfig
    from aspire_llm.data import load_questions
    from aspire_llm.errors import AspireError
    from aspire_llm.pipeline import run
    from aspire_llm.predictor import SelectivePredictor
    from aspire_llm.records import Prediction, Question

__all__ = [
    "AspireError",
    "Cascade",
    "Prediction",
    "Question",
    "RunConfig",
    "SelectivePredictor",
    "load_questions",
    "run",
]

_HOMES = {
    "AspireError": "errors",
    "Cascade": "cascade",
    "Prediction": "records",
    "Question": "records",
    "RunConfig": "config",
    "SelectivePredictor": "predictor",
    "load_questions": "data",
    "run": "pipeline",
}


def __getattr__(name: str) -> Any:
    """Import a public name when it is asked for: the model libraries take seconds, and not every command needs them."""
    if name not in _HOMES:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    return getattr(import_module(f".{_HOMES[name]}", __name__), name)
