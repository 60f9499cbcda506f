"""The embedded default: a small language model and the questions about the synthetic encyclopedia it was trained on.

Needs no network. `scripts/demo_model/train.py` made the files in `MODEL_DIR`.
"""

import os
from pathlib import Path

from aspire_llm.demo.world import build_world, questions
from aspire_llm.records import Question

__all__ = ["DEMO_SEED", "MODEL_DIR", "demo_questions", "find_run"]

DEMO_SEED = 2023
"""The seed of the world that the model in `MODEL_DIR` was trained on."""

MODEL_DIR = Path(__file__).parent / "model"
"""A folder that `AutoModelForCausalLM` and `AutoTokenizer` load."""


_RUN_DIR = Path(__file__).parent / "run"


def find_run(run: str | Path) -> Path:
    """The directory of a run; ``demo`` is the finished one in this package, where no folder of that name is here."""
    return _RUN_DIR if str(run) == "demo" and not os.path.exists("demo") else Path(run)


def demo_questions() -> list[Question]:
    """All 10,320 questions about the world of the model; `group` is the entity asked about."""
    return questions(build_world(DEMO_SEED))
