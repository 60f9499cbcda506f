"""Answers of a finished run to questions from outside: one, or a file of them."""

import hashlib
import json
import os
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass, replace
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, BinaryIO

from aspire_llm.data import Problem, QuestionStream, as_question, is_read_with, read_passage
from aspire_llm.demo import find_run
from aspire_llm.errors import ConfigError
from aspire_llm.methods.answer_set import BATCHES_AT_ONCE
from aspire_llm.processes import joined, processes
from aspire_llm.progress import warn
from aspire_llm.records import Prediction, Question, Unread
from aspire_llm.results.chosen_fields import Layout, with_candidates
from aspire_llm.results.identity import digest_of_run
from aspire_llm.results.predictions import Outcome, outcome_file
from aspire_llm.run_answers import is_same_question
from aspire_llm.rundir.directory import RunDirectory
from aspire_llm.rundir.files import Lines, appending
from aspire_llm.rundir.lock import locked_output
from aspire_llm.rundir.own import check_output
from aspire_llm.rundir.streams import STANDARD, as_file, is_stream, open_stream
from aspire_llm.rundir.writing import publish, replacing

if TYPE_CHECKING:
    from aspire_llm.predictor import SelectivePredictor

Item = Question | Problem


@dataclass(slots=True)
class FileSummary:
    """What became of the questions of a file, counted as they are answered.

    Attributes:
        caveats: Of all predictions of the run, see `SelectivePredictor`.
        questions: How many there are.
        answered: How many were answered rather than withheld.
        errors: How many could not be put to the model.
        unread: How many rows are no question.
        contexts_cut: How many had a context that does not fit the model's window.
    """

    caveats: tuple[str, ...]
    questions: int = 0
    answered: int = 0
    errors: int = 0
    unread: int = 0
    contexts_cut: int = 0

    def count(self, outcome: Outcome) -> None:
        """One more."""
        if isinstance(outcome, Unread):
            self.unread += 1
            return
        self.questions += 1
        if isinstance(outcome, Prediction):
            self.answered += not outcome.abstained
            self.contexts_cut += outcome.context_cut
        else:
            self.errors += 1


def predict_file(
    run: Path,
    source: Path,
    output: Path,
    target_risk: float | None = None,
    per: str | None = None,
    layout: Layout | None = None,
) -> FileSummary:
    """Answer the questions of a file into a file of JSON lines, in their order; what cannot be has its error there.

    The lines gather in `OUTPUT.DIGESTS.part`, of the run and of the target, from which a killed command goes on; the
    output is whole or absent. A stream (a FIFO, a device) gets them as they are answered. A few questions are in memory
    at a time; several processes share them.

    Args:
        run: A finished run.
        source: The questions; ``-`` is standard input.
        output: The file of predictions; ``-`` is standard output.
        target_risk: A certified share of wrong answers, whose threshold decides.
        per: The field of the questions' metadata per whose value it was certified, where it was.
        layout: What of a line is written; by default all but the other beams of the search.

    Raises:
        ConfigError: The output is the input, or would be read with it.
        DataError: No row of a file is a question, or it cannot be read at all.
    """
    from aspire_llm.predictor import SelectivePredictor

    config = RunDirectory.open(run := find_run(run)).config
    load = partial(SelectivePredictor.load, run, target_risk=target_risk, per=per)
    by_target = "" if target_risk is None else f"-{_digest(f'{target_risk!r} {per!r}')}"
    with joined(config.sharding):
        size = BATCHES_AT_ONCE * config.stage2.batch_size
        return _predict_file(load, source, output, size, f"{digest_of_run(run)[:8]}{by_target}", layout or Layout())


def _digest(text: str) -> str:
    """What stands in a file name for any text, such as the name of a field."""
    return hashlib.sha256(text.encode()).hexdigest()[:8]


