"""What the commands do beyond the pipeline: resolve a run's settings, predict a file, ask, evaluate on other data."""

import hashlib
import json
import os
import re
import shutil
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from aspire_llm.comparison import write_tables
from aspire_llm.config import RunConfig
from aspire_llm.config_files import load_config, parse_change
from aspire_llm.data import load_questions
from aspire_llm.demo import MODEL_DIR
from aspire_llm.errors import ConfigError, DataError
from aspire_llm.methods.answer_set import AnswerSet
from aspire_llm.methods.evaluation import evaluate_run
from aspire_llm.methods.run_source import RunSource, answer_sets
from aspire_llm.methods.scoring import resolve_methods, score_answers
from aspire_llm.pipeline import BATCHES_AT_ONCE
from aspire_llm.predictor import SelectivePredictor
from aspire_llm.records import Prediction, Question, Split
from aspire_llm.report import write_report
from aspire_llm.results.lines import prediction_line
from aspire_llm.rundir.directory import RunDirectory, append_lines
from aspire_llm.rundir.provenance import fingerprint

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
    """
    embedded = config is None and model is None and data is None
    changes: list[tuple[str, object]] = []
    if model is not None:
        changes.append(("model", model))
    if data is not None:
        is_path = Path(data).exists()
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

    Returns:
        How many questions were answered rather than withheld, and how many there are.
    """
    directory = RunDirectory.open(run)
    questions = load_questions(source, require_answers=False)
    if output.is_dir() or not output.parent.is_dir():
        raise ConfigError(f"--output {output} must be a file in an existing folder")
    if output.resolve() == source.resolve():
        raise ConfigError(f"--output is the input {source}; give another file")
    part = output.with_name(f"{output.name}.{_digest_of_model(directory)}.part")
    answer_questions(SelectivePredictor.load(run), directory.config, questions, part)
    with part.open(encoding="utf-8") as file:
        answered = [not json.loads(line)["abstained"] for line in file]
    os.replace(part, output)
    return sum(answered), len(answered)


def _digest_of_model(directory: RunDirectory) -> str:
    """Tells the predictions of one trained run from those of another."""
    digest = hashlib.sha256(directory.config.to_yaml().encode())
    for path in sorted([*directory.path.glob("*_adapter/*"), directory.path / "calibration.json"]):
        if path.is_file():
            digest.update(path.read_bytes())
    return digest.hexdigest()[:8]


def ask(run: Path, question: str, context: str | None = None) -> Prediction:
    """Answer one question; a context of the form ``@FILE`` is read from that file."""
    if context is not None and context.startswith("@"):
        try:
            context = Path(context[1:]).read_text(encoding="utf-8")
        except (OSError, UnicodeDecodeError) as error:
            raise DataError(f"--context {context}: cannot read it as UTF-8 text ({error})") from error
    return SelectivePredictor.load(run).predict([Question("0", question, context=context)])[0]


def evaluate(run: Path, data: str | None = None, methods: str | None = None) -> tuple[Path, dict[str, Any]]:
    """Metrics and report of a run, on its own test split or on other data.

    Returns:
        The directory of the results (`RUN`, or `RUN/evaluations/DATA`), and its metrics.
    """
    directory = RunDirectory.open(run)
    source = RunSource(directory)
    names, left_out = resolve_methods(methods, directory)
    if data is None:
        sets = answer_sets(directory, source)
    else:
        questions = load_questions(data)
        cut = sum(source.encoder.prompt(question).cut for question in questions)
        directory = _other_data(directory, data, questions, contexts_cut=cut)
        answer_questions(source.predictor, directory.config, questions, directory.path / "predictions.jsonl")
        sets = {"": AnswerSet(directory, questions, directory.read_lines("predictions.jsonl"), source, "")}
    left_out |= score_answers(directory, sets, names, optional=methods in (None, "all"))
    metrics = evaluate_run(directory, names, left_out=left_out)
    write_report(directory.path)
    write_tables(directory.path)
    return directory.path, metrics


def _other_data(
    directory: RunDirectory, data: str, questions: Sequence[Question], *, contexts_cut: int
) -> RunDirectory:
    """The directory of a run's results on other data; what is there of other questions is removed."""
    path = Path(data).resolve()
    name = (path.stem if path.is_file() else path.name) if path.exists() else re.sub(r"[^\w.-]+", "-", data)
    other = directory.path / "evaluations" / name
    if name in ("", ".", "..") or other.parent != directory.path / "evaluations":
        raise ConfigError(f"--data {data}: no name for its results can be made of this; give a file or a folder")
    provenance = directory.read_json("provenance.json")
    known = {Split.TEST: questions}
    if (other / "provenance.json").is_file():
        stored = RunDirectory(other, directory.config).read_json("provenance.json")
        if stored["data"]["sha256"] != fingerprint(known):
            shutil.rmtree(other)
    other.mkdir(parents=True, exist_ok=True)
    results = RunDirectory(other, directory.config)
    provenance["data"] = {
        "source": data,
        "sha256": fingerprint(known),
        "questions": {Split.TEST.value: len(questions)},
        "contexts_cut": contexts_cut,
    }
    results.write_json("provenance.json", provenance)
    for file in ("config.yaml", "calibration.json"):
        shutil.copyfile(directory.path / file, other / file)
    return results


def answer_questions(
    predictor: SelectivePredictor, config: RunConfig, questions: Sequence[Question], path: Path
) -> None:
    """Fill a file with the predictions of questions; lines of the same questions that are there already are kept."""
    if path.is_file() and not _begins_with(path, questions):
        path.unlink()
    append_lines(
        path,
        "prediction",
        questions,
        BATCHES_AT_ONCE * config.stage2.batch_size,
        lambda part: [prediction_line(prediction) for prediction in predictor.predict(part)],
    )


def _begins_with(path: Path, questions: Sequence[Question]) -> bool:
    """Whether the whole lines of a file are predictions for the first of these questions."""
    with path.open(encoding="utf-8") as file:
        lines = [json.loads(line) for line in file if line.endswith("\n")]
    asked = [(q.id, q.question, q.context, list(q.references)) for q in questions[: len(lines)]]
    keys = ("id", "question", "context", "references")
    return asked == [tuple(line.get(key) for key in keys) for line in lines]
