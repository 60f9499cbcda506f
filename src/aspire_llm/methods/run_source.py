"""What a run directory offers to methods, loaded when it is first asked for."""

import random
from functools import cached_property

from aspire_llm.config import RunConfig
from aspire_llm.data import load_questions, split_questions
from aspire_llm.demo import demo_questions
from aspire_llm.errors import DataError
from aspire_llm.lm.adapted_model import AdaptedModel
from aspire_llm.lm.tokenization import Encoder
from aspire_llm.methods.answer_set import PARTS_AT_ONCE, AnswerSet, Line
from aspire_llm.predictor import SelectivePredictor
from aspire_llm.records import LabelledAnswer, Question, Split
from aspire_llm.results.lines import prediction_line, read_sample
from aspire_llm.rundir.directory import RunDirectory, append_lines
from aspire_llm.rundir.provenance import check_data
from aspire_llm.stages.stage3_self_evaluation import VerdictExample, verdict_examples


class RunSource:
    """The tuned model of a run and what it was trained on.

    Args:
        directory: A run whose stages are done.
        predictor: Its model, where it is in memory already.
    """

    def __init__(self, directory: RunDirectory, predictor: SelectivePredictor | None = None) -> None:
        self.directory = directory
        self._predictor = predictor

    @cached_property
    def predictor(self) -> SelectivePredictor:
        """Answers as the run did."""
        return self._predictor or SelectivePredictor.load(self.directory.path)

    @property
    def model(self) -> AdaptedModel:
        """θ + θp + θs."""
        return self.predictor.model

    @property
    def encoder(self) -> Encoder:
        """Of the model."""
        return self.predictor.encoder

    @property
    def verdict_tokens(self) -> tuple[int, int]:
        """z_c and z_w."""
        return self.predictor.verdict_tokens

    @cached_property
    def questions(self) -> dict[Split, tuple[Question, ...]]:
        """Of all splits."""
        questions = load_splits(self.directory.config)[0]
        check_data(self.directory, questions)
        return questions

    def examples(self, split: Split) -> list[VerdictExample]:
        """What stage 3 learned from (training split), or was validated on."""
        samples = {question.id: answers for question, answers in self.sampled(split)}
        return verdict_examples(self.questions[split], samples, self.encoder, self.directory.config.stage3)

    def sampled(self, split: Split) -> list[tuple[Question, list[LabelledAnswer]]]:
        """Stage 2's answers to the training or validation split, likeliest first."""
        samples = dict(read_sample(line) for line in self.directory.read_lines("samples.jsonl"))
        return [(question, samples[question.id]) for question in self.questions[split]]

    def validation_lines(self) -> list[Line]:
        """Predictions for the validation split, made where they are not stored yet."""
        name = "validation_predictions.jsonl"
        append_lines(
            self.directory.path / name,
            "validation",
            self.questions[Split.VALIDATION],
            PARTS_AT_ONCE * self.directory.config.stage2.batch_size,
            lambda part: [prediction_line(prediction) for prediction in self.predictor.predict(part)],
        )
        return self.directory.read_lines(name)


class UntunedSource(RunSource):
    """The same model as it was before tuning.

    Args:
        tuned: What it became.
    """

    def __init__(self, tuned: RunSource) -> None:
        super().__init__(tuned.directory)
        self._tuned = tuned

    @property
    def predictor(self) -> SelectivePredictor:
        """Of the tuned model."""
        return self._tuned.predictor

    @property
    def questions(self) -> dict[Split, tuple[Question, ...]]:
        """Of the tuned model."""
        return self._tuned.questions

    @cached_property
    def model(self) -> AdaptedModel:
        """θ alone."""
        return AdaptedModel(self.predictor.model.backbone)


def answer_sets(directory: RunDirectory, source: RunSource) -> dict[str, AnswerSet]:
    """The answers of a run's test split by suffix: the tuned model's and, where they are stored, the untuned one's."""
    questions = source.questions[Split.TEST]
    sets = {"": AnswerSet(directory, questions, directory.read_lines("predictions.jsonl"), source, "")}
    if (directory.path / "predictions_untuned.jsonl").is_file():
        untuned = UntunedSource(source)
        lines = directory.read_lines("predictions_untuned.jsonl")
        sets["_untuned"] = AnswerSet(directory, questions, lines, untuned, "_untuned")
    return sets


def load_splits(config: RunConfig) -> tuple[dict[Split, tuple[Question, ...]], tuple[Question, ...]]:
    """The questions of a run, split, and the few-shot examples, which are taken from the training split.

    Raises:
        DataError: The data cannot be read, a split asks for more questions than there are, or no training question is
            left beside the examples.
    """
    questions = demo_questions() if config.data.source == "demo" else load_questions(config.data.source)
    if config.data.limit is not None and config.data.limit < len(questions):
        # Drawn over the whole file: the first questions of a file are often about one article.
        questions = random.Random(config.seed).sample(questions, config.data.limit)
    counts = config.data.splits.counts(len(questions))
    if empty := [split.value for split, count in counts.items() if not count]:
        raise DataError(f"{len(questions)} questions leave none for {', '.join(empty)}; give data.splits in questions")
    splits = split_questions(questions, counts, seed=config.seed)
    wanted = config.data.num_examples
    examples = tuple(question for question in splits[Split.TRAIN] if question.references)[:wanted]
    train = tuple(question for question in splits[Split.TRAIN] if question not in examples)[: config.data.max_train]
    if len(examples) < wanted or not train:
        raise DataError(
            f"data.num_examples is {wanted}, but the training split has {len(splits[Split.TRAIN])} questions; ask for "
            "fewer"
        )
    return splits | {Split.TRAIN: train}, examples
