"""Answers of a finished run to questions from outside: one, or a file of them."""

import os
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from aspire_llm.data import as_question, load_questions, read_passage
from aspire_llm.demo import find_run
from aspire_llm.errors import ConfigError
from aspire_llm.methods.answer_set import BATCHES_AT_ONCE
from aspire_llm.records import Prediction, Unanswered
from aspire_llm.results.identity import digest_of_run
from aspire_llm.results.predictions import outcome_file
from aspire_llm.run_answers import answer_questions
from aspire_llm.rundir.directory import RunDirectory
from aspire_llm.rundir.lock import locked_output
from aspire_llm.rundir.own import check_output
from aspire_llm.rundir.streams import as_file, is_stream, open_stream
from aspire_llm.rundir.writing import publish


@dataclass(frozen=True, slots=True)
class FileSummary:
    """What became of the questions of a file.

    Attributes:
        questions: How many there are.
        answered: How many were answered rather than withheld.
        errors: How many could not be put to the model.
        contexts_cut: How many had a context that does not fit the model's window.
        caveats: Of all predictions of the run, see `SelectivePredictor`.
    """

    questions: int
    answered: int
    errors: int
    contexts_cut: int
    caveats: tuple[str, ...]

    @classmethod
    def of(cls, outcomes: Sequence[Prediction | Unanswered], caveats: tuple[str, ...]) -> "FileSummary":
        """Count."""
        predictions = [outcome for outcome in outcomes if isinstance(outcome, Prediction)]
        return cls(
            questions=len(outcomes),
            answered=sum(not prediction.abstained for prediction in predictions),
            errors=len(outcomes) - len(predictions),
            contexts_cut=sum(prediction.context_cut for prediction in predictions),
            caveats=caveats,
        )


def predict_file(
    run: Path, source: Path, output: Path, target_risk: float | None = None, per: str | None = None
) -> FileSummary:
    """Answer the questions of a file into a file of JSON lines, in their order; one that cannot be has its error there.

    The lines gather in `OUTPUT.RUN'S DIGEST.part`, from which a killed command goes on; the output is whole or absent.
    A stream (a FIFO, a device) gets them as they are answered.

    Args:
        run: A finished run.
        source: The questions; ``-`` is standard input.
        output: The file of predictions; ``-`` is standard output.
        target_risk: A certified share of wrong answers, whose threshold decides.
        per: The field of the questions' metadata per whose value it was certified, where it was.
    """
    from aspire_llm.predictor import SelectivePredictor

    directory = RunDirectory.open(run := find_run(run))
    with as_file(source) as file:
        questions = load_questions(file, require_answers=False)
    size = BATCHES_AT_ONCE * directory.config.stage2.batch_size
    if is_stream(output):
        with open_stream(output) as stream:
            predictor, lines = SelectivePredictor.load(run, target_risk=target_risk, per=per), outcome_file(str(output))
            outcomes = lines.pour(stream, "prediction", questions, size, predictor.predict_each)
    else:
        target = Path(os.path.realpath(output))  # a link stays one
        if target.is_dir() or not target.parent.is_dir():
            raise ConfigError(f"--output {output} must be a file in an existing folder")
        if target == Path(os.path.realpath(source)):
            raise ConfigError(f"--output is the input {source}; give another file")
        check_output(target)
        with locked_output(target):
            by_target = "" if target_risk is None else f"-{target_risk:g}{f'-{per}' if per else ''}"
            part = target.with_name(f"{target.name}.{digest_of_run(run)[:8]}{by_target}.part")
            predictor, lines = SelectivePredictor.load(run, target_risk=target_risk, per=per), outcome_file(part.name)
            outcomes = answer_questions(lines, part.parent, questions, directory.config, predictor.predict_each)
            publish(part, target)
    return FileSummary.of(outcomes, predictor.caveats)


def ask(
    run: Path, question: str, context: str | None = None, target_risk: float | None = None
) -> tuple[Prediction, tuple[str, ...]]:
    """Answer one question.

    Args:
        run: A finished run.
        question: A text.
        context: A passage to answer from; one of the form ``@FILE`` is read from that file.
        target_risk: A certified share of wrong answers, whose threshold decides.

    Returns:
        The prediction, and the caveats of the run, see `SelectivePredictor`.

    Raises:
        DataError: The question says nothing, or something is no text.
    """
    if context is not None and context.startswith("@"):
        context = read_passage(Path(context[1:]))
    asked = as_question(question, context=context)  # before libraries take seconds to import

    from aspire_llm.predictor import SelectivePredictor

    predictor = SelectivePredictor.load(run, target_risk=target_risk)
    return predictor.predict([asked])[0], predictor.caveats
