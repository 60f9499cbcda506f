"""The map from selection score to confidence as it is stored, and the rule that decides with it."""

from collections.abc import Mapping
from typing import Any

from aspire_llm.config import RunConfig
from aspire_llm.rundir.files import Document
from aspire_llm.selection import Calibration, DecisionRule, Infeasible


def _to_json(calibration: Calibration | Infeasible) -> dict[str, Any]:
    if isinstance(calibration, Infeasible):
        return {"method": None, "reason": calibration.reason}
    return calibration.to_json()


def _from_json(content: Mapping[str, Any]) -> Calibration | Infeasible:
    return Infeasible(content["reason"]) if content["method"] is None else Calibration.from_json(content)


CALIBRATION: Document[Calibration | Infeasible] = Document("calibration.json", "calibration", _to_json, _from_json)


def decision_rule(config: RunConfig, calibration: Calibration | Infeasible | None = None) -> DecisionRule:
    """What decides about the answers of a run.

    Args:
        config: Of the run.
        calibration: Where there is none, or none could be fitted, nothing is withheld.
    """
    return DecisionRule(
        alpha=config.score.alpha,
        abstain_below=config.score.abstain_below,
        eval_threshold=config.correctness.eval_threshold,
        calibration=None if isinstance(calibration, Infeasible) else calibration,
    )
