"""What commands do beyond the pipeline: resolve a run's settings, evaluate on other data, calibrate, compare."""

import hashlib
import os
import re
import shutil
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path

from aspire_llm.config import MODEL_NAMES, RunConfig
from aspire_llm.config_files import load_config, parse_change
from aspire_llm.correctness import is_same_answer
from aspire_llm.data import asked_text, find_path, load_marked, plain_name
from aspire_llm.demonstration import demonstration, introduction
from aspire_llm.errors import ConfigError, DataError
from aspire_llm.methods.answer_set import AnswerSet
from aspire_llm.methods.evaluation import evaluate_answers
from aspire_llm.methods.scoring import resolve_methods
from aspire_llm.pipeline import Pipeline
from aspire_llm.progress import warn
from aspire_llm.records import Mark, Prediction, Question, Split
from aspire_llm.report import guarantees_text, write_comparison, write_report, write_tables
from aspire_llm.results.calibration import CALIBRATION, stored_rule
from aspire_llm.results.fused import FUSED
from aspire_llm.results.metrics import RunMetrics
from aspire_llm.results.novelty import NOVELTY
from aspire_llm.results.predictions import PREDICTIONS
from aspire_llm.run_answers import answer_questions
from aspire_llm.rundir.directory import RunDirectory
from aspire_llm.rundir.lock import locked_output
from aspire_llm.rundir.own import CONFIG, check_apart, check_output_folder, is_run
from aspire_llm.rundir.provenance import PROVENANCE, DataFacts, fingerprint
from aspire_llm.rundir.writing import remove, replacing
from aspire_llm.selection import RiskTarget


def resolve_run(
    config: Path | None,
    *,
    model: str | None = None,
    data: str | None = None,
    seed: int | None = None,
    overrides: Sequence[str] = (),
    output: Path | None = None,
) -> tuple[RunConfig, Path, tuple[str, ...]]:
    """The settings and the directory that `aspire-llm run` means.

    With no config file and no data a demonstration is meant, with its own settings, if it is on that model or none is
    named.

    Args:
        config: A YAML file.
        model: Overrides the model of the settings.
        data: Overrides their data, whatever it was: a path or a name.
        seed: Overrides their seed.
        overrides: Each ``key.path=value``.
        output: The directory; by default it is named after the config, the model or the data.

    Returns:
        Them, and what to say before it begins, in sentences.

    Raises:
        ConfigError: The file cannot be read, or a key or value is not known.
        DataError: The data are neither a path nor a name, or both.
    """
    shown = demonstration(model) if config is None and data is None and model in (None, *MODEL_NAMES) else None
    changes: list[tuple[str, object]] = []
    if model is not None:
        changes.append(("model", model))
    if data is not None:
        path = find_path(data)
        changes += [(f"data.{split}", None) for split in Split]
        changes += [("data.path", path and str(path)), ("data.name", None if path else plain_name(data))]
    if seed is not None:
        changes.append(("seed", seed))
    changes += [parse_change(text) for text in overrides]
    resolved = load_config(shown[0].config if shown else config, changes)
    folder = output or Path("runs") / _name_of(str(config or model or data or "demo"), "--output")
    check_apart(folder, {"the config": config})
    if output is not None and not is_run(output):  # seeds and sweeps are runs in a run
        check_output_folder(output)
    return resolved, folder, introduction(*shown, folder) if shown else ()


def _name_of(source: str, option: str) -> str:
    """A name for a folder after a file, a folder or whatever else is named.

    Raises:
        ConfigError: Nothing of it can stand in a name; the option is what to give then.
    """
    path = Path(os.path.realpath(source)) if os.path.exists(source) else Path(source)
    name = path.name if path.is_dir() else path.name.removesuffix(path.suffix if path.is_file() else "")
    cleaned = re.sub(r"[^\w.-]+", "-", name)[:80].strip(".-")
    if not cleaned:
        raise ConfigError(f"no name for a folder can be made of {source!r}; give {option}")
    return cleaned


def evaluate(run: Path, data: str | None = None, methods: str | None = None) -> tuple[Path, RunMetrics]:
    """Metrics and report of a run, on its own test split or on other data.

    Args:
        run: A finished run.
        data: Questions with answers, or with marks of the run's own; None for the run's test split.
        methods: Selection methods, separated by commas, or ``all``; None for those that cost nothing.

    Returns:
        The directory of the results (`RUN`, or `RUN/evaluations/DATA-DIGEST OF ITS PLACE`), and its metrics.
    """
    with RunDirectory.open(run) as directory:
        names, left_out = resolve_methods(methods, directory.config)
        pipeline = Pipeline(directory)
        pipeline.begin()
        if data is None:
            folder, sets = run, pipeline.answers.sets()
        else:
            folder, sets = _answered_elsewhere(pipeline, data)
        metrics = evaluate_answers(folder, directory.config, sets, names, left_out, optional=methods in (None, "all"))
        write_report(folder)
        write_tables(folder)
    return folder, metrics


