"""The settings of a run that say what is read: the data, their splits, and how a question is put to the model."""

from collections.abc import Collection
from pathlib import Path
from typing import Annotated, Literal

from pydantic import BaseModel, ConfigDict, Field, model_validator

from aspire_llm.records import Split

DATA_NAMES = ("coqa", "demo", "facts", "nq_open", "squad", "squad_v2", "triviaqa")  # that go by a name of ours

_LARGEST = 2**31 - 1  # of a count: products of several still fit what Python and torch index with
Count = Annotated[int, Field(ge=1, le=_LARGEST)]
CountOrZero = Annotated[int, Field(ge=0, le=_LARGEST)]  # of what there may be nothing of
# A whole number counts questions; a fraction below 1 is a share of the data set.
SplitSize = Count | Annotated[float, Field(gt=0, lt=1)]


class Section(BaseModel):
    """Settings that belong together: frozen, without a key that is not known, and every number of them finite."""

    model_config = ConfigDict(frozen=True, extra="forbid", allow_inf_nan=False)


class SplitSizes(Section):
    """Size of each split, in questions (a whole number) or as a share of the data set (below 1).

    Whole numbers are met exactly, shares nearly. `train` takes what the others leave where it is not given. A split
    with a source of its own has all of it, or a whole number of its questions.
    """

    train: SplitSize | None = None
    validation: SplitSize = 0.1
    calibration: SplitSize = 0.1
    test: SplitSize = 0.3

    def counts(self, num_questions: int, *, without: Collection[Split] = ()) -> tuple[dict[Split, int], set[Split]]:
        """What is asked of each split, out of `num_questions`.

        Args:
            num_questions: All there are.
            without: Splits that have questions of their own.

        Returns:
            The number of questions of each other split, and those splits that were not given as whole numbers.
        """
        sizes = {split: getattr(self, split.value) for split in Split if split not in without}
        counts = {
            split: size if isinstance(size, int) else int(size * num_questions + 1e-9)  # 0.29 of 100 is 29
            for split, size in sizes.items()
            if size is not None
        }
        if self.train is None:
            counts = {Split.TRAIN: num_questions - sum(counts.values()), **counts}
        return counts, {split for split, size in sizes.items() if not isinstance(size, int)}


class DataConfig(Section):
    """Where the questions come from and how many go to each split.

    Attributes:
        path: A local file or folder; exclusive with `name`.
        name: A data set that loads by name (``demo``, ``facts``, ``squad``, ``squad:SPLIT``, …) or
            ``hf:OWNER/NAME[:CONFIG[:SPLIT]]``.
        train: The same as `path` or `name`, whichever it means; exclusive with both.
        validation, calibration, test: A source of its own for this split: a path, a name or a split on the hub. What
            has none is cut from the training source.
        limit: Use this many questions of each source, drawn at random, where there are more.
        max_train: Learn from this many of the training split's questions; the other splits stay as they are.
        num_examples: Few-shot examples before every question: the first training questions with an answer, which are
            then not learned from.
        splits: Size of each split.
    """

    path: Path | None = None
    name: str | None = None
    train: str | None = None
    validation: str | None = None
    calibration: str | None = None
    test: str | None = None
    limit: Count | None = None
    max_train: Count | None = None
    num_examples: CountOrZero = 0
    splits: SplitSizes = SplitSizes()

    @model_validator(mode="after")
    def _check(self) -> "DataConfig":
        given = [name for name in ("path", "name", "train") if getattr(self, name) is not None]
        if len(given) > 1:
            raise ValueError(f"{' and '.join(given)} are both set; give one of them")
        own = [split for split in Split if split != Split.TRAIN and getattr(self, split.value) is not None]
        if own and not given:
            raise ValueError(f"{own[0]} is set and nothing to learn from; give train too")
        return self

    @property
    def sources(self) -> dict[Split, str | Path]:
        """What to load: the training source (the embedded world where none is set), and those of other splits."""
        own = {split: source for split in Split if (source := getattr(self, split.value)) is not None}
        return {Split.TRAIN: self.path or (f"name:{self.name or 'demo'}" if self.train is None else self.train), **own}

    @property
    def source(self) -> str:
        """The sources for readers."""
        train = str(self.path) if self.path is not None else self.name or self.train or "demo"
        others = [f"{split} {source}" for split, source in self.sources.items() if split != Split.TRAIN]
        return ", ".join([f"train {train}", *others]) if others else train


class PromptsConfig(Section):
    """How questions stand before the model.

    Attributes:
        format: ``plain`` is ``Q: …\\nA:``, for base models and tuned ones alike; ``chat`` is the model's own chat
            template, with context and question as what the user says.
        template: A file with another chat template (Jinja).
    """

    format: Literal["plain", "chat"] = "plain"
    template: Path | None = None

    @model_validator(mode="after")
    def _check(self) -> "PromptsConfig":
        if self.template is not None and self.format != "chat":
            raise ValueError("template is a chat template; set format: chat too")
        return self
