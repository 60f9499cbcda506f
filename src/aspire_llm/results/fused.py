"""The fused score as it is stored: `fused.json`."""

from typing import Any

from aspire_llm.records.fields import optional, text
from aspire_llm.rundir.files import Document
from aspire_llm.selection import FusedScore, Infeasible


def _to_json(score: FusedScore | Infeasible) -> dict[str, Any]:
    return {"reason": score.reason} if isinstance(score, Infeasible) else score.to_json()


def _from_json(content: Any) -> FusedScore | Infeasible:
    reason = optional(content, "reason", text)
    return FusedScore.from_json(content) if reason is None else Infeasible(reason)


FUSED: Document[FusedScore | Infeasible] = Document("fused.json", "fused score", _to_json, _from_json)
