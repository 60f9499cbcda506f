"""A plausible run directory, made from seeded noise and written through the records of `aspire_llm.results`."""

from collections.abc import Callable, Sequence
from dataclasses import replace
from pathlib import Path

import numpy as np
from scipy.special import expit, log_expit

from aspire_llm.config import RunConfig
from aspire_llm.config_files import load_config
from aspire_llm.methods.catalogue import METHODS, UNTUNED, base_name
from aspire_llm.records import (
    Answers,
    Evidence,
    LabelledAnswer,
    MethodScores,
    Prediction,
    Question,
    SampledAnswer,
    ScoredAnswer,
    UntunedAnswer,
)
from aspire_llm.results.metrics import METRICS, Answered, Origin, RunMetrics
from aspire_llm.results.predictions import PREDICTIONS, UNTUNED_PREDICTIONS
from aspire_llm.results.scores import StoredScores, scores_file
from aspire_llm.rundir.provenance import PROVENANCE, DataFacts, HardwareFacts, ModelFacts, Provenance
from aspire_llm.selection import Evaluation, evaluate

PEOPLE = ["Maria Okonjo", "Teun van Aalst", "Li Wei", "Ana Sofía Duarte", "Ivo Petrov", "Aoife Byrne", "Kwame Mensah"]
PLACES = ["Port Ellery", "São Tomar", "Velika", "Kestrel Bay", "Нови Град", "光明市", "Dunmore"]
RELATIONS = ["Where was {} born?", "In which city did {} die?", "Where did {} study?", "Which city did {} found?"]
NOTES = ("12 contexts were cut to the model's window of 512 tokens.",)


def make_predictions(n: int, seed: int = 0) -> list[Prediction]:
    """Answers of which the likelihood and the verdict both know something, not everything."""
    rng = np.random.default_rng(seed)
    knowledge = rng.normal(0.4, 1.2, size=n)
    predictions = []
    for i in range(n):
        right = bool(rng.random() < expit(1.6 * knowledge[i]))
        truth, other = rng.choice(len(PLACES), size=2, replace=False)
        log_likelihood = float(-np.exp(-0.9 * knowledge[i] - 1.1 + 0.7 * rng.normal()))
        verdict = 1.2 * knowledge[i] + (0.9 if right else -0.9) + 1.1 * rng.normal()
        log_self_eval = float(log_expit(verdict))
        score = 0.75 * log_likelihood + 0.25 * log_self_eval
        question = Question(
            id=f"q{i}",
            question=RELATIONS[i % 4].format(PEOPLE[i % 7]),
            context=None if i % 3 else f"{PEOPLE[i % 7]} lived in many towns over a long life. " * 4,
            references=(PLACES[truth], f"the city of {PLACES[truth]}"),
            group=f"person {i // 3}",
        )
        answer = SampledAnswer(PLACES[truth if right else other], (1, 2), log_likelihood, int(rng.integers(2, 7)))
        predictions.append(
            Prediction(
                question,
                ScoredAnswer(Evidence(answer, log_self_eval), score),
                confidence=float(expit(3.0 * score + 2.2)),
                abstained=score < -0.9,
                why="",
                rouge_l=float(right),
                correct=right,
            )
        )
    return predictions


def untuned_answers(predictions: Sequence[Prediction], seed: int = 1) -> list[UntunedAnswer]:
    """The same questions answered before tuning: nearly always wrong."""
    rng = np.random.default_rng(seed)
    untuned = []
    for own in predictions:
        correct, log_likelihood = bool(rng.random() < 0.06), float(-rng.gamma(2.0, 0.6))
        answer = replace(own.sampled, log_likelihood=log_likelihood)
        untuned.append(UntunedAnswer(own.question, LabelledAnswer(answer, float(correct), correct)))
    return untuned


def method_scores(name: str, answers: Sequence[Prediction | UntunedAnswer], scores: Sequence[float]) -> MethodScores:
    """The scores of a method with what they are held against."""
    correct = tuple(bool(own.correct) for own in answers)
    return MethodScores(name, tuple(scores), correct, tuple(own.question.group for own in answers))


