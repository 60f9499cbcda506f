"""The answers of a run to its splits: made where they are lacking, and decided anew by what is fitted on them."""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import replace
from functools import cached_property
from pathlib import Path
from typing import TYPE_CHECKING, TypeVar

from aspire_llm.config import RunConfig
from aspire_llm.errors import DataError
from aspire_llm.methods.answer_set import BATCHES_AT_ONCE, AnswerSet
from aspire_llm.methods.catalogue import UNTUNED
from aspire_llm.methods.fused import fit_validation_fused
from aspire_llm.progress import warn
from aspire_llm.records import Mark, Prediction, Question, Split, Unanswered, UntunedAnswer
from aspire_llm.results.calibration import CALIBRATION, calibrate, decision_rule
from aspire_llm.results.fused import FUSED
from aspire_llm.results.predictions import (
    CALIBRATION_PREDICTIONS,
    LABELLED_PREDICTIONS,
    LABELLED_PREDICTIONS_PART,
    PREDICTIONS,
    UNTUNED_PREDICTIONS,
    VALIDATION_PREDICTIONS,
)
from aspire_llm.rundir.files import Lines
from aspire_llm.rundir.provenance import record_seconds_per_question
from aspire_llm.rundir.writing import remove
from aspire_llm.selection import DecisionRule, FusedScore, Infeasible, RiskTarget

if TYPE_CHECKING:
    from aspire_llm.lm.tokenization import EncodedPrompt
    from aspire_llm.methods.source import ModelSource
    from aspire_llm.run_model import RunModel

T = TypeVar("T")
Outcome = TypeVar("Outcome", bound=Prediction | Unanswered)


