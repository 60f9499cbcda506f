"""Methods to scores: `scores/METHOD.json` beside the answers, computed where they are not stored yet."""

import math
import sys
import time
from collections.abc import Mapping, Sequence
from pathlib import Path

from aspire_llm.config import RunConfig
from aspire_llm.errors import AspireError, ConfigError, DataError
from aspire_llm.methods.answer_set import AnswerSet
from aspire_llm.methods.catalogue import METHODS, UNTUNED, Method, Needs, base_name
from aspire_llm.records import Answers
from aspire_llm.results.fused import FUSED
from aspire_llm.results.scores import Cost, StoredScores, scores_file
from aspire_llm.rundir.provenance import PROVENANCE
from aspire_llm.selection import FusedScore, Part

_NO_UNTUNED = "there are no answers of the untuned model to these questions"
CHEAP = (
    *("aspire", "perplexity", "self_evaluation", "sequence_log_probability", "agreement_mass", "states"),
    f"perplexity{UNTUNED}",
)


def resolve_methods(text: str | None, config: RunConfig) -> tuple[list[str], dict[str, str]]:
    """The methods that `--methods` names, `all` there are, or those that need nothing but the predictions.

    Args:
        text: Names with commas between them, ``all``, or None.
        config: Of the run.

    Returns:
        Their names, and of those that `all` leaves out, why.

    Raises:
        ConfigError: A name is not known, or the method lacks a setting.
    """
    known = [*METHODS, *(name + UNTUNED for name, method in METHODS.items() if method.untuned)]
    lacking = {name: reason for name in known if (reason := _lacks(name, config))}
    own = ["fused", "fused_likelihood"] if config.score.kind == "fused" else []  # they take validation answers
    if text is None:
        return [name for name in (*own, *CHEAP) if name not in lacking], {}
    if text == "all":
        return [name for name in known if name not in lacking], lacking
    always = [name for name in (config.score.kind, "aspire") if name not in lacking]  # the paper's is in every table
    names = list(dict.fromkeys([*always, *(name.strip() for name in text.split(","))]))
    for name in names:
        if name not in known:
            raise ConfigError(f"unknown method {name!r}; known are {', '.join(known)}, and all")
        if name in lacking:
            raise ConfigError(f"{name}: {lacking[name]}")
    return names, {}


def score_answers(
    folder: Path, sets: Mapping[str, AnswerSet], names: Sequence[str], *, optional: bool
) -> dict[str, str]:
    """Score the answers with every method whose scores are not stored yet, or follow from stored answers.

    Args:
        folder: Of the answers.
        sets: By suffix: the tuned model's answers under "", the untuned one's under "_untuned" where there are any.
        names: From `resolve_methods`.
        optional: Whether a method that the data do not allow is left out rather than an error.

    Returns:
        Of the methods that were left out, why.
    """
    (folder / "scores").mkdir(exist_ok=True)
    for path in (folder / "scores").glob("*.json"):
        suffix = UNTUNED if path.stem.endswith(UNTUNED) else ""
        if suffix not in sets or not _is_stored(folder, path.stem, sets[suffix]):
            path.unlink()  # of other questions, which were answered here before, or of a model that has changed
    left_out: dict[str, str] = {}
    for name in _with_stored_cheap(folder, names):
        suffix = UNTUNED if name.endswith(UNTUNED) else ""
        if suffix not in sets:
            if not optional:
                raise ConfigError(f"{name}: {_NO_UNTUNED}")
            if name not in CHEAP:
                left_out[name] = _NO_UNTUNED
            continue
        method = METHODS[base_name(name)]
        if not method.is_cheap and _is_stored(folder, name, sets[suffix]):
            continue
        try:
            scores_file(name).write(folder, _scored(method, name, sets[suffix]))
        except AspireError as error:
            (folder / scores_file(name).name).unlink(missing_ok=True)
            if name not in names:
                continue  # stored once, under settings that allowed it
            if not optional:
                raise
            left_out[name] = str(error)
            print(f"{name} left out: {error}", file=sys.stderr)
    return left_out


def _with_stored_cheap(folder: Path, names: Sequence[str]) -> list[str]:
    """The methods asked for, and those of earlier times whose scores may have changed with the settings."""
    stored = sorted(path.stem for path in (folder / "scores").glob("*.json") if path.stem not in names)
    return [*names, *(name for name in stored if base_name(name) in METHODS and METHODS[base_name(name)].is_cheap)]


def _scored(method: Method, name: str, answers: AnswerSet) -> StoredScores:
    if Needs.SAMPLES in method.needs:
        len(answers.drawn)  # made now: what several methods share is no method's own time
    if Needs.MODEL in method.needs:
        len(answers.source.prompts)  # so is loading the model
    if Needs.FEATURES in method.needs:
        len(answers.features)
    answers.offline_seconds = 0.0
    started = time.perf_counter()
    scores = tuple(float(score) for score in method.score(answers))
    seconds = (time.perf_counter() - started - answers.offline_seconds) / len(scores)
    if bad := sum(not math.isfinite(score) for score in scores):
        raise DataError(f"{bad} of {len(scores)} scores are NaN or infinite")
    return StoredScores(
        method=name,
        answers=Answers.UNTUNED if answers.suffix else Answers.TUNED,
        source=method.source,
        ids=answers.ids,
        scores=scores,
        cost=_cost(method, answers, seconds),
        asked=_asked(method, answers),
    )


def _cost(method: Method, answers: AnswerSet, seconds: float) -> Cost | None:
    """Seconds and generated tokens per question beyond answering it once; None where answering was not timed."""
    timed = PROVENANCE.read(answers.folder).seconds_a_question
    if not timed or timed["answer"] <= 0.0:
        return None
    tokens = 0.0
    if _asks_verdict(method, answers):
        seconds += timed["self_evaluation"]
    if Needs.FEATURES in method.needs:
        seconds += answers.reading_seconds / len(answers.ids)
    if Needs.SAMPLES in method.needs:
        sampling, tokens = answers.sampling_cost()
        seconds += sampling
    return Cost(seconds, tokens, relative=1 + seconds / timed["answer"])


def _asks_verdict(method: Method, answers: AnswerSet) -> bool:
    """Whether θs is needed; the fused score that the run has fitted may do without."""
    if method.name == answers.config.score.kind == "fused" and FUSED.exists(answers.folder):
        fused = FUSED.read(answers.folder)
        return not isinstance(fused, FusedScore) or Part.VERDICT in fused.needs
    return Needs.VERDICT in method.needs


def _is_stored(folder: Path, name: str, answers: AnswerSet) -> bool:
    """Whether these answers were scored, and by the same other model where the method asks one."""
    file, method = scores_file(name), METHODS.get(base_name(name))
    if not file.exists(folder):
        return False
    stored, asked = file.read(folder), _asked(method, answers) if method else None
    return stored.ids == answers.ids and (asked is None or stored.asked == asked)


def _asked(method: Method, answers: AnswerSet) -> str | None:
    return next(
        (answers.other_models[key] for key in method.settings if key in ("rivals.nli_model", "rivals.judge")), None
    )


def _lacks(name: str, config: RunConfig) -> str | None:
    requires = (METHODS[base_name(name)].requires, None if name == base_name(name) else "rivals.untuned")
    for setting in filter(None, requires):
        section, key = setting.split(".")
        if not getattr(getattr(config, section), key):
            return f"{setting} is not set"
    return None
