"""The fused score as it is stored: `fused.json`."""

from collections.abc import Mapping
from typing import Any

from aspire_llm.rundir.files import Document
from aspire_llm.selection import FusedScore, Infeasible


def _to_json(score: FusedScore | Infeasible) -> dict[str, Any]:
    return {"reason": score.reason} if isinstance(score, Infeasible) else score.to_json()


def _from_json(content: Mapping[str, Any]) -> FusedScore | Infeasible:
    return Infeasible(content["reason"]) if "reason" in content else FusedScore.from_json(content)


FUSED: Document[FusedScore | Infeasible] = Document("fused.json", "fused score", _to_json, _from_json)
