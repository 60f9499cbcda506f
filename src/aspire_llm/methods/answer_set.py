"""One model's answers to the test questions, and all that methods need to score them: made once, stored once.

Nothing here imports torch: methods that follow from stored answers alone are scored without it.
"""

import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import TYPE_CHECKING, TypeVar

import numpy as np
from numpy.typing import NDArray

from aspire_llm.config import RunConfig
from aspire_llm.errors import AspireError, RunDirectoryError
from aspire_llm.lm.batching import by_length
from aspire_llm.lm.model_files import model_digest
from aspire_llm.progress import progress
from aspire_llm.records import DrawnAnswer, Prediction, Question, SampledAnswer, Split, UntunedAnswer
from aspire_llm.results.identity import digest_of_run
from aspire_llm.results.samples import DrawnAnswers, drawn_answers_file
from aspire_llm.selection import Part, Scoring

if TYPE_CHECKING:
    from aspire_llm.lm.answer_features import AnswerFeatures
    from aspire_llm.lm.tokenization import EncodedPrompt
    from aspire_llm.methods.source import ModelSource
    from aspire_llm.stages.stage3_self_evaluation import VerdictExample

T = TypeVar("T")
BATCHES_AT_ONCE = 4  # batches between two writes: questions among them are sorted by length


@dataclass(frozen=True, slots=True)
class Judged:
    """Answers with ASPIRE's own labels, as stage 3 learns from them.

    Attributes:
        prompts: Of the questions.
        answers: Token ids of each question's answers, the correct ones first.
        correct: Of all answers in order, boolean `[sum of answers]`.
        weights: As in stage 3's loss: a question's correct answers weigh one together, and so do its wrong ones.
    """

    prompts: "list[EncodedPrompt]"
    answers: list[list[tuple[int, ...]]]
    correct: NDArray[np.bool_]
    weights: NDArray[np.float64]

    @classmethod
    def of(cls, examples: "Sequence[VerdictExample]") -> "Judged":
        """From the examples of stage 3."""
        correct, weights = [], []
        for example in examples:
            for label, own in ((True, example.correct), (False, example.wrong)):
                correct += [label] * len(own)
                weights += [1 / max(1, len(own))] * len(own)
        return cls(
            prompts=[example.prompt for example in examples],
            answers=[[*example.correct, *example.wrong] for example in examples],
            correct=np.array(correct),
            weights=np.array(weights),
        )


