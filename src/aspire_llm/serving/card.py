"""What a run says of itself: model, data, figures, promises, drift."""

from typing import Any

import numpy as np

from aspire_llm.results.metrics import METRICS, RunMetrics
from aspire_llm.results.predictions import PREDICTIONS
from aspire_llm.rundir.provenance import PROVENANCE
from aspire_llm.selection import Certified, DecisionRule, Guarantee, defined
from aspire_llm.selection.metrics import accuracy_coverage_curve
from aspire_llm.serving.served_model import ServedModel, Stored
from aspire_llm.serving.settings import ServerSettings

_CURVE_POINTS = 100


def fixed_card(model: ServedModel, settings: ServerSettings) -> dict[str, Any]:
    """All of a card that does not change while the server runs."""
    stored = model.stored
    provenance = PROVENANCE.read(stored.folder) if PROVENANCE.exists(stored.folder) else None
    metrics = METRICS.read(stored.folder) if METRICS.exists(stored.folder) else None
    return {
        "name": model.name,
        "model": stored.config.model,
        "parameters": provenance.model.parameters if provenance else None,
        "data": stored.config.data.source,
        "questions": dict(provenance.data.questions) if provenance else {},
        "score": model.score,
        **_figures(metrics),
        **_own_rule(model.predictor.rule),
        "abstention": stored.config.abstention.default,
        "caveats": list(model.predictor.caveats),
        "max_candidates": stored.config.stage2.num_beams,
        "max_questions": settings.max_questions,
        "targets": [_target(own) for own in stored.calibrated.guarantees],
        "curve": _curve(stored),
    }


def _own_rule(rule: DecisionRule) -> dict[str, Any]:
    """What decides where a request chooses no target: one of the run's own, or else confidence."""
    if rule.guarantee is None:
        return {"own_target": None, "abstain_below": rule.abstain_below}
    return {"own_target": rule.guarantee.target.risk, "abstain_below": None}


def drift_card(model: ServedModel) -> list[dict[str, Any]]:
    """How live questions and scores compare with those of calibration, now."""
    return [
        {
            "what": what,
            "evidence": float(np.exp(min(stream.log_evidence, 700.0))),
            "peak": float(np.exp(min(stream.peak, 700.0))),
            "alarm": stream.alarm,
            "questions": stream.questions,
        }
        for what, stream in model.watch.streams.items()
    ]


def _figures(metrics: RunMetrics | None) -> dict[str, Any]:
    if metrics is None:
        return dict.fromkeys(("n", "accuracy", "auroc", "answered", "ece"))
    own = metrics.methods.get(metrics.reference)
    return {
        "n": metrics.n,
        "accuracy": metrics.accuracy,
        "auroc": defined(own.auroc) if own else None,
        "answered": {"share": metrics.answered.share, "accuracy": metrics.answered.accuracy},
        "ece": metrics.confidence.ece if metrics.confidence else None,
    }


def _target(own: Guarantee) -> dict[str, Any]:
    certified = isinstance(own.outcome, Certified)
    return {
        "target_risk": own.target.risk,
        "delta": own.target.delta,
        "certified": certified,
        "coverage": own.outcome.coverage if isinstance(own.outcome, Certified) else None,
        "sentence": own.sentence,
    }


def _curve(stored: Stored) -> list[dict[str, float]]:
    """Accuracy of the most confident share of the test questions, at up to 100 shares."""
    if not PREDICTIONS.exists(stored.folder):
        return []
    judged = [own for own in PREDICTIONS.read(stored.folder) if own.correct is not None]
    if not judged:
        return []
    correct = [bool(own.correct) for own in judged]
    accuracy = accuracy_coverage_curve(correct, [own.scored.selection_score for own in judged])
    count = len(judged)
    places = np.unique(np.linspace(1, count, min(_CURVE_POINTS, count)).round().astype(int))
    return [{"coverage": int(place) / count, "accuracy": float(accuracy[place - 1])} for place in places]
