"""Damaged files: good bytes, changed a few times at random."""

import random
from collections.abc import Sequence

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
