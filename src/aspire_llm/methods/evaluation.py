"""From the stored answers and scores of a run to `metrics.json`: every method scores the same answers."""

from collections.abc import Mapping, Sequence
from pathlib import Path

from aspire_llm.config import RunConfig
from aspire_llm.errors import DataError
from aspire_llm.methods.answer_set import AnswerSet
from aspire_llm.methods.catalogue import UNTUNED
from aspire_llm.methods.scoring import score_answers
from aspire_llm.records import Answers, MethodScores, Prediction, UntunedAnswer
from aspire_llm.results.calibration import caveats, stored_rule
from aspire_llm.results.metrics import METRICS, Answered, Origin, Reranked, RunMetrics
from aspire_llm.results.novelty import NOVELTY
from aspire_llm.results.scores import COSTS, scores_file
from aspire_llm.rundir.provenance import PROVENANCE
from aspire_llm.selection import DecisionRule, Evaluation, Undefined, evaluate
from aspire_llm.selection.bootstrap import Interval, accuracy_interval
from aspire_llm.selection.pooled import accuracy_difference

_OF_THE_LIKELIEST = (
    "methods are compared on the likeliest answers: give references, or set score.candidates to 1 in the run"
)


def evaluate_answers(
    folder: Path,
    config: RunConfig,
    sets: Mapping[str, AnswerSet],
    methods: Sequence[str],
    left_out: Mapping[str, str] | None = None,
    *,
    optional: bool,
) -> RunMetrics:
    """Score answers by methods and write the figures.

    Args:
        folder: Of the answers.
        config: Of the run.
        sets: The answers by suffix.
        methods: From `resolve_methods`.
        left_out: Of further methods, why they are not among them.
        optional: Whether a method that the data do not allow is left out rather than an error.

    Returns:
        The content of `metrics.json`. Methods that are not asked for, but have stored scores, follow the others.

    Raises:
        DataError: A prediction has neither a reference to be held against nor a mark.
    """
    missing = score_answers(folder, sets, methods, optional=optional)
    predictions = [own for own in sets[""].given if isinstance(own, Prediction)]
    untuned = [own for own in sets[UNTUNED].given if isinstance(own, UntunedAnswer)] if UNTUNED in sets else []
    return _evaluate_stored(folder, config, predictions, untuned, methods, left_out={**(left_out or {}), **missing})


def _evaluate_stored(
    folder: Path,
    config: RunConfig,
    predictions: Sequence[Prediction],
    untuned: Sequence[UntunedAnswer],
    methods: Sequence[str],
    *,
    left_out: Mapping[str, str],
) -> RunMetrics:
    """Hold the stored scores against the labels of the answers and write `metrics.json`."""
    likeliest = [own.likeliest for own in predictions]
    for answers, remedy in ((predictions, "evaluation needs answers"), (likeliest, _OF_THE_LIKELIEST)):
        if unknown := sum(own.correct is None for own in answers):
            raise DataError(
                f"{unknown} of {len(answers)} predictions have no reference, nor a mark that is about them; {remedy}"
            )
    names = {path.stem for path in (folder / "scores").glob("*.json")}
    stored = [
        scores_file(name).read(folder)
        for name in (*(name for name in methods if name in names), *sorted(names - set(methods)))
    ]
    tuned, before = (
        [method_scores(own.method, own.scores, given) for own in stored if own.answers is answers]
        for answers, given in ((Answers.TUNED, likeliest), (Answers.UNTUNED, untuned))
    )
    own = [method.name for method in tuned]
    reference = config.score.kind if config.score.kind in own else own[0]
    evaluation = _evaluate(tuned, before, predictions, reference, config.seed)
    rule = stored_rule(folder, config)
    metrics = RunMetrics(
        n=len(predictions),
        accuracy=_accuracy(likeliest),
        accuracy_ci=_accuracy_ci(likeliest, config.seed),
        accuracy_before=_accuracy(untuned) if untuned else None,
        accuracy_before_ci=_accuracy_ci(untuned, config.seed) if untuned else None,
        malformed=sum(not own.sampled.terminated or not own.sampled.text for own in predictions) / len(predictions),
        answered=_answered(predictions),
        methods=evaluation.methods,
        origins={own.method: Origin(own.answers, own.source) for own in stored},
        differences=evaluation.differences,
        confidence=evaluation.confidence,
        reference=reference,
        reranked=_reranked(predictions, rule.candidates, config.seed),
        notes=tuple(_notes(folder, rule, predictions, left_out)),
    )
    METRICS.write(folder, metrics)
    COSTS.write(folder, {own.method: own.cost for own in stored})
    return metrics


