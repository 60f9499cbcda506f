"""The tasks that claims are measured on: configurations beside this file, run from several seeds."""

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

from aspire_llm.config import RunConfig
from aspire_llm.config_files import load_config

HERE = Path(__file__).parent


@dataclass(frozen=True, slots=True)
class Task:
    """One task.

    Attributes:
        name: Of its runs and its options.
        title: What the page calls it.
        setting: What is asked of which model, in a sentence or two.
        source: The option that says where its questions are, where they come from outside of the package.
        model: The option that says where its model is, where that is none of the package's presets.
        settings_of: The task whose configuration it takes; None where it has one of its own, under its name.
        changes: To the configuration.
        untuned: Whether its answers before tuning are what counts.
        labels: Labelled questions that are learned from and validated on; None where this is no point of their curve.
    """

    name: str
    title: str
    setting: str
    source: str | None = None
    model: str | None = None
    settings_of: str | None = None
    changes: tuple[tuple[str, object], ...] = ()
    untuned: bool = False
    labels: int | None = None

    def config(self, seed: int, places: Mapping[str, str | None]) -> RunConfig:
        """The settings of one of its runs.

        Args:
            seed: Of the run.
            places: Of questions and models, by option.
        """
        changes: list[tuple[str, object]] = [("seed", seed), *self.changes]
        if self.source is not None:
            changes.append(("data.train", places[self.source]))
        if self.model is not None:
            changes.append(("model", places[self.model]))
        return load_config(HERE / f"{self.settings_of or self.name}.yaml", changes)


def _few_labels(train: int, validation: int) -> Task:
    labels = train + validation
    sizes = {"train": train, "validation": validation, "test": 1200}
    return Task(
        f"facts-{labels}",
        f"World facts with {labels:,} labels",
        "",
        settings_of="facts",
        changes=tuple((f"data.splits.{split}", size) for split, size in sizes.items()),
        labels=labels,
    )


TASKS = (
    Task(
        "facts",
        "World facts, closed book",
        "SmolLM2-135M-Instruct answers questions about countries, cities, elements and codes from memory. θp (LoRA) is "
        "tuned on 600 questions, samples come from 1,000 others, no two splits share an entity.",
        labels=1900,
    ),
    Task(
        "squad",
        "Reading: SQuAD v1.1",
        "SmolLM2-135M-Instruct answers from a passage. Splits are cut by article.",
        source="squad",
    ),
    Task(
        "world",
        "The embedded invented world",
        "A model of 2.8 million parameters, and questions about the encyclopedia it was trained on.",
    ),
    Task(
        "squad2",
        "Reading, with questions that have no answer: SQuAD v2",
        "SmolLM2-135M-Instruct answers from a passage, or says nothing. Splits are cut by article.",
        source="squad2",
        settings_of="squad",
    ),
    Task(
        "triviaqa",
        "Trivia, closed book: TriviaQA",
        "SmolLM2-135M-Instruct answers from memory. θp is tuned on 1,125 questions, samples come from 1,875 others.",
        source="triviaqa",
    ),
    Task(
        "gemma",
        "World facts with another model: Gemma 3 270M",
        "The base model (Q4_K_M, as float32), with the settings that were chosen for SmolLM2.",
        model="gemma",
        settings_of="facts",
    ),
    Task(
        "examples",
        "World facts, Gemma 3 270M without tuning",
        "The base model, shown eight solved questions before each.",
        model="gemma",
        untuned=True,
    ),
    *(_few_labels(*sizes) for sizes in ((50, 50), (150, 100), (350, 150), (750, 250))),
)
