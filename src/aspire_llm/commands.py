"""What each command does beyond the pipeline: resolve a run's settings, predict a file, ask, evaluate on other data."""

import hashlib
import os
import re
import shutil
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING

from aspire_llm.config import RunConfig
from aspire_llm.config_files import load_config, parse_change
from aspire_llm.data import load_questions
from aspire_llm.demo import MODEL_DIR
from aspire_llm.errors import ConfigError, DataError
from aspire_llm.methods.answer_set import AnswerSet
from aspire_llm.methods.scoring import resolve_methods
from aspire_llm.pipeline import BATCHES_AT_ONCE, Pipeline, evaluate_answers
from aspire_llm.records import Prediction, Question, Split
from aspire_llm.report import write_report, write_tables
from aspire_llm.results.calibration import CALIBRATION, decision_rule
from aspire_llm.results.metrics import RunMetrics
from aspire_llm.results.predictions import PREDICTIONS, prediction_file
from aspire_llm.rundir.directory import RunDirectory
from aspire_llm.rundir.files import Lines
from aspire_llm.rundir.provenance import PROVENANCE, DataFacts, fingerprint

if TYPE_CHECKING:
    from aspire_llm.predictor import SelectivePredictor

EMBEDDED_CONFIG = MODEL_DIR.with_name("config.yaml")


def resolve_run(
    config: Path | None,
    *,
    model: str | None = None,
    data: str | None = None,
    seed: int | None = None,
    overrides: Sequence[str] = (),
    output: Path | None = None,
) -> tuple[RunConfig, Path]:
    """The settings and the directory that `aspire-llm run` means.

    With no config file, model or data the embedded demonstration is meant, with its own settings.

    Args:
        config: A YAML file.
        model: Overrides the model of the settings.
        data: Overrides their data: a path where it exists, else a name.
        seed: Overrides their seed.
        overrides: Each ``key.path=value``.
        output: The directory; by default it is named after the config, the model or the data.

    Raises:
        ConfigError: The file cannot be read, or a key or value is not known.
    """
    embedded = config is None and model is None and data is None
    changes: list[tuple[str, object]] = []
    if model is not None:
        changes.append(("model", model))
    if data is not None:
        is_path = Path(data).expanduser().exists()
        changes += [("data.path", data if is_path else None), ("data.name", None if is_path else data)]
    if seed is not None:
        changes.append(("seed", seed))
    changes += [parse_change(text) for text in overrides]
    resolved = load_config(EMBEDDED_CONFIG if embedded else config, changes)
    if config is not None:
        name = config.stem
    else:
        name = "demo" if embedded else Path(model).name if model else Path(data or "run").stem
    return resolved, output or Path("runs") / name


def predict_file(run: Path, source: Path, output: Path) -> tuple[int, int]:
    """Answer the questions of a file into a file of JSON lines, in their order.

    The lines gather in `OUTPUT.RUN'S DIGEST.part`, from which a killed command goes on; the output is whole or absent.

    Args:
        run: A finished run.
        source: The questions.
        output: The file of predictions.

    Returns:
        How many questions were answered rather than withheld, and how many there are.
    """
    from aspire_llm.predictor import SelectivePredictor

    directory = RunDirectory.open(run)
    questions = load_questions(source, require_answers=False)
    if output.is_dir() or not output.parent.is_dir():
        raise ConfigError(f"--output {output} must be a file in an existing folder")
    if output.resolve() == source.resolve():
        raise ConfigError(f"--output is the input {source}; give another file")
    part = output.with_name(f"{output.name}.{_digest_of_model(directory)}.part")
    predictions = answer_questions(SelectivePredictor.load(run), directory.config, questions, part)
    os.replace(part, output)
    return sum(not prediction.abstained for prediction in predictions), len(predictions)


def _digest_of_model(directory: RunDirectory) -> str:
    """Tells the predictions of one trained run from those of another."""
    digest = hashlib.sha256(directory.config.to_yaml().encode())
    for path in sorted([*directory.path.glob("*_adapter/*"), directory.path / CALIBRATION.name]):
        if path.is_file():
            digest.update(path.read_bytes())
    return digest.hexdigest()[:8]