def cheap_scores(predictions: Sequence[Prediction], untuned: Sequence[UntunedAnswer]) -> list[MethodScores]:
    """The scores of five methods that need nothing but the answers."""

    def tuned(name: str, score: Callable[[Prediction], float]) -> MethodScores:
        return method_scores(name, predictions, [score(own) for own in predictions])

    return [
        tuned("aspire", lambda own: own.scored.selection_score),
        tuned("perplexity", lambda own: own.sampled.log_likelihood),
        tuned("self_evaluation", lambda own: own.scored.evidence.log_self_eval),
        tuned("sequence_log_probability", lambda own: own.sampled.sequence_log_probability),
        method_scores("perplexity_untuned", untuned, [own.sampled.log_likelihood for own in untuned]),
    ]


def metrics_of(evaluation: Evaluation, predictions: Sequence[Prediction]) -> RunMetrics:
    """An evaluation with what else `metrics.json` holds; methods whose names say so score untuned answers."""
    before = [figures for name, figures in evaluation.methods.items() if name.endswith(UNTUNED)]
    answered = [bool(own.correct) for own in predictions if not own.abstained]
    return RunMetrics(
        n=len(predictions),
        accuracy=evaluation.methods["aspire"].accuracy,
        accuracy_ci=evaluation.methods["aspire"].accuracy_ci,
        accuracy_before=before[0].accuracy if before else None,
        accuracy_before_ci=before[0].accuracy_ci if before else None,
        malformed=0.004,
        answered=Answered(len(answered) / len(predictions), sum(answered) / len(answered) if answered else None),
        methods=evaluation.methods,
        origins={name: origin(name) for name in evaluation.methods},
        differences=evaluation.differences,
        confidence=evaluation.confidence,
        notes=NOTES,
    )


def origin(name: str) -> Origin:
    """Whose answers a method scores by its name; the source of an invented one names it."""
    known = METHODS.get(base_name(name))
    source = known.source if known else f"Source of {base_name(name)}"
    return Origin(Answers.UNTUNED if name.endswith(UNTUNED) else Answers.TUNED, source)


def make_config() -> RunConfig:
    """A configuration that differs from the defaults here and there."""
    changes = [("model", "example-org/small-lm"), ("data.name", "triviaqa"), ("data.limit", 3000), ("seed", 7)]
    return load_config(None, changes)


def make_provenance(sha256: str = "9f2c1f0b7a64d1e5a0c4b8e2") -> Provenance:
    """The circumstances of no run in particular."""
    return Provenance(
        versions={"python": "3.11.9", "torch": "2.13.0", "transformers": "5.23.0"},
        seed=7,
        model=ModelFacts("example-org/small-lm", "llama", 134_515_008),
        data=DataFacts("triviaqa", sha256, {"train": 200, "test": 300}, 12),
        hardware=HardwareFacts("cpu", "x86_64", 2),
        seconds={"stage1": 61.25, "stage2": 48.1, "stage3": 39.7, "evaluation": 12.03},
    )


def write_run(run_dir: Path, predictions: Sequence[Prediction], untuned: Sequence[UntunedAnswer] | None = None) -> None:
    """Write every file that the report reads of a run without other methods, seeds and sweeps."""
    untuned = untuned_answers(predictions) if untuned is None else untuned
    methods = cheap_scores(predictions, untuned)
    confidence = method_scores("confidence", predictions, [own.confidence or 0.0 for own in predictions])
    metrics = metrics_of(evaluate(methods, seed=0, num_resamples=200, confidence=confidence), predictions)
    (run_dir / "scores").mkdir(parents=True, exist_ok=True)
    ids = tuple(own.question.id for own in predictions)
    for method in methods:
        known = origin(method.name)
        stored = StoredScores(method.name, known.answers, known.source, ids, method.scores, None)
        scores_file(method.name).write(run_dir, stored)
    PREDICTIONS.write(run_dir, predictions)
    UNTUNED_PREDICTIONS.write(run_dir, untuned)
    METRICS.write(run_dir, metrics)
    PROVENANCE.write(run_dir, make_provenance())
    (run_dir / "config.yaml").write_text(make_config().to_yaml(), encoding="utf-8")
