"""The map from selection score to confidence as it is stored, and the rule that decides with it."""

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from aspire_llm.config import RunConfig
from aspire_llm.records import Prediction
from aspire_llm.results.fused import FUSED
from aspire_llm.rundir.files import Document
from aspire_llm.selection import (
    AspireScore,
    Calibration,
    DecisionRule,
    FusedScore,
    Infeasible,
    NoveltyGuard,
    Scoring,
    fit_calibration,
)


def _to_json(calibration: Calibration | Infeasible) -> dict[str, Any]:
    if isinstance(calibration, Infeasible):
        return {"method": None, "reason": calibration.reason}
    return calibration.to_json()


def _from_json(content: Mapping[str, Any]) -> Calibration | Infeasible:
    return Infeasible(content["reason"]) if content["method"] is None else Calibration.from_json(content)


CALIBRATION: Document[Calibration | Infeasible] = Document("calibration.json", "calibration", _to_json, _from_json)


_NOT_YET = Infeasible("not fitted yet")


def decision_rule(
    config: RunConfig,
    calibration: Calibration | Infeasible | None = None,
    fused: FusedScore | Infeasible | None = None,
) -> DecisionRule:
    """What decides about the answers of a run.

    Args:
        config: Of the run.
        calibration: Whatever could be fitted; None before that, when nothing is withheld.
        fused: Whatever could be fitted; None before that, and where the score is ASPIRE's.
    """
    return DecisionRule(
        scoring=fused if isinstance(fused, FusedScore) else aspire_score(config),
        lacking=f"no fused score ({fused.reason}): the paper's is used" if isinstance(fused, Infeasible) else "",
        abstain_below=config.score.abstain_below,
        eval_threshold=config.correctness.eval_threshold,
        calibration=calibration or _NOT_YET,
        novelty_level=0.0 if calibration is None else config.score.novelty_level,
    )


def stored_rule(folder: Path, config: RunConfig) -> DecisionRule:
    """What decides about the answers of a run that was calibrated; `folder` holds what was fitted."""
    fused = FUSED.read(folder) if config.score.kind == "fused" else None
    return decision_rule(config, CALIBRATION.read(folder), fused)


def aspire_score(config: RunConfig) -> Scoring:
    """The paper's score; without stage 3 there is no verdict, and the likelihood is left of it."""
    return AspireScore(config.score.alpha if config.stage3.enabled else 0.0)


def caveats(rule: DecisionRule, novelty: NoveltyGuard | Infeasible | None) -> tuple[str, ...]:
    """What a user must know of all decisions of a run, in clauses.

    Args:
        rule: What decides.
        novelty: What novel questions are told by; None before there can be anything.
    """
    found = list(rule.caveats)
    level = rule.novelty_level
    if level and isinstance(novelty, Infeasible):
        found.append(f"no novelty guard ({novelty.reason}): questions unlike the run's own are not noticed")
    elif level and isinstance(novelty, NoveltyGuard) and level * (1 + len(novelty.groups)) <= 1:
        count = len(novelty.groups)
        found.append(f"no novelty guard: {count} calibration questions are too few for a novelty_level of {level:g}")
    return tuple(found)


def calibrate(predictions: Sequence[Prediction], method: str) -> Calibration | Infeasible:
    """Fit confidence on the answers to the calibration split whose correctness is known."""
    known = [(own.scored.selection_score, own.correct) for own in predictions if own.correct is not None]
    return fit_calibration([score for score, _ in known], [correct for _, correct in known], method)
