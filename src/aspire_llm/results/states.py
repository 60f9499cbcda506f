"""The read-out of hidden states, as it is stored: `states.safetensors`."""

from collections.abc import Mapping
from dataclasses import asdict, dataclass
from typing import Any

from aspire_llm.results.arrays import ArraysFile, Named
from aspire_llm.selection.linear_readout import LinearReadout, Weighing

_WEIGHTS = "weights"


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


def _from_arrays(arrays: Named, facts: Mapping[str, Any]) -> StatesReadout:
    own = dict(facts)
    position, layer = own.pop("position"), own.pop("layer")
    # Earlier versions had no likelihood beside the states, and two weighings.
    own["likelihood_weights"] = tuple(own.get("likelihood_weights", (0.0, 0.0)))
    own["weighing"] = Weighing(own.get("weighing") or ("by_probability" if own.pop("by_probability") else "alike"))
    return StatesReadout(LinearReadout(weights=arrays[_WEIGHTS], **own), position, layer)


STATES = ArraysFile("states.safetensors", "read-out of states", _to_arrays, _from_arrays)
