"""One model's answers to the test questions, and all that methods need to score them: made once, stored once."""

import time
import zlib
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from functools import cached_property
from typing import Any, Protocol

import numpy as np
from numpy.typing import NDArray

from aspire_llm.config import RunConfig
from aspire_llm.errors import RunDirectoryError
from aspire_llm.lm.adapted_model import AdaptedModel
from aspire_llm.lm.answer_features import AnswerFeatures, answer_features, spread_layers
from aspire_llm.lm.batching import by_length
from aspire_llm.lm.decoding.sampling import sample_answers
from aspire_llm.lm.tokenization import EncodedPrompt, Encoder
from aspire_llm.progress import progress
from aspire_llm.records import DrawnAnswer, LabelledAnswer, Question, Split
from aspire_llm.results.lines import read_rival_samples, rival_samples_line
from aspire_llm.rundir.directory import RunDirectory, append_lines
from aspire_llm.stages.stage3_self_evaluation import VerdictExample

Line = dict[str, Any]
PARTS_AT_ONCE = 4  # batches between two writes


@dataclass(frozen=True, slots=True)
class Judged:
    """Answers with ASPIRE's own labels, as stage 3 learns from them.

    Attributes:
        prompts: Of the questions.
        answers: Token ids of each question's answers, the correct ones first.
        correct: Of all answers in order, boolean `[sum of answers]`.
        weights: As in stage 3's loss: a question's correct answers weigh one together, and so do its wrong ones.
    """

    prompts: list[EncodedPrompt]
    answers: list[list[tuple[int, ...]]]
    correct: NDArray[np.bool_]
    weights: NDArray[np.float64]

    @classmethod
    def of(cls, examples: Sequence[VerdictExample]) -> "Judged":
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


class Source(Protocol):
    """What a run offers beyond its stored answers; every part is made when it is first asked for."""

    @property
    def model(self) -> AdaptedModel:
        """The model that gave the answers; θs where it has one."""

    @property
    def encoder(self) -> Encoder:
        """Of that model."""

    @property
    def verdict_tokens(self) -> tuple[int, int]:
        """z_c and z_w."""

    def examples(self, split: Split) -> list[VerdictExample]:
        """What stage 3 learned from, and what it was validated on."""

    def sampled(self, split: Split) -> list[tuple[Question, list[LabelledAnswer]]]:
        """Stage 2's answers to the training or validation split, likeliest first."""

    def validation_lines(self) -> list[Line]:
        """Predictions for the validation split."""


