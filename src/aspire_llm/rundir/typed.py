"""Files of records whose fields are the names in the file: pydantic reads, checks and writes them."""

from typing import Any, TypeVar

from pydantic import TypeAdapter, ValidationError

from aspire_llm.rundir.files import Document, Lines

T = TypeVar("T")


def typed_document(name: str, holds: str, kind: Any) -> Document[Any]:
    """A JSON file that holds a dataclass, or a collection of them.

    Args:
        name: Of the file within its folder.
        holds: What it should hold, for error messages.
        kind: The type of the record.
    """
    form = _Form(kind)
    return Document(name, holds, form.to_json, form.from_json)


def typed_lines(name: str, holds: str, kind: Any) -> Lines[Any]:
    """A JSON Lines file that holds a dataclass per line; arguments as in `typed_document`."""
    form = _Form(kind)
    return Lines(name, holds, form.to_json, form.from_json)


class _Form:
    def __init__(self, kind: Any) -> None:
        self._adapter: TypeAdapter[Any] = TypeAdapter(kind)

    def to_json(self, record: Any) -> Any:
        return self._adapter.dump_python(record, mode="json")

    def from_json(self, content: Any) -> Any:
        try:
            return self._adapter.validate_python(content)
        except ValidationError as error:
            first = error.errors()[0]
            raise ValueError(f"{'.'.join(map(str, first['loc']))}: {first['msg']}") from error
