"""The tasks that claims are measured on: each a configuration beside this file, run from several seeds."""

from dataclasses import dataclass
from pathlib import Path

from aspire_llm.config import RunConfig
from aspire_llm.config_files import load_config

HERE = Path(__file__).parent


@dataclass(frozen=True, slots=True)
class Task:
    """One task.

    Attributes:
        name: Of its configuration, its runs and its options.
        title: What the page calls it.
        setting: What is asked of which model, in a sentence or two.
        has_source: Whether its questions come from outside of the package.
    """

    name: str
    title: str
    setting: str
    has_source: bool = False

    def config(self, seed: int, source: str | None = None) -> RunConfig:
        """The settings of one of its runs."""
        changes: list[tuple[str, object]] = [("seed", seed)]
        if source is not None:
            changes.append(("data.train", source))
        return load_config(HERE / f"{self.name}.yaml", changes)


TASKS = (
    Task(
        "facts",
        "World facts, closed book",
        "SmolLM2-135M-Instruct answers questions about countries, cities, elements and codes from memory. θp (LoRA) is "
        "tuned on 600 questions, samples come from 1,000 others, no two splits share an entity.",
    ),
    Task(
        "squad",
        "Reading: SQuAD v1.1",
        "SmolLM2-135M-Instruct answers from a passage. Splits are cut by article.",
        has_source=True,
    ),
    Task(
        "world",
        "The embedded invented world",
        "A model of 2.8 million parameters, and questions about the encyclopedia it was trained on.",
    ),
)
