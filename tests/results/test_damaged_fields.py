"""Whatever stands in the place of a stored value: it is refused in words, or the record has the types it declares."""

import json
import math
import types
from collections.abc import Iterator, Mapping
from dataclasses import fields, is_dataclass
from typing import Any, Union, get_args, get_origin, get_type_hints

import pytest
from fuzzing.mutations import IN_PLACE_OF_A_VALUE, places, replaced
from hypothesis import given
from hypothesis import strategies as st
from results.any_records import RECORDS

from aspire_llm.records import Question
from aspire_llm.results.questions import EXAMPLES
from aspire_llm.results.scores import COSTS, Cost
from aspire_llm.rundir.files import Document, Lines

RECORD_TYPES = {EXAMPLES.name: tuple[Question, ...], COSTS.name: dict[str, Cost | None]}
REFUSALS = (KeyError, TypeError, ValueError, OverflowError)  # of which files make one line


def faults(value: Any, kind: Any, where: str = "") -> Iterator[str]:
    """Where something is not of the type that is declared for it."""
    origin, parts = get_origin(kind), get_args(kind)
    if kind is Any:
        return
    if origin in (Union, types.UnionType):
        if not any(next(faults(value, one), None) is None for one in parts):
            yield f"{where}: {value!r} is none of {kind}"
    elif origin is tuple and isinstance(value, tuple):
        kinds = parts[:1] * len(value) if parts[1:] == (...,) else parts
        if len(kinds) != len(value):
            yield f"{where}: {value!r} is no {kind}"
        for place, (one, own) in enumerate(zip(value, kinds, strict=False)):
            yield from faults(one, own, f"{where}[{place}]")
    elif origin in (dict, Mapping) and isinstance(value, dict):
        for name, one in value.items():
            yield from faults(name, parts[0], f"{where} {name!r}")
            yield from faults(one, parts[1], f"{where}[{name!r}]")
    elif is_dataclass(kind) and isinstance(value, kind):
        declared = get_type_hints(type(value))
        for own in fields(value):
            yield from faults(getattr(value, own.name), declared[own.name], f"{where}.{own.name}")
    elif kind is float:
        if type(value) is not float or not math.isfinite(value):
            yield f"{where}: {value!r} is no finite number"
    elif origin is not None or not isinstance(value, kind) or (isinstance(value, bool) and kind is int):
        yield f"{where}: {value!r} is no {kind}"


@pytest.mark.parametrize(("file", "records"), RECORDS, ids=[file.name for file, _ in RECORDS])
@given(data=st.data())
def test_a_damaged_record_is_refused_or_has_its_types(
    file: Document[Any] | Lines[Any], records: st.SearchStrategy[Any], data: st.DataObject
) -> None:
    record = data.draw(records)
    kind = RECORD_TYPES.get(file.name, type(record))
    assert list(faults(record, kind)) == []
    content = json.loads(json.dumps(file.to_json(record)))
    place, value = data.draw(st.sampled_from(places(content))), data.draw(st.sampled_from(IN_PLACE_OF_A_VALUE))
    damaged = replaced(content, place, value)
    try:
        read = file.from_json(damaged)
    except REFUSALS:
        return
    assert list(faults(read, kind)) == []