class RunAnswers:
    """The stored answers of a run.

    Args:
        folder: Of the run.
        config: Of the run.
        questions: All of its splits.
        model: Loads the model, where something has to be answered.
    """

    def __init__(
        self,
        folder: Path,
        config: RunConfig,
        questions: Mapping[Split, Sequence[Question]],
        model: "Callable[[], RunModel]",
    ) -> None:
        self.folder, self.config, self.questions, self._load_model = folder, config, questions, model

    @property
    def model(self) -> "RunModel":
        """The model of the run."""
        return self._load_model()

    def calibrate(self, targets: Sequence[RiskTarget] = (), source: str | None = None) -> DecisionRule:
        """The score, confidence and certified thresholds from stored answers; targets of earlier calls stay.

        Args:
            targets: To certify.
            source: Of other questions, answered by `label`, that calibrate from now on.

        Returns:
            What decides about the answers of the run.
        """
        fused = self._fused()
        rule = decision_rule(self.config, fused=fused)
        earlier = CALIBRATION.read(self.folder) if CALIBRATION.exists(self.folder) else None
        asked = [*earlier.targets, *targets] if earlier else targets
        source = source or (earlier.source if earlier else None)
        if source and LABELLED_PREDICTIONS.exists(self.folder):
            answered = LABELLED_PREDICTIONS.read(self.folder)
        else:
            if source:
                warn(
                    f"the answers to {source} are gone: the run's own calibration split is used; calibrate --data again"
                )
            answered, source = self._decided(CALIBRATION_PREDICTIONS, "calibration", Split.CALIBRATION, rule), None
        calibrated = calibrate(self.config, answered, lambda: self.validation, rule, asked)
        CALIBRATION.write(self.folder, replace(calibrated, source=source))
        return decision_rule(self.config, calibrated, fused)

    def _fused(self) -> FusedScore | Infeasible | None:
        """The fused score, fitted on the answers to the validation split; None where the score is ASPIRE's."""
        if self.config.score.kind != "fused":
            return None
        fused = fit_validation_fused(self.validation, self.config)
        FUSED.write(self.folder, fused)
        return fused

    def predict_untuned(self) -> None:
        """The base model's answers to the test questions."""
        untuned = self.fill(
            UNTUNED_PREDICTIONS,
            "prediction before tuning",
            self.questions[Split.TEST],
            lambda: self.model.prompts[Split.TEST],
            lambda prompts: self.model.answer_untuned(prompts),
        )
        UNTUNED_PREDICTIONS.revise(self.folder, untuned, decision_rule(self.config).judge_again)

    def label(self, questions: Sequence[Question], marks: Mapping[str, Mark]) -> list[Prediction]:
        """Answer other questions, to calibrate on instead of the run's own split; they replace earlier ones as a whole.

        Args:
            questions: With references, or with a mark.
            marks: What people said of an answer to them, by id; it counts where this run gives that answer.

        Returns:
            The answers.

        Raises:
            DataError: Of none it is known whether it is correct; the earlier ones stay.
        """
        part, rule = LABELLED_PREDICTIONS_PART, decision_rule(self.config)
        answered = answer_questions(part, self.folder, questions, self.config, self.model.predictor.predict)
        answered = part.revise(self.folder, answered, lambda own: rule.marked(own, marks.get(own.question.id)))
        if self.config.score.candidates > 1:  # what is given, which marks are about, is for the score to say
            answered = list(map(decision_rule(self.config, fused=self._fused()).decide_again, answered))
        if all(own.correct is None for own in answered):
            raise DataError(
                f"none of the {len(marks)} marks is about an answer that this run gives; mark what it answers now"
            )
        (self.folder / part.name).replace(self.folder / LABELLED_PREDICTIONS.name)
        return answered

    def predict(self, rule: DecisionRule) -> list[Prediction]:
        """Predictions for the test split, decided by a rule."""
        self.given = self._decided(PREDICTIONS, "prediction", Split.TEST, rule)
        return self.given

    @cached_property
    def given(self) -> list[Prediction]:
        """Predictions for the test split, as they are stored."""
        return PREDICTIONS.read(self.folder)

    @cached_property
    def validation(self) -> list[Prediction]:
        """Predictions for the validation split, for what methods choose there."""
        return self._decided(VALIDATION_PREDICTIONS, "validation", Split.VALIDATION, decision_rule(self.config))

    def sets(self) -> dict[str, AnswerSet]:
        """The answers to the test split by suffix: the tuned model's and the untuned one's."""

        def answers(suffix: str, given: Sequence[Prediction] | Sequence[UntunedAnswer]) -> AnswerSet:
            return AnswerSet(
                self.folder,
                self.config,
                self.questions[Split.TEST],
                given,
                source=lambda: self.source(self.model.prompts[Split.TEST], tuned=not suffix),
                validation=lambda: self.validation,
                suffix=suffix,
            )

        sets = {"": answers("", self.given)}
        if self.config.rivals.untuned:
            sets[UNTUNED] = answers(UNTUNED, UNTUNED_PREDICTIONS.read(self.folder))
        return sets

    def source(self, prompts: "Sequence[EncodedPrompt]", *, tuned: bool = True) -> "ModelSource":
        """What the model offers to methods that score its answers.

        Args:
            prompts: The questions answered.
            tuned: Whether the tuned model answered them, or the one before tuning.
        """
        from aspire_llm.methods.source import ModelSource

        return ModelSource(self.model, prompts, tuned=tuned)

    def _decided(self, file: Lines[Prediction], title: str, split: Split, rule: DecisionRule) -> list[Prediction]:
        """The predictions of a split, answered where they are not yet, and decided anew by the rule."""

        def predict(prompts: "Sequence[EncodedPrompt]") -> list[Prediction]:
            predictor = self.model.predictor
            answered = predictor.predict_prompts(prompts)
            if split is not Split.VALIDATION:  # which comes when costs have been held against the times before
                # Before they are stored: what follows from stored answers never lacks their times.
                record_seconds_per_question(self.folder, predictor.seconds, predictor.num_questions)
            return answered

        asked = {question.id: question for question in self.questions[split]}

        def decide_again(stored: Prediction) -> Prediction:
            # Answers that an earlier version stored lack what the data say of the question beside it.
            own = replace(stored.question, metadata=asked[stored.question.id].metadata)
            return rule.decide_again(replace(stored, question=own))

        answers = self.fill(file, title, self.questions[split], lambda: self.model.prompts[split], predict)
        return file.revise(self.folder, answers, decide_again)

    def fill(
        self,
        file: Lines[T],
        title: str,
        questions: Sequence[Question],
        prompts: "Callable[[], Sequence[EncodedPrompt]]",
        compute: "Callable[[Sequence[EncodedPrompt]], Sequence[T]]",
    ) -> list[T]:
        """The records of a file, one per question; where none is lacking, no prompt is encoded and no model loaded."""

        def computed(places: Sequence[int]) -> Sequence[T]:
            everything = prompts()
            found = compute([everything[place] for place in places])
            self.model.give_back()  # batches of all sizes leave gaps, which would add up
            return found

        size = BATCHES_AT_ONCE * self.config.stage2.batch_size
        return file.fill(self.folder, title, [own.id for own in questions], size, computed)


def answer_questions(
    file: Lines[Outcome],
    folder: Path,
    questions: Sequence[Question],
    config: RunConfig,
    answer: Callable[[Sequence[Question]], Sequence[Outcome]],
) -> list[Outcome]:
    """Fill a file with what becomes of questions; lines of the same questions that are there already are kept.

    Args:
        file: The file.
        folder: Where it is.
        questions: What to answer.
        config: Of the run.
        answer: Answers some of them.

    Returns:
        The content of the file, in the order of the questions.
    """
    if file.exists(folder) and not _begins_with(file, folder, questions):
        remove(folder / file.name)
    size = BATCHES_AT_ONCE * config.stage2.batch_size
    ids = [own.id for own in questions]
    return file.fill(folder, "prediction", ids, size, lambda places: answer([questions[place] for place in places]))


def _begins_with(file: Lines[Outcome], folder: Path, questions: Sequence[Question]) -> bool:
    """Whether the whole lines of a file are about the first of these questions."""
    known = [own.question for own in file.read_whole(folder)]
    return len(known) <= len(questions) and all(map(is_same_question, known, questions))


def is_same_question(known: Question, asked: Question) -> bool:
    """Whether what a line of predictions knows of its question is true of another one, metadata included."""
    told = replace(known, answerable=asked.answerable)  # which a line does not hold; its references say it
    return told == asked and dict(known.metadata) == dict(asked.metadata)
