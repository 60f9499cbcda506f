"""Damaged files: good bytes, changed a few times at random; and JSON in which a value is another one, or missing."""

import json
import random
from collections.abc import Iterator, Sequence
from typing import Any

_PIECES = (
    *(
        b"null",
        b"true",
        b"NaN",
        b"-Infinity",
        b"1e999",
        b"-1",
        b"0",
        b"9" * 400,
        b"2147483648",
        b"0.5",
        b'""',
        b'"\\ud83d"',
    ),
    *(
        b"[",
        b"]",
        b"{",
        b"}",
        b'"',
        b",",
        b":",
        b"\n",
        b"\r\n",
        b"\t",
        b"\0",
        b"\xff",
        b"\xef\xbb\xbf",
        b"\xe2\x80\xa8",
    ),
    *(b"[" * 3000, b'{"a":' * 3000, b"../../etc/passwd", b"/dev/zero", b"!!python/object/apply:os.system ['true']"),
    *(b"&a [*a, *a]", b"\x00\x00\x00\x00\x00\x00\x00\x7f", b"F64", b"PAR1", b"\x1f\x8b\x08\x00"),
)


def mutated(good: Sequence[bytes], random: random.Random) -> bytes:
    """One of some good files with one to four changes.

    Args:
        good: Of which one is changed; pieces of the others may come into it.
        random: Decides.
    """
    content = bytearray(random.choice(good))
    for _ in range(random.randint(1, 4)):
        at = random.randint(0, len(content))
        end = min(len(content), at + random.choice((1, 1, 2, 8, 64, 1000)))
        match random.randint(0, 6):
            case 0 if at < len(content):
                content[at] ^= 1 << random.randint(0, 7)
            case 1:
                del content[at:end]
            case 2:
                content[at:at] = content[at:end] * random.choice((1, 2, 30))
            case 3:
                content[at:end] = random.choice(_PIECES)
            case 4:
                content[at:at] = random.choice(_PIECES)
            case 5:
                other = random.choice(good)
                start = random.randint(0, len(other))
                content[at:at] = other[start : start + 200]
            case _:
                del content[at:]
    return bytes(content)


MISSING = object()
IN_PLACE_OF_A_VALUE = (
    *(None, True, False, -1, 0, 1, 0.5, 1e300, -1e300, 2**70, 10**400),
    *("", "0.9", "true", "\ud83d", [], [1], [[1]], {}, {"a": 1}, MISSING),
)


def places(content: Any) -> list[tuple[str | int, ...]]:
    """Where a value stands in some JSON: its keys and places from outside in; of things that are alike, the first."""
    found: dict[tuple[str, ...], tuple[str | int, ...]] = {}

    def visit(value: Any, place: tuple[str | int, ...], kind: tuple[str, ...]) -> None:
        found.setdefault(kind, place)
        match value:
            case dict():
                for key, own in value.items():
                    visit(own, (*place, key), (*kind, key))
            case list():
                for number, own in enumerate(value):
                    visit(own, (*place, number), (*kind, "*"))

    visit(content, (), ())
    return list(found.values())


def replaced(content: Any, place: Sequence[str | int], value: Any) -> Any:
    """Some JSON with another value at a place, or without it."""
    if not place:
        return None if value is MISSING else value
    copy = json.loads(json.dumps(content))
    holder = copy
    for key in place[:-1]:
        holder = holder[key]
    if value is MISSING:
        del holder[place[-1]]
    else:
        holder[place[-1]] = value
    return copy


def with_other_values(content: bytes, *, lines: bool) -> Iterator[bytes]:
    """A file of JSON with one value after the other replaced by whatever may stand in its place.

    Args:
        content: Of the file.
        lines: Whether every line is JSON of its own; of lines with alike values, the first is changed.
    """
    documents = [json.loads(line) for line in content.splitlines()] if lines else [json.loads(content)]
    for place in places(documents):
        if not place:
            continue
        for value in IN_PLACE_OF_A_VALUE:
            changed = replaced(documents, place, value)
            yield "".join(f"{json.dumps(own)}\n" for own in changed).encode()
