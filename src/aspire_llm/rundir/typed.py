"""Files of records whose fields are the names in the file: pydantic reads, checks and writes them."""

from collections.abc import Callable
from functools import cache, partial
from typing import Any

from pydantic import TypeAdapter, ValidationError

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
def _adapter(kind: Any) -> TypeAdapter[Any]:
    return TypeAdapter(kind)


def _to_json(kind: Any, record: Any) -> Any:
    return _adapter(kind).dump_python(record, mode="json")


def _from_json(kind: Any, content: Any) -> Any:
    try:
        return _adapter(kind).validate_python(content)
    except ValidationError as error:
        first = error.errors()[0]
        raise ValueError(f"{'.'.join(map(str, first['loc']))}: {first['msg']}") from error
