"""The questions of a run: from one source, or from a source for each split that has one of its own."""

import sys
from collections.abc import Mapping, Set
from dataclasses import replace

from aspire_llm.config import RunConfig
from aspire_llm.data.reading import load_questions
from aspire_llm.data.splits import sample_evenly, split_questions
from aspire_llm.data_config import DataConfig
from aspire_llm.errors import DataError
from aspire_llm.records import Question, Split

Questions = tuple[Question, ...]

# Whose questions stay as they are where two sources share a group or an id: test figures are what is compared.
_PRECEDENCE = (Split.TEST, Split.CALIBRATION, Split.VALIDATION, Split.TRAIN)
_SEED_OF_OWN_SOURCES = 0  # a split with a source of its own is the same for every seed of a run


def load_splits(config: RunConfig) -> tuple[dict[Split, Questions], Questions]:
    """The questions of a run, split, and the few-shot examples, which are taken from the training split.

    Raises:
        DataError: The data cannot be read, a split asks for more questions than there are, or no training question is
            left beside the examples.
    """
    sources = _told_apart({split: load_questions(source) for split, source in config.data.sources.items()})
    cut = _cut(sources[Split.TRAIN], config.data, seed=config.seed)
    own = {split: _own(split, sources[split], config.data) for split in sources if split != Split.TRAIN}
    splits = {split: own[split] if split in own else cut[split] for split in Split}
    wanted = config.data.num_examples
    examples = tuple(question for question in splits[Split.TRAIN] if question.references)[:wanted]
    train = tuple(question for question in splits[Split.TRAIN] if question not in examples)[: config.data.max_train]
    if len(examples) < wanted or not train:
        raise DataError(
            f"data.num_examples is {wanted}, but the training split has {len(splits[Split.TRAIN])} questions; ask for "
            "fewer"
        )
    return splits | {Split.TRAIN: train}, examples


def _cut(questions: Questions, config: DataConfig, *, seed: int) -> dict[Split, Questions]:
    """The training split, and those without a source of their own, out of the training source."""
    available = len(questions) if config.limit is None else min(config.limit, len(questions))
    own = [split for split in config.sources if split != Split.TRAIN]
    counts, targets = config.splits.counts(available, without=own)
    in_words = f"{available} questions" + (f" (data.limit, of {len(questions)})" if available < len(questions) else "")
    if empty := [split.value for split, count in counts.items() if count < 1]:
        raise DataError(f"{in_words} leave none for {', '.join(empty)}; give data.splits in questions")
    if sum(counts.values()) > available:
        asked = " + ".join(f"{count} {split}" for split, count in counts.items())
        raise DataError(f"data.splits asks for {asked} = {sum(counts.values())} of {in_words}; ask for fewer")
    splits = split_questions(questions, counts, targets=targets, seed=seed)
    if empty := [split.value for split, chosen in splits.items() if not chosen]:
        groups = len({question.group for question in questions})
        raise DataError(
            f"{in_words} in {groups} groups leave none for {', '.join(empty)}, as no group may stand in two splits; "
            "rows of one passage are one group unless each has a 'group'"
        )
    return splits


def _own(split: Split, questions: Questions, config: DataConfig) -> Questions:
    """A split out of its own source: all of it, or as many questions as are asked for, drawn evenly over its groups."""
    size = getattr(config.splits, split.value)
    size = size if isinstance(size, int) else len(questions)
    if size > len(questions):
        raise DataError(f"data.splits.{split} asks for {size} of the {len(questions)} questions of data.{split}")
    size = size if config.limit is None else min(size, config.limit)
    if size == len(questions):
        return questions
    return sample_evenly(questions, size, seed=_SEED_OF_OWN_SOURCES)


def _told_apart(sources: Mapping[Split, list[Question]]) -> dict[Split, Questions]:
    """The questions of every source without those whose group stands in another one, and with ids of their own.

    Whatever stands in two sources stays in the test source, else in the calibration source, else in the validation
    source. A question whose id another source has is called after its own: ``train:ID``.
    """
    kept: dict[Split, Questions] = {}
    groups: set[str] = set()
    ids: set[str] = set()
    for split in (split for split in _PRECEDENCE if split in sources):
        own = [question for question in sources[split] if question.group not in groups]
        if dropped := len(sources[split]) - len(own):
            others = ", ".join(f"data.{other}" for other in kept)
            print(f"data.{split}: {dropped} questions left out, whose groups stand in {others} too", file=sys.stderr)
        if not own:
            raise DataError(
                f"data.{split}: every group of it stands in another split's source too; give other questions"
            )
        taken = ids | {question.id for question in own}
        kept[split] = tuple(replace(q, id=_of_its_own(q.id, split, taken)) if q.id in ids else q for q in own)
        groups.update(question.group for question in own)
        ids.update(question.id for question in kept[split])
    return kept


def _of_its_own(id: str, split: Split, taken: Set[str]) -> str:
    """An id that another source has, after the question's own source as often as it takes to be none of those."""
    while id in taken:
        id = f"{split}:{id}"
    return id
