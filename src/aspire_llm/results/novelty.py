"""What tells whether a question is novel, as it is stored: `novelty.safetensors`."""

from dataclasses import asdict
from typing import Any

from aspire_llm.records.fields import each, field, text
from aspire_llm.results.arrays import ArraysFile, Named
from aspire_llm.selection import NoveltyGuard
from aspire_llm.selection.novelty import View

_STATES = "states"


def _to_arrays(guard: NoveltyGuard) -> tuple[Named, dict[str, Any]]:
    return {_STATES: guard.states, **asdict(guard.view)}, {"groups": guard.groups}


def _from_arrays(arrays: Named, facts: Any) -> NoveltyGuard:
    states = arrays.pop(_STATES)
    return NoveltyGuard(View(**arrays), states, field(facts, "groups", each(text)))


NOVELTY = ArraysFile("novelty.safetensors", "calibration questions", _to_arrays, _from_arrays)
