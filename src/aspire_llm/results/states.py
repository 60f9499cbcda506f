"""The read-out of hidden states, as it is stored: `states.safetensors`."""

from dataclasses import asdict, dataclass
from typing import Any

from aspire_llm.records.fields import field, flag, natural, number, optional, pair, text
from aspire_llm.results.arrays import ArraysFile, Named
from aspire_llm.selection.linear_readout import LinearReadout, Weighing

_WEIGHTS = "weights"
_POSITIONS = ("last", "mean", "prompt")


@dataclass(frozen=True, slots=True)
class StatesReadout:
    """What is read where.

    Attributes:
        readout: Log-odds of a correct answer by one state, beside its likelihood.
        position: ``last`` (token of the answer), ``mean`` (over its tokens), or ``prompt`` (its last token).
        layer: Number of the layer, from 0 on.
    """

    readout: LinearReadout
    position: str
    layer: int


def _to_arrays(states: StatesReadout) -> tuple[Named, dict[str, Any]]:
    facts = asdict(states.readout)
    return {_WEIGHTS: facts.pop(_WEIGHTS)}, {**facts, "position": states.position, "layer": states.layer}


def _from_arrays(arrays: Named, facts: Any) -> StatesReadout:
    readout = LinearReadout(
        place=field(facts, "place", natural),
        weights=arrays[_WEIGHTS],
        # Earlier versions had no likelihood beside the states, and two weighings.
        likelihood_weights=optional(facts, "likelihood_weights", pair(number)) or (0.0, 0.0),
        bias=field(facts, "bias", number),
        auroc=field(facts, "auroc", number),
        strength=field(facts, "strength", number),
        weighing=optional(facts, "weighing", Weighing) or _earlier_weighing(facts),
    )
    return StatesReadout(readout, field(facts, "position", _position), field(facts, "layer", natural))


def _earlier_weighing(facts: Any) -> Weighing:
    return Weighing.BY_PROBABILITY if field(facts, "by_probability", flag) else Weighing.ALIKE


def _position(value: Any) -> str:
    if value not in _POSITIONS:
        raise ValueError(f"{text(value)!r:.40} is none of {', '.join(_POSITIONS)}")
    return text(value)


STATES = ArraysFile("states.safetensors", "read-out of states", _to_arrays, _from_arrays)