class AnswerSet:
    """One answer to each test question.

    Args:
        directory: Of the run; samples are stored there.
        questions: The test questions.
        lines: Their stored answers, in the same order.
        source: The model behind them.
        suffix: Tells the files of the untuned model's answers from those of the tuned one's.

    Raises:
        RunDirectoryError: The answers are to other questions, or to some of them only.
    """

    def __init__(
        self, directory: RunDirectory, questions: Sequence[Question], lines: Sequence[Line], source: Source, suffix: str
    ) -> None:
        if [question.id for question in questions] != [line["id"] for line in lines]:
            raise RunDirectoryError(
                f"{directory.path}: the stored answers are not those to the {len(questions)} test questions; the run "
                "is not finished (run aspire-llm run again) or its data have changed (use --fresh)"
            )
        self.directory, self.questions, self.lines = directory, questions, lines
        self.source, self.suffix = source, suffix
        self.config: RunConfig = directory.config
        self.offline_seconds = self.reading_seconds = 0.0

    @property
    def token_ids(self) -> list[tuple[int, ...]]:
        """Of the answers, without terminator."""
        return [tuple(line["token_ids"]) for line in self.lines]

    @cached_property
    def prompts(self) -> list[EncodedPrompt]:
        """Of the questions."""
        return [self.source.encoder.prompt(question) for question in self.questions]

    @cached_property
    def samples(self) -> list[list[DrawnAnswer]]:
        """m answers drawn for each question; drawn where they are not stored yet."""
        name = f"rival_samples{self.suffix}.jsonl"
        size = PARTS_AT_ONCE * self.config.stage2.batch_size
        append_lines(
            self.directory.path / name, f"samples for rivals{self.suffix}", self.questions, size, self._sample_lines
        )
        return [read_rival_samples(line) for line in self.directory.read_lines(name)]

    def sampling_cost(self) -> tuple[float, float]:
        """Mean seconds and generated tokens a question of the samples."""
        lines = self.directory.read_lines(f"rival_samples{self.suffix}.jsonl")
        tokens = sum(len(sample.log_probs) for own in self.samples for sample in own)
        return sum(line["seconds"] for line in lines) / len(lines), tokens / len(lines)

    @cached_property
    def features(self) -> list[AnswerFeatures]:
        """Of the answers; `reading_seconds` is what they took."""
        prompts = self.prompts
        started = time.perf_counter()
        found = self.read("reading the answers", prompts, [[ids] for ids in self.token_ids])
        self.reading_seconds = time.perf_counter() - started
        return [own[0] for own in found]

    @cached_property
    def judged(self) -> dict[Split, tuple[Judged, list[AnswerFeatures]]]:
        """Stage 3's answers of the training and validation splits with their features, in the order of the labels."""
        result = {}
        with self.offline():
            for split in (Split.TRAIN, Split.VALIDATION):
                judged = Judged.of(self.source.examples(split))
                read = self.read(f"reading {split.value} answers", judged.prompts, judged.answers)
                result[split] = (judged, [features for own in read for features in own])
        return result

    @cached_property
    def validation_lines(self) -> list[Line]:
        """Predictions for the validation split, for what is chosen there."""
        with self.offline():
            return self.source.validation_lines()

    def read(
        self, title: str, prompts: Sequence[EncodedPrompt], answers: Sequence[Sequence[tuple[int, ...]]]
    ) -> list[list[AnswerFeatures]]:
        """Features of any answers of this model."""
        layers = spread_layers(self.source.model.backbone.num_layers)

        def read(indices: Sequence[int]) -> list[list[AnswerFeatures]]:
            own = [answers[i] for i in indices]
            return answer_features(self.source.model, [prompts[i] for i in indices], own, layers)

        return self.in_batches(title, [len(prompt.token_ids) for prompt in prompts], read)

    def in_batches(
        self, title: str, lengths: Sequence[int], compute: Callable[[Sequence[int]], Sequence[Any]]
    ) -> list[Any]:
        """Apply `compute` to batches of indices of like length; results in the order of the lengths."""
        with progress(title, len(lengths)) as bar:

            def computed(indices: Sequence[int]) -> Sequence[Any]:
                results = compute(indices)
                bar.update(len(indices))
                return results

            return by_length(lengths, self.config.stage2.batch_size, computed)

    @contextmanager
    def offline(self) -> Iterator[None]:
        """Time spent within is not a cost of scoring: it is spent once, before the first question."""
        started = time.perf_counter()
        try:
            yield
        finally:
            self.offline_seconds += time.perf_counter() - started

    def _sample_lines(self, part: Sequence[Question]) -> list[str]:
        prompts = [self.source.encoder.prompt(question) for question in part]

        def draw(indices: Sequence[int]) -> list[tuple[list[DrawnAnswer], float]]:
            started = time.perf_counter()
            seed = zlib.crc32(f"{self.config.seed} {' '.join(part[i].id for i in indices)}".encode())
            decoded = sample_answers(
                self.source.model,
                [prompts[i] for i in indices],
                num_samples=self.config.rivals.num_samples,
                max_new_tokens=self.config.stage2.max_new_tokens,
                temperature=self.config.rivals.temperature,
                seed=seed,
            )
            samples = [
                [DrawnAnswer(self.source.encoder.decode(h.answer_ids), h.answer_ids, h.token_log_probs) for h in own]
                for own in decoded.hypotheses
            ]
            seconds = (time.perf_counter() - started) / len(indices)
            return [(own, seconds) for own in samples]

        drawn = by_length([len(prompt.token_ids) for prompt in prompts], self.config.stage2.batch_size, draw)
        return [
            rival_samples_line(question, samples, seconds)
            for question, (samples, seconds) in zip(part, drawn, strict=True)
        ]
