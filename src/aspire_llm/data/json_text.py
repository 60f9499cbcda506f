"""JSON that says one thing: a key that stands twice in one object is refused, where `json` would take the last."""

import json
import re
from dataclasses import dataclass

from aspire_llm.data.rows import NOT_UTF8

_KEY_OR_BRACE = re.compile(r'(?P<name>"(?:[^"\\]|\\.)*")(?P<colon>\s*:)?|[{}]', re.DOTALL)


@dataclass(frozen=True, slots=True)
class Broken:
    """Why a text is not JSON that can be read.

    Attributes:
        message: The reason.
        is_object: Whether it is JSON of an object all the same.
    """

    message: str
    is_object: bool = False


class _RepeatedKeyError(Exception):
    """A key stands twice in one object."""


def parse_json(content: bytes, encoding: str = "UTF-8") -> object:
    """The value that `content` states, or `Broken`."""
    text = ""
    try:
        text = content.decode(encoding)
        return json.loads(text, object_pairs_hook=unique_pairs)
    except UnicodeDecodeError:
        return Broken(NOT_UTF8)
    except json.JSONDecodeError as error:
        at_end = error.pos >= len(error.doc.rstrip())
        return Broken(
            f"not JSON: {error.msg} at line {error.lineno}, column {error.colno}"
            + (" (it ends too early: cut off?)" if at_end else "")
        )
    except _RepeatedKeyError:
        return Broken(_repeated_key(text), is_object=text.lstrip().startswith("{"))
    except (ValueError, RecursionError):  # a number of thousands of digits, brackets nested without end
        return Broken("not JSON that can be read: it holds a number or a nesting beyond all limits")


def unique_pairs(pairs: list[tuple[str, object]]) -> dict[str, object]:
    """The object of these members, each of another name."""
    members = dict(pairs)
    if len(members) < len(pairs):
        raise _RepeatedKeyError
    return members


def _repeated_key(text: str) -> str:
    """Names the first key that stands twice in one object, and the line where it stands again."""
    objects: list[set[str]] = []
    for token in _KEY_OR_BRACE.finditer(text):
        if token[0] == "{":
            objects.append(set())
        elif token[0] == "}":
            objects.pop()
        elif token["colon"]:
            name = json.loads(token["name"])
            if name in objects[-1]:
                line = text.count("\n", 0, token.start()) + 1
                place = f" (again at line {line})" if "\n" in text.strip() else ""
                return f"the key {name!r} stands twice in one object{place}; keep one of them"
            objects[-1].add(name)
    raise AssertionError("no key stands twice")