def ask(run: Path, question: str, context: str | None = None) -> Prediction:
    """Answer one question; a context of the form ``@FILE`` is read from that file."""
    from aspire_llm.predictor import SelectivePredictor

    if context is not None and context.startswith("@"):
        try:
            context = Path(context[1:]).read_text(encoding="utf-8")
        except (OSError, UnicodeDecodeError) as error:
            raise DataError(f"--context {context}: cannot read it as UTF-8 text ({error})") from error
    return SelectivePredictor.load(run).predict([Question("0", question, context=context)])[0]


def evaluate(run: Path, data: str | None = None, methods: str | None = None) -> tuple[Path, RunMetrics]:
    """Metrics and report of a run, on its own test split or on other data.

    Args:
        run: A finished run.
        data: Questions with answers; None for the run's test split.
        methods: Selection methods, separated by commas, or ``all``; None for those that cost nothing.

    Returns:
        The directory of the results (`RUN`, or `RUN/evaluations/DATA`), and its metrics.
    """
    directory = RunDirectory.open(run)
    names, left_out = resolve_methods(methods, directory.config)
    pipeline = Pipeline(directory)
    pipeline.begin()
    if data is None:
        folder, sets = run, pipeline.answer_sets()
    else:
        folder, sets = _answered_elsewhere(pipeline, data)
    metrics = evaluate_answers(folder, directory.config, sets, names, left_out, optional=methods in (None, "all"))
    write_report(folder)
    write_tables(folder)
    return folder, metrics


def _answered_elsewhere(pipeline: Pipeline, data: str) -> tuple[Path, dict[str, AnswerSet]]:
    """The run's answers to other data, in a directory of their own."""
    questions = load_questions(data)
    folder = _other_folder(pipeline.folder, data)
    prompts = pipeline.model.encode(questions)
    facts = DataFacts.of(data, {Split.TEST: questions}, sum(prompt.is_cut for prompt in prompts))
    if PROVENANCE.exists(folder) and PROVENANCE.read(folder).data.sha256 != fingerprint({Split.TEST: questions}):
        shutil.rmtree(folder)  # of other questions
    folder.mkdir(parents=True, exist_ok=True)
    PROVENANCE.write(folder, replace(PROVENANCE.read(pipeline.folder), data=facts))
    for name in ("config.yaml", CALIBRATION.name):
        shutil.copyfile(pipeline.folder / name, folder / name)
    predictor, config = pipeline.model.predictor, pipeline.config
    answered = answer_questions(predictor, config, questions, folder / PREDICTIONS.name)
    rule = decision_rule(config, CALIBRATION.read(folder))
    decided = [rule.decide_again(prediction) for prediction in answered]
    PREDICTIONS.write(folder, decided)
    answers = AnswerSet(
        folder,
        config,
        questions,
        decided,
        source=lambda: pipeline.source(prompts),
        validation=pipeline.validation_predictions,
    )
    return folder, {"": answers}


def _other_folder(run: Path, data: str) -> Path:
    """Where the results of a run on other data are kept."""
    path = Path(data).resolve()
    name = (path.stem if path.is_file() else path.name) if path.exists() else re.sub(r"[^\w.-]+", "-", data)
    folder = run / "evaluations" / name
    if name in ("", ".", "..") or folder.parent != run / "evaluations":
        raise ConfigError(f"--data {data}: no name for its results can be made of this; give a file or a folder")
    return folder


def answer_questions(
    predictor: "SelectivePredictor", config: RunConfig, questions: Sequence[Question], path: Path
) -> list[Prediction]:
    """Fill a file with the predictions of questions; those of the same questions that are there already are kept.

    Args:
        predictor: Answers.
        config: Of its run.
        questions: What to answer.
        path: The file.

    Returns:
        The predictions, in the order of the questions.
    """
    file = prediction_file(path.name)
    if path.is_file() and not _begins_with(file, path, questions):
        path.unlink()
    size = BATCHES_AT_ONCE * config.stage2.batch_size
    return file.fill(path.parent, "prediction", questions, size, predictor.predict)


def _begins_with(file: Lines[Prediction], path: Path, questions: Sequence[Question]) -> bool:
    """Whether the whole lines of a file are predictions for the first of these questions."""
    known = [own.question for own in file.read_whole(path.parent)]
    asked = [(q.id, q.question, q.context, q.references) for q in questions[: len(known)]]
    return asked == [(q.id, q.question, q.context, q.references) for q in known]
