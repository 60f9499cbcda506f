"""Methods to scores: `scores/<method>.json` in the run directory, computed where they are not stored yet."""

import math
import sys
import time
from collections.abc import Mapping, Sequence
from typing import Any

from aspire_llm.errors import AspireError, ConfigError, DataError
from aspire_llm.methods.answer_set import AnswerSet
from aspire_llm.methods.catalogue import METHODS, Method
from aspire_llm.methods.method import Needs
from aspire_llm.rundir.directory import RunDirectory

UNTUNED = "_untuned"
_OF_SAMPLES = ("rivals.num_samples", "rivals.temperature")
_DEPENDENT = {
    "rivals.nli_model": {"semantic_entropy", "sar"},
    "rivals.p_true_examples": {"p_true"},
    "rivals.judge": {"cross_model"},
}
_NO_UNTUNED = "there are no answers of the untuned model to these questions"
CHEAP = ("aspire", "perplexity", "self_evaluation", "sequence_log_probability", "perplexity_untuned")


def resolve_methods(text: str | None, directory: RunDirectory) -> tuple[list[str], dict[str, str]]:
    """The methods that `--methods` names, `all` there are, or those that need nothing but the predictions.

    Returns:
        Their names, and of those that `all` leaves out, why.

    Raises:
        ConfigError: A name is not known, or the method lacks a setting.
    """
    known = [*METHODS, *(name + UNTUNED for name, method in METHODS.items() if method.untuned)]
    lacking = {name: reason for name in known if (reason := _lacks(METHODS[name.removesuffix(UNTUNED)], directory))}
    if text is None:
        return list(CHEAP), {}
    if text == "all":
        return [name for name in known if name not in lacking], lacking
    names = list(dict.fromkeys(["aspire", *(name.strip() for name in text.split(","))]))
    for name in names:
        if name not in known:
            raise ConfigError(f"unknown method {name!r}; known are {', '.join(known)}, and all")
        if name in lacking:
            raise ConfigError(f"{name}: {lacking[name]}")
    return names, {}


def forget_changed(directory: RunDirectory) -> None:
    """Remove scores and samples that were made with other settings of the rivals than those of now."""
    names: set[str] = set()
    for key in directory.changed:
        if key in _OF_SAMPLES:
            names |= {name for name, method in METHODS.items() if Needs.SAMPLES in method.needs}
            for path in directory.path.glob("rival_samples*.jsonl"):
                path.unlink()
        names |= _DEPENDENT.get(key, set())
    for name in names:
        for suffix in ("", UNTUNED):
            (directory.path / "scores" / f"{name}{suffix}.json").unlink(missing_ok=True)


def score_answers(
    directory: RunDirectory, sets: Mapping[str, AnswerSet], names: Sequence[str], *, optional: bool
) -> dict[str, str]:
    """Score the answers with every method whose scores are not stored yet.

    Args:
        directory: Of the answers.
        sets: By suffix: the tuned model's answers under "", the untuned one's under "_untuned" where there are any.
        names: From `resolve_methods`.
        optional: Whether a method that the data do not allow is left out rather than an error.

    Returns:
        Of the methods that were left out, why.
    """
    (directory.path / "scores").mkdir(exist_ok=True)
    for path in (directory.path / "scores").glob("*.json"):
        suffix = UNTUNED if path.stem.endswith(UNTUNED) else ""
        if suffix in sets and not _is_stored(directory, path.stem, sets[suffix]):
            path.unlink()  # of other questions, which were answered here before
    left_out: dict[str, str] = {}
    for name in names:
        suffix = UNTUNED if name.endswith(UNTUNED) else ""
        if suffix not in sets:
            if not optional:
                raise ConfigError(f"{name}: {_NO_UNTUNED}")
            if name not in CHEAP:
                left_out[name] = _NO_UNTUNED
            continue
        if _is_stored(directory, name, sets[suffix]):
            continue
        method = METHODS[name.removesuffix(UNTUNED)]
        try:
            directory.write_json(f"scores/{name}.json", _scored(method, name, sets[suffix]))
        except AspireError as error:
            if not optional:
                raise
            left_out[name] = str(error)
            print(f"{name} left out: {error}", file=sys.stderr)
    return left_out


def _scored(method: Method, name: str, answers: AnswerSet) -> dict[str, Any]:
    if Needs.SAMPLES in method.needs:
        len(answers.samples)  # made now: what several methods share is no method's own time
    if Needs.MODEL in method.needs:
        len(answers.prompts)  # so is loading the model
    if Needs.FEATURES in method.needs:
        len(answers.features)
    answers.offline_seconds = 0.0
    started = time.perf_counter()
    scores = [float(score) for score in method.score(answers)]
    seconds = (time.perf_counter() - started - answers.offline_seconds) / len(scores)
    if bad := sum(not math.isfinite(score) for score in scores):
        raise DataError(f"{bad} of {len(scores)} scores are NaN or infinite")
    return {
        "method": name,
        "answers": "untuned" if answers.suffix else "tuned",
        "source": method.source,
        "ids": [line["id"] for line in answers.lines],
        "scores": scores,
        "cost": _cost(method, answers, seconds),
    }


def _cost(method: Method, answers: AnswerSet, seconds: float) -> dict[str, float] | None:
    """Seconds and generated tokens a question beyond answering it once; None where answering was not timed."""
    timed = answers.directory.read_json("provenance.json").get("seconds_a_question")
    if not timed:
        return None
    tokens = 0.0
    if Needs.VERDICT in method.needs:
        seconds += timed["self_evaluation"]
    if Needs.FEATURES in method.needs:
        seconds += answers.reading_seconds / len(answers.lines)
    if Needs.SAMPLES in method.needs:
        sampling, tokens = answers.sampling_cost()
        seconds += sampling
    return {"seconds": seconds, "generated_tokens": tokens, "relative": 1 + seconds / timed["answer"]}


def _is_stored(directory: RunDirectory, name: str, answers: AnswerSet) -> bool:
    path = f"scores/{name}.json"
    if not (directory.path / path).is_file():
        return False
    return bool(directory.read_json(path)["ids"] == [line["id"] for line in answers.lines])


def _lacks(method: Method, directory: RunDirectory) -> str | None:
    if method.setting is None:
        return None
    section, key = method.setting.split(".")
    given = getattr(getattr(directory.config, section), key)
    return None if given is not None else f"{method.setting} is not set"