def method_scores(
    name: str, scores: Sequence[float], given: Sequence[Prediction] | Sequence[UntunedAnswer]
) -> MethodScores:
    """Scores with the labels and groups of the answers that they are about, in the order of the answers."""
    return MethodScores(
        name,
        scores=tuple(scores),
        correct=tuple(bool(own.correct) for own in given),
        groups=tuple(own.question.cluster for own in given),
    )


def _evaluate(
    tuned: Sequence[MethodScores],
    before: Sequence[MethodScores],
    predictions: Sequence[Prediction],
    reference: str,
    seed: int,
) -> Evaluation:
    """The figures of all methods; those on the answers before tuning are compared with none of the others."""
    sure = [own for own in predictions if own.confidence is not None]
    confidence = method_scores("confidence", [own.confidence or 0.0 for own in sure], sure) if sure else None
    evaluation = evaluate(tuned, reference_method=reference, seed=seed, confidence=confidence)
    if not before:
        return evaluation
    other = evaluate(before, reference_method=before[0].name, seed=seed)
    return Evaluation(evaluation.methods | other.methods, evaluation.differences, evaluation.confidence)


def _reranked(predictions: Sequence[Prediction], candidates: int, seed: int) -> Reranked | None:
    """What the answers given gain on the likeliest; None where they are the likeliest by rule."""
    if candidates == 1:
        return None
    given, likeliest = zip(*((bool(own.correct), bool(own.likeliest.correct)) for own in predictions), strict=True)
    groups = [own.question.cluster for own in predictions]
    return Reranked(
        candidates,
        changed=sum(own.passed_over is not None for own in predictions) / len(predictions),
        accuracy=_accuracy(predictions),
        accuracy_ci=_accuracy_ci(predictions, seed),
        gain=accuracy_difference([given], [likeliest], [groups], seed=seed),
    )


def _answered(predictions: Sequence[Prediction]) -> Answered:
    answered = [own for own in predictions if not own.abstained]
    return Answered(len(answered) / len(predictions), _accuracy(answered) if answered else None)


def _accuracy(given: Sequence[Prediction] | Sequence[UntunedAnswer]) -> float:
    return sum(float(bool(own.correct)) for own in given) / len(given)


def _accuracy_ci(given: Sequence[Prediction] | Sequence[UntunedAnswer], seed: int) -> Interval | Undefined:
    scores = method_scores("", [0.0] * len(given), given)
    return accuracy_interval(scores.correct, scores.groups, seed=seed)


def _notes(
    folder: Path, rule: DecisionRule, predictions: Sequence[Prediction], left_out: Mapping[str, str]
) -> list[str]:
    notes = [f"Left out: {name} ({reason})." for name, reason in left_out.items()]
    notes += [f"{caveat[0].upper()}{caveat[1:]}." for caveat in caveats(rule, NOVELTY.read(folder))]
    novel = sum(own.novelty is not None and own.novelty < rule.novelty_level for own in predictions)
    if novel:
        notes.append(f"Withheld as unlike the calibration questions: {novel} of {len(predictions)} answers.")
    data = PROVENANCE.read(folder).data
    if data.contexts_cut:
        total = sum(data.questions.values())
        notes.append(f"Contexts cut to the model's window: {data.contexts_cut} of {total} questions.")
    return notes
