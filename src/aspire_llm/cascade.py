"""Two runs as one: what the small one withholds goes to the large one, at thresholds that are certified for both."""

import os
from collections.abc import Sequence
from dataclasses import dataclass, replace
from enum import StrEnum
from pathlib import Path
from typing import TYPE_CHECKING

from aspire_llm.demo import find_run
from aspire_llm.errors import ConfigError, DataError, RunDirectoryError
from aspire_llm.pipeline import Pipeline
from aspire_llm.records import Prediction, Question, Split
from aspire_llm.report import cascade_text, contenders
from aspire_llm.results.calibration import score_name
from aspire_llm.results.cascade import (
    CASCADE,
    CascadeRun,
    CertifiedCascade,
    certify_pairs,
    judged_pairs,
)
from aspire_llm.results.common_answers import CommonAnswers, StoredAnswers
from aspire_llm.results.identity import digest_of_run
from aspire_llm.results.predictions import VALIDATION_PREDICTIONS
from aspire_llm.rundir.directory import RunDirectory
from aspire_llm.rundir.lock import locked_output
from aspire_llm.rundir.own import check_output_folder
from aspire_llm.rundir.provenance import PROVENANCE
from aspire_llm.selection import Certified, DecisionRule, Guarantee, RiskTarget

if TYPE_CHECKING:
    from aspire_llm.predictor import SelectivePredictor


def certify_cascade(small: Path, large: Path, targets: Sequence[RiskTarget], output: Path | None = None) -> str:
    """Certify two finished runs as one; nothing is trained.

    Args:
        small: Is asked first.
        large: Is asked what the small one withholds.
        targets: What to guarantee.
        output: A folder for `cascade.json`, from which `Cascade.load` reads.

    Returns:
        What is certified, beside what it comes to on the common test questions, for a terminal.

    Raises:
        ConfigError: No target, one run twice, or runs that call other answers correct.
        DataError: The runs are on other data, or have too few questions in common.
    """
    if not targets:
        raise ConfigError("no target was asked for; --target-risk 0.1 certifies at most 10% wrong answers")
    if output is not None:
        check_output_folder(output)
    small, large = find_run(small), find_run(large)
    runs = [_answers(own) for own in (small, large)]
    pairs = judged_pairs(CommonAnswers.of(*runs))
    score, seed = ", then ".join(dict.fromkeys(score_name(own.rule.scoring) for own in runs)), runs[0].config.seed
    asked = {own.risk: own for own in targets}
    promises = tuple(certify_pairs(pairs, asked[risk], score=score, seed=seed) for risk in sorted(asked))
    path = pairs[Split.CALIBRATION].path
    cascade = CertifiedCascade(CascadeRun.of(small), CascadeRun.of(large), path, promises)
    if output is not None:
        output.mkdir(parents=True, exist_ok=True)
        with locked_output(Path(os.path.realpath(output))):
            CASCADE.write(output, cascade)
    seconds = _seconds(small), _seconds(large)
    return cascade_text(cascade, [contenders(cascade, own, pairs, seconds, seed=seed) for own in promises])


def _answers(run: Path) -> StoredAnswers:
    """All answers of a run; those to its validation split are made where they are lacking."""
    directory = RunDirectory.open(run)
    if not VALIDATION_PREDICTIONS.exists(run):
        with directory:
            pipeline = Pipeline(directory)
            pipeline.begin()
            _ = pipeline.answers.validation
    return StoredAnswers.read(run)


def _seconds(run: Path) -> float | None:
    """What answering and judging a question took the run; None where it was not timed."""
    known = PROVENANCE.read(run).seconds_a_question
    return sum(known.values()) if known else None


class Member(StrEnum):
    """One of the two runs of a cascade."""

    SMALL = "small"
    LARGE = "large"


@dataclass(frozen=True, slots=True)
class CascadePrediction:
    """What a cascade says to one question.

    Attributes:
        prediction: Of the run that answered; of the large one where both withhold, and of the small one where nothing
            is certified, so that the large one is not asked.
        answered_by: Which run answered; None where both withhold.
    """

    prediction: Prediction
    answered_by: Member | None

    @property
    def answer(self) -> str | None:
        """The answer given, or None for an abstention."""
        return self.prediction.answer


class Cascade:
    """Answers questions with the small run where it is sure enough, else with the large one where that is.

    Args:
        small: Is asked first.
        large: Is asked what the small one withholds.
        certified: The thresholds of both.
    """

    def __init__(self, small: "SelectivePredictor", large: "SelectivePredictor", certified: CertifiedCascade) -> None:
        self.small, self.large, self._certified = small, large, certified

    @classmethod
    def load(cls, folder: str | Path, *, device: str | None = None) -> "Cascade":
        """The cascade that `aspire-llm cascade … --output DIR` has stored.

        Args:
            folder: DIR.
            device: Another device than the runs were made on.

        Raises:
            RunDirectoryError: There is no cascade, or one of its runs has changed since it was certified.
            ModelError: A model cannot be loaded.
        """
        from aspire_llm.predictor import SelectivePredictor

        certified = CASCADE.read(Path(folder))
        for run in (certified.small, certified.large):
            if digest_of_run(run.folder) != run.digest:
                raise RunDirectoryError(
                    f"{run.folder} has changed since {folder} was certified; give aspire-llm cascade again"
                )
        small, large = (
            SelectivePredictor.load(own.folder, device=device) for own in (certified.small, certified.large)
        )
        return cls(small, large, certified)

    def sentence(self, target_risk: float | None = None) -> str:
        """What is promised; arguments and errors as of `predict`."""
        return self._certified.sentence(self._certified.promise(target_risk))

    def predict(
        self, questions: Sequence[str | Question], *, target_risk: float | None = None
    ) -> list[CascadePrediction]:
        """Answer questions in order.

        Args:
            questions: As of `SelectivePredictor.predict`.
            target_risk: One of those that were certified; None where there is one.

        Raises:
            ConfigError: That target was not asked for.
            DataError: A question says nothing, or is no text.
            ModelError: A prompt does not fit a model's window.
        """
        if isinstance(questions, str):
            raise DataError("predict got one text; it takes a list of questions, so write [question]")
        promise = self._certified.promise(target_risk)
        thresholds = (None, None) if promise.level is None else self._certified.path.thresholds(promise.level)
        first, second = (
            _with_threshold(own.rule, promise.guarantee, threshold)
            for own, threshold in zip((self.small, self.large), thresholds, strict=True)
        )
        found = [first.decide_again(own) for own in self.small.predict(questions)]
        withheld = [place for place, own in enumerate(found) if own.abstained and promise.level is not None]
        answers = [CascadePrediction(own, None if own.abstained else Member.SMALL) for own in found]
        for place, own in zip(withheld, self.large.predict([found[own].question for own in withheld]), strict=True):
            decided = second.decide_again(own)
            answers[place] = CascadePrediction(decided, None if decided.abstained else Member.LARGE)
        return answers


def _with_threshold(rule: DecisionRule, promised: Guarantee, threshold: float | None) -> DecisionRule:
    """A run's rule at its own threshold of a cascade; None where nothing is certified."""
    outcome = promised.outcome
    if threshold is not None and isinstance(outcome, Certified):
        promised = replace(promised, outcome=replace(outcome, threshold=threshold))
    return replace(rule, guarantee=promised)
