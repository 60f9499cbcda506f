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
        changes: To the configuration, which is that of the name up to its hyphen.
        labels: Labelled questions that are learned from and validated on; None where this is no point of their curve.
    """

    name: str
    title: str
    setting: str
    has_source: bool = False
    changes: tuple[tuple[str, object], ...] = ()
    labels: int | None = None

    def config(self, seed: int, source: str | None = None) -> RunConfig:
        """The settings of one of its runs."""
        changes: list[tuple[str, object]] = [("seed", seed), *self.changes]
        if source is not None:
            changes.append(("data.train", source))
        return load_config(HERE / f"{self.name.partition('-')[0]}.yaml", changes)


def _few_labels(train: int, validation: int) -> Task:
    labels = train + validation
    sizes = {"train": train, "validation": validation, "test": 1200}
    return Task(
        f"facts-{labels}",
        f"World facts with {labels:,} labels",
        "",
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
        has_source=True,
    ),
    Task(
        "world",
        "The embedded invented world",
        "A model of 2.8 million parameters, and questions about the encyclopedia it was trained on.",
    ),
    *(_few_labels(*sizes) for sizes in ((50, 50), (150, 100), (350, 150), (750, 250))),
)