def _predict_file(
    load: "Callable[[], SelectivePredictor]", source: Path, output: Path, size: int, name: str, layout: Layout
) -> FileSummary:
    if processes().count > 1 and is_stream(source):
        raise ConfigError(f"--input {source} is a stream, which one process can read; give a file")
    _check_apart(output, source)
    with as_file(source) as file:
        questions = QuestionStream(file)
        total, problems = questions.count()
        if problems:
            said = f"{problems} of {total} rows are no questions (error in their lines); the others are answered"
            warn(said)
        if is_stream(output):
            with open_stream(output) as stream:
                answers = _FileAnswers.of(load(), questions, total, size)
                lines = answers.lines(str(output), layout)
                chosen = replace(lines, to_json=lambda outcome: layout.select(lines.to_json(outcome)))
                answers.pour(chosen, stream, questions)
            return answers.summary
        target = Path(os.path.realpath(output))  # a link stays one
        if target.is_dir() or not target.parent.is_dir():
            raise ConfigError(f"--output {output} must be a file in an existing folder")
        check_output(target)
        with locked_output(target):
            by_layout = "-candidates" if layout.candidates else ""
            part = target.with_name(f"{target.name}.{name}{by_layout}.part")
            answers = _FileAnswers.of(load(), questions, total, size)
            answers.gather(answers.lines(part.name, layout), part)
            processes().once(partial(_publish, part, target, layout))
        return answers.summary


def _check_apart(output: Path, source: Path) -> None:
    """No answer may take the place of a question, or stand where it is read as one."""
    written = Path("/dev/stdout") if output == STANDARD else output  # which a shell may have led to a file
    if not is_read_with(written, Path("/dev/stdin") if source == STANDARD else source):
        return
    if source.is_dir():
        raise ConfigError(f"--output {output} would be read as questions of the folder {source}; give a file elsewhere")
    raise ConfigError(f"--output {output} is the input {source}; give another file")


@dataclass
class _FileAnswers:
    """Questions on their way through a predictor.

    Attributes:
        predictor: Answers them.
        questions: All of them.
        total: How many there are, rows that are no question among them.
        size: How many are answered together. Parts begin at multiples of it, wherever a command was killed, so that a
            question is answered beside the same others.
        summary: Of those that were answered.
    """

    predictor: "SelectivePredictor"
    questions: QuestionStream
    total: int
    size: int
    summary: FileSummary

    @classmethod
    def of(cls, predictor: "SelectivePredictor", questions: QuestionStream, total: int, size: int) -> "_FileAnswers":
        """Of none yet."""
        return cls(predictor, questions, total, size, FileSummary(predictor.caveats))

    def lines(self, name: str, layout: Layout) -> Lines[Outcome]:
        """A file for whole lines, with the other beams where they are asked for."""
        plain = outcome_file(name)
        return with_candidates(plain, self.predictor.rule.scoring) if layout.candidates else plain

    def gather(self, lines: Lines[Outcome], part: Path) -> None:
        """Fill a file; what is there already of these questions stays."""
        lines.keep_parts(part.parent, self.size)
        done, rest = self._rest(lines, part)
        with appending(part) as file:
            self.pour(lines, file, rest, done)

    def pour(self, lines: Lines[Outcome], file: BinaryIO, items: Iterable[Item], done: int = 0) -> None:
        """Write what becomes of questions to an open file."""
        lines.pour(file, "prediction", items, self.size, self._answer, total=self.total, done=done)

    def _rest(self, lines: Lines[Outcome], part: Path) -> tuple[int, Iterator[Item]]:
        """How many lines of a file stay, and what is still to be answered; none stays if one is about another row."""
        rest, done = iter(self.questions), 0
        for known in lines.each(part.parent):
            if not _is_about(known, next(rest, None)):
                processes().once(partial(os.truncate, part, 0))
                self.summary = FileSummary(self.predictor.caveats)
                return 0, iter(self.questions)
            self.summary.count(known)
            done += 1
        return done, rest

    def _answer(self, items: Sequence[Item]) -> list[Outcome]:
        answered = iter(self.predictor.predict_each([item for item in items if isinstance(item, Question)]))
        outcomes = [_unread(item) if isinstance(item, Problem) else next(answered) for item in items]
        for outcome in outcomes:
            self.summary.count(outcome)
        return outcomes


def _is_about(known: Outcome, item: Item | None) -> bool:
    """Whether a line that is there is what becomes of a row."""
    if isinstance(known, Unread):
        return isinstance(item, Problem) and known == _unread(item)
    return isinstance(item, Question) and is_same_question(known.question, item)


def _unread(problem: Problem) -> Unread:
    return Unread(problem.id, str(problem))


def _publish(part: Path, target: Path, layout: Layout) -> None:
    """Give a file of whole lines its name, or write what of them is chosen under that name."""
    if layout.fields is None:
        publish(part, target)
        return
    with replacing(target) as temporary, part.open("rb") as whole, temporary.open("ab") as chosen:
        for line in whole:
            chosen.write(
                json.dumps(layout.select(json.loads(line)), ensure_ascii=False, allow_nan=False).encode() + b"\n"
            )
    part.unlink()


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
