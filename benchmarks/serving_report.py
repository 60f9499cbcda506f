"""What `benchmarks.serving` measured, as `serving.json` and as `SERVING.md`."""

import json
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

Row = dict[str, Any]

_ABOUT = (
    "Written by `python -m benchmarks.serving`. The server is a process of its own on loopback, with one thread to a "
    "matrix product on both sides; the clients write HTTP by hand on one event loop of the measuring process. Every "
    "answer was compared with the one that the predictor gives offline: its id, its likeliest text and its score. "
    "None was lost, and none was another's. A client's time is from its request until the response is read whole. The "
    "machine is shared: each part has the load average of its end, and figures move with it. What is compared was "
    "measured in turns."
)
_PARTS = {
    "load": "64 clients ask 2,000 distinct questions at once, three times; before and after each, 60 of them are "
    "answered one by one in-process. *times as many* is requests/s over questions/s in-process.",
    "lone": "One client asks 300 questions over one connection, in turns with the same questions in-process.",
    "overload": "Four times as many clients as questions may wait; who gets a 429 pauses as long as Retry-After says.",
    "sizing": "What `--max-batch` and the number of clients do; a server of its own for each line.",
    "soak": "20,000 requests by 64 clients of one server.",
}


def read(directory: Path) -> dict[str, Any]:
    """The parts that were measured before."""
    path = directory / "serving.json"
    found: dict[str, Any] = json.loads(path.read_text(encoding="utf-8"))["parts"] if path.is_file() else {}
    return found


def write(directory: Path, parts: Mapping[str, Any], here: Mapping[str, Any]) -> None:
    """Write both files.

    Args:
        directory: Where to.
        parts: When each was measured, and its rows.
        here: From `machine.describe`.
    """
    directory.mkdir(parents=True, exist_ok=True)
    content = json.dumps({**here, "parts": parts}, indent=2, ensure_ascii=False, allow_nan=False)
    (directory / "serving.json").write_text(f"{content}\n", encoding="utf-8")
    versions = ", ".join(f"{name} {own}" for name, own in here["versions"].items())
    lines = [
        "# The server under load",
        f"{here['processor']}, {here['system']}. {versions}.",
        _ABOUT,
    ]
    for name, about in _PARTS.items():
        if name in parts:
            own = parts[name]
            lines += [f"## {name.capitalize()}", f"{about} {own['measured']}.", table(own["rows"])]
    (directory / "SERVING.md").write_text("\n\n".join(lines) + "\n", encoding="utf-8")


def table(rows: Sequence[Row]) -> str:
    """Rows with the same keys, in Markdown."""
    cells = [list(rows[0]), *([_cell(value) for value in row.values()] for row in rows)]
    widths = [max(map(len, column)) for column in zip(*cells, strict=True)]
    lines = ["| " + " | ".join(map(str.rjust, line, widths)) + " |" for line in cells]
    return "\n".join([lines[0], "| " + " | ".join(f"{'-' * (width - 1)}:" for width in widths) + " |", *lines[1:]])


def _cell(value: object) -> str:
    return f"{value:,}" if isinstance(value, int) else str(value)