def _answered_elsewhere(pipeline: Pipeline, data: str) -> tuple[Path, dict[str, AnswerSet]]:
    """The run's answers to other data, in a directory of their own."""
    questions, marks = _judged(data)
    folder = _other_folder(pipeline.folder, data)
    prompts = pipeline.model.encode(questions)
    facts = DataFacts.of(data, {Split.TEST: questions}, sum(prompt.is_cut for prompt in prompts))
    if PROVENANCE.exists(folder) and PROVENANCE.read(folder).data.sha256 != fingerprint({Split.TEST: questions}):
        remove(folder)  # of other questions
    folder.mkdir(parents=True, exist_ok=True)
    PROVENANCE.write(folder, replace(PROVENANCE.read(pipeline.folder), data=facts))
    for name in (CONFIG, CALIBRATION.name, FUSED.name, NOVELTY.name):
        if (pipeline.folder / name).is_file():
            with replacing(folder / name) as copy:
                shutil.copyfile(pipeline.folder / name, copy)
    predictor, config = pipeline.model.predictor, pipeline.config
    answered = answer_questions(PREDICTIONS, folder, questions, config, predictor.predict)
    rule = stored_rule(folder, config)
    decided = [rule.marked(own, marks.get(own.question.id)) for own in answered]
    PREDICTIONS.write(folder, decided)
    answers = AnswerSet(
        folder,
        config,
        questions,
        decided,
        source=lambda: pipeline.answers.source(prompts),
        validation=lambda: pipeline.answers.validation,
    )
    return folder, {"": answers}


def _other_folder(run: Path, data: str) -> Path:
    """Where the results of a run on other data are kept; files of one name in two places are two data sets."""
    place = os.path.realpath(data) if os.path.exists(data) else data
    digest = hashlib.sha256(os.fsencode(place)).hexdigest()[:8]
    return run / "evaluations" / f"{_name_of(data, '--data with a name')}-{digest}"


def compare(runs: Sequence[Path], output: Path | None = None) -> str:
    """Runs side by side as text and, where a folder is given, in files there."""
    text = write_comparison(runs)
    if output is not None:
        check_output_folder(output)
        output.mkdir(parents=True, exist_ok=True)
        with locked_output(Path(os.path.realpath(output))):
            write_comparison(runs, output)
    return text


def calibrate(run: Path, targets: Sequence[RiskTarget], data: str | None = None) -> str:
    """Fit the confidence of a run again, and certify thresholds for it; nothing is trained.

    Args:
        run: A finished run.
        targets: What to guarantee, beside what earlier calls did.
        data: Questions with answers, or with marks of the run's own, that calibrate, now and later, instead of the
            run's own split.

    Returns:
        The guarantees, with what they come to on the run's test questions, for a terminal.

    Raises:
        ConfigError: A target is the run's own, at another certainty.
        DataError: Something in the data is no question with an answer, or the run has learned from it.
    """
    with RunDirectory.open(run) as directory:
        _check_certainty(directory.config, targets)
        pipeline = Pipeline(directory)
        pipeline.begin()
        if data is not None:
            questions, marks = _judged(data)
            _say_unused(pipeline.answers.label(_unseen(questions, data, pipeline), marks), data)
        predictions = pipeline.answers.predict(pipeline.answers.calibrate(targets, data))
        names, left_out = resolve_methods(None, directory.config)
        evaluate_answers(run, directory.config, pipeline.answers.sets(), names, left_out, optional=True)
        write_report(run)
        write_tables(run)
        return guarantees_text(CALIBRATION.read(run), predictions, directory.config.score.novelty_level)


def _check_certainty(config: RunConfig, targets: Sequence[RiskTarget]) -> None:
    """That no target contradicts the one that decides about the run's answers, which its settings make."""
    own = config.score
    asked = [one.delta for one in targets if (one.risk, one.per) == (own.target_risk, None) and one.delta != own.delta]
    if asked:
        raise ConfigError(
            f"this run itself promises a risk of {own.target_risk:g} at a delta of {own.delta:g}, not {asked[0]:g}: "
            f"give --delta {own.delta:g}, or score.delta={asked[0]:g} to aspire-llm run"
        )


def _judged(data: str) -> tuple[list[Question], dict[str, Mark]]:
    """The questions of a source whose answers can be judged, and what people said of answers, by question.

    Raises:
        DataError: There are none.
    """
    questions, marks = load_marked(data)
    judged = [own for own in questions if own.references or own.id in marks or not own.answerable]
    if not judged:
        raise DataError(f"{data}: none of {len(questions)} rows has a mark ('correct') or a reference")
    if left_out := len(questions) - len(judged):
        warn(f"{left_out} of {len(questions)} rows of {data} have neither a mark nor a reference and are left out")
    return judged, marks


def _say_unused(answered: Sequence[Prediction], data: str) -> None:
    """Warn of marks that are about other answers than those given."""
    marked = [own for own in answered if own.mark is not None]
    others = [own for own in marked if own.mark and not is_same_answer(own.sampled.text, own.mark.answer)]
    if others:
        warn(
            f"{len(others)} of {len(marked)} marks of {data} are about other answers than this run gives; "
            f"{sum(own.correct is None for own in others)} of these questions have no reference either and are left out"
        )


def _unseen(questions: Sequence[Question], data: str, pipeline: Pipeline) -> Sequence[Question]:
    """The questions, of which the run has seen none: learning, choosing its score, or showing what is promised."""
    parts = {
        "few-shot examples": pipeline.examples,
        **{f"{split} split": pipeline.questions[split] for split in (Split.TRAIN, Split.VALIDATION, Split.TEST)},
    }
    for name, part in parts.items():
        known = {asked_text(own) for own in part}
        if seen := [own.id for own in questions if asked_text(own) in known]:
            raise DataError(
                f"{data}: {len(seen)} of {len(questions)} questions stand in the run's {name}, {seen[0]!r} for one; "
                "a guarantee takes others"
            )
    return questions
