"""Files of records whose fields are the names in the file: pydantic reads, checks and writes them."""

import json
from collections.abc import Callable
from functools import cache, partial
from typing import Any

from pydantic import ConfigDict, TypeAdapter, ValidationError

from aspire_llm.rundir.files import Document, Lines


def typed_document(name: str, holds: str, kind: Any) -> Document[Any]:
    """A JSON file that holds a dataclass, or a collection of them.

    Args:
        name: Of the file within its folder.
        holds: What it should hold, for error messages.
        kind: The type of the record.
    """
    return Document(name, holds, partial(_to_json, kind), partial(_from_json, kind))


def typed_lines(name: str, holds: str, kind: Any, *, id_of: Callable[[Any], str] | None = None) -> Lines[Any]:
    """A JSON Lines file that holds a dataclass per line; arguments as in `typed_document` and of `Lines`."""
    return Lines(name, holds, partial(_to_json, kind), partial(_from_json, kind), id_of=id_of)


@cache  # it takes milliseconds to make
def _adapter(kind: Any) -> TypeAdapter[tuple[Any]]:
    # A dataclass by itself takes no settings from outside; within a tuple it does.
    return TypeAdapter(tuple[kind], config=ConfigDict(strict=True, allow_inf_nan=False))


def _to_json(kind: Any, record: Any) -> Any:
    return _adapter(kind).dump_python((record,), mode="json")[0]


def _from_json(kind: Any, content: Any) -> Any:
    try:
        # Of JSON text, strictness takes lists for tuples and texts for enums, and nothing else for anything.
        return _adapter(kind).validate_json(json.dumps([content]))[0]
    except ValidationError as error:
        first = error.errors()[0]
        where = ".".join(map(str, first["loc"][1:])) or "all of it"
        raise ValueError(f"{where}: {first['msg'].removeprefix('Value error, ')}") from error