class AnswerSet:
    """One answer to each test question.

    Args:
        folder: Where the answers are stored, and what is drawn for them.
        config: Of the run.
        questions: The test questions.
        given: Their stored answers, in the same order; methods score the likeliest, whichever are given.
        source: Loads the model behind them.
        validation: Makes predictions for the validation split.
        suffix: Tells the files of the untuned model's answers from those of the tuned one's.

    Raises:
        RunDirectoryError: The answers are to other questions, or to some of them only.
    """

    def __init__(
        self,
        folder: Path,
        config: RunConfig,
        questions: Sequence[Question],
        given: Sequence[Prediction] | Sequence[UntunedAnswer],
        *,
        source: "Callable[[], ModelSource]",
        validation: Callable[[], list[Prediction]],
        suffix: str = "",
    ) -> None:
        if [question.id for question in questions] != [own.question.id for own in given]:
            raise RunDirectoryError(
                f"{folder}: the stored answers are not those to the {len(questions)} test questions; the run "
                "is not finished (run aspire-llm run again) or its data have changed (use --fresh)"
            )
        self.folder, self.config, self.questions, self.given = folder, config, questions, given
        self.suffix = suffix
        self._load_source, self._validation = source, validation
        self.offline_seconds = self.reading_seconds = 0.0

    @property
    def ids(self) -> tuple[str, ...]:
        """Of the questions."""
        return tuple(question.id for question in self.questions)

    @property
    def sampled(self) -> list[SampledAnswer]:
        """The likeliest answers themselves."""
        return [own.sampled for own in self.predictions or self.given]

    @property
    def predictions(self) -> list[Prediction]:
        """The likeliest answers with the model's verdicts; only the tuned model gives any."""
        return [own.likeliest for own in self.given if isinstance(own, Prediction)]

    def scored_by(self, scoring: Scoring | Part) -> list[float]:
        """A selection score of each answer, or one part of what such scores are made from.

        Raises:
            ModelError: The run does not know of its answers what that takes.
        """
        score = scoring.of if isinstance(scoring, Part) else scoring.score
        return [score(prediction.scored.evidence) for prediction in self.predictions]

    @cached_property
    def validation_predictions(self) -> list[Prediction]:
        """Predictions for the validation split, for what is chosen there."""
        with self.offline():
            return self._validation()

    @cached_property
    def source(self) -> "ModelSource":
        """The model that gave the answers."""
        return self._load_source()

    @cached_property
    def drawn(self) -> list[DrawnAnswers]:
        """What was drawn for each question; drawn where it is not stored yet."""
        size = BATCHES_AT_ONCE * self.config.stage2.batch_size
        title = f"samples for rivals{self.suffix}"
        return drawn_answers_file(self.suffix).fill(
            self.folder, title, self.ids, size, lambda places: self.source.draw(places, self.config)
        )

    @property
    def samples(self) -> list[tuple[DrawnAnswer, ...]]:
        """m answers drawn for each question."""
        return [own.samples for own in self.drawn]

    def sampling_cost(self) -> tuple[float, float]:
        """Mean seconds and generated tokens per question of the samples."""
        tokens = sum(len(sample.log_probs) for own in self.drawn for sample in own.samples)
        return sum(own.seconds for own in self.drawn) / len(self.drawn), tokens / len(self.drawn)

    @cached_property
    def features(self) -> "list[AnswerFeatures]":
        """Of the answers; `reading_seconds` is what they took."""
        prompts = self.source.prompts
        started = time.perf_counter()
        found = self.read("reading the answers", prompts, [[answer.token_ids] for answer in self.sampled])
        self.reading_seconds = time.perf_counter() - started
        return [own[0] for own in found]

    @cached_property
    def judged(self) -> "Mapping[Split, tuple[Judged, list[AnswerFeatures]]]":
        """Stage 3's answers of the training and validation splits with their features, in the order of the labels."""
        result = {}
        with self.offline():
            for split in (Split.TRAIN, Split.VALIDATION):
                judged = Judged.of(self.source.examples(split))
                read = self.read(f"reading {split.value} answers", judged.prompts, judged.answers)
                result[split] = (judged, [features for own in read for features in own])
        return result

    def read(
        self, title: str, prompts: "Sequence[EncodedPrompt]", answers: Sequence[Sequence[tuple[int, ...]]]
    ) -> "list[list[AnswerFeatures]]":
        """Features of any answers of this model.

        Args:
            title: Of the progress bar.
            prompts: The questions.
            answers: Token ids of each question's answers.
        """

        def read(indices: Sequence[int]) -> "list[list[AnswerFeatures]]":
            return self.source.features([prompts[i] for i in indices], [answers[i] for i in indices])

        return self.in_batches(title, prompts, read)

    def in_batches(
        self, title: str, prompts: "Sequence[EncodedPrompt]", compute: Callable[[Sequence[int]], Sequence[T]]
    ) -> list[T]:
        """Apply `compute` to batches of indices of prompts of like length.

        Args:
            title: Of the progress bar.
            prompts: One per result.
            compute: The results of some of them.

        Returns:
            The results in the order of the prompts.
        """
        lengths = [len(prompt.token_ids) for prompt in prompts]
        with progress(title, len(lengths)) as bar:

            def computed(indices: Sequence[int]) -> Sequence[T]:
                results = compute(indices)
                bar.update(len(indices))
                return results

            return by_length(lengths, self.config.stage2.batch_size, computed)

    @cached_property
    def other_models(self) -> dict[str, str | None]:
        """Digests of the models that methods ask beside the run's own, by the setting that names them; None where
        there is none, or none that can be read.
        """
        nli, judge = self.config.rivals.nli_model, self.config.rivals.judge
        found: dict[str, str | None] = {"rivals.nli_model": None, "rivals.judge": None}
        with suppress(AspireError):  # who needs it loads it, and says what is wrong
            found["rivals.nli_model"] = model_digest(nli) if nli else None
        with suppress(AspireError):
            found["rivals.judge"] = digest_of_run(judge) if judge else None
        return found

    @contextmanager
    def offline(self) -> Iterator[None]:
        """Time spent within is not a cost of scoring: it is spent once, before the first question."""
        started = time.perf_counter()
        try:
            yield
        finally:
            self.offline_seconds += time.perf_counter() - started
