"""The results as a table on the terminal, as `RESULTS.md` and as `results.json`."""

import json
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from benchmarks.machine import Limits
from benchmarks.measure import Benchmark, Row

_COLUMNS = ("path", "against", "setting", "ours", "peer", "ratio", "target", "of limit", "memory", "met")
_RIGHT_ALIGNED = frozenset(_COLUMNS[3:])


def write(
    directory: Path,
    rows: Sequence[Row],
    benchmarks: Mapping[str, Benchmark],
    refused: Mapping[str, str],
    machine: Mapping[str, Any],
    limits: Limits,
) -> None:
    """Write both files.

    Args:
        directory: Where to.
        rows: The results.
        benchmarks: The modules, by name; rows are written in their order.
        refused: What was not reported, and why.
        machine: From `machine.describe`.
        limits: The best speeds seen in this run.
    """
    directory.mkdir(parents=True, exist_ok=True)
    rows = sorted(rows, key=lambda row: list(benchmarks).index(row.path))
    content = {
        **machine,
        "gemm_flops_per_second": limits.flops,
        "read_bytes_per_second": limits.read_bytes,
        "refused": dict(refused),
        "rows": [row.to_json() for row in rows],
    }
    text = json.dumps(content, indent=2, ensure_ascii=False, allow_nan=False) + "\n"
    (directory / "results.json").write_text(text, encoding="utf-8")
    page = _page(rows, benchmarks, refused, machine, limits)
    (directory / "RESULTS.md").write_text(page, encoding="utf-8")


def read(directory: Path, machine: Mapping[str, Any]) -> list[Row]:
    """The rows that `write` wrote; none where another machine or other versions gave them.

    Args:
        directory: Where they are.
        machine: From `machine.describe`.
    """
    path = directory / "results.json"
    if not path.is_file():
        return []
    content = json.loads(path.read_text(encoding="utf-8"))
    if any(content[key] != machine[key] for key in ("processor", "system", "threads", "versions")):
        return []
    return [Row.from_json(row) for row in content["rows"]]


def table(rows: Sequence[Row]) -> str:
    """Aligned columns; also a table of Markdown."""
    lines = [_COLUMNS, *(_cells(row) for row in rows)]
    widths = [max(len(line[i]) for line in lines) for i in range(len(_COLUMNS))]
    right = [name in _RIGHT_ALIGNED for name in _COLUMNS]

    def aligned(cells: Sequence[str]) -> str:
        padded = [
            cell.rjust(width) if to_right else cell.ljust(width)
            for cell, width, to_right in zip(cells, widths, right, strict=True)
        ]
        return f"| {' | '.join(padded)} |"

    rule = ["-" * (width - 1) + (":" if to_right else "-") for width, to_right in zip(widths, right, strict=True)]
    return "\n".join([aligned(lines[0]), aligned(rule), *(aligned(line) for line in lines[1:])])


def groups(rows: Sequence[Row]) -> dict[str, list[Row]]:
    """The rows of each table, in the order in which they came."""
    found: dict[str, list[Row]] = {}
    for row in rows:
        found.setdefault(row.group, []).append(row)
    return found


def speeds(limits: Limits) -> str:
    """The machine's own limits."""
    return f"{limits.flops / 1e9:.0f} GF/s (float32 product), {limits.read_bytes / 1e9:.1f} GB/s (memory read)"


def _cells(row: Row) -> tuple[str, ...]:
    has_target = [row.target, row.limit_target, row.memory_target] != [None] * 3
    return (
        row.path,
        row.peer,
        row.setting,
        _seconds(row.ours_s),
        _seconds(row.peer_s),
        f"{row.ratio:.1f}×",
        "" if row.target is None else f"≥ {row.target:.1f}×",
        _share(row.fraction_of_limit, row.limit_target),
        _memory(row),
        ("no: " + ", ".join(row.misses) if row.misses else "yes") if has_target else "",
    )


def _seconds(value: float) -> str:
    return f"{value:.2f} s" if value >= 1 else f"{1000 * value:.0f} ms"


def _share(value: float | None, target: float | None) -> str:
    if value is None:
        return ""
    return f"{value:.0%}" if target is None else f"{value:.0%} (≥ {target:.0%})"


def _memory(row: Row) -> str:
    if row.memory is None or row.memory_ratio is None:
        return ""
    ours, peer = row.memory
    target = "" if row.memory_target is None else f" (≥ {row.memory_target:.2g}×)"
    kept = f", {ours.kept / 2**20:.0f} kept" if ours.kept > 2**20 else ""
    return f"{ours.peak / 2**20:.0f} MiB{kept} : {peer.peak / 2**20:.0f} MiB, {row.memory_ratio:.1f}×{target}"


def _page(
    rows: Sequence[Row],
    benchmarks: Mapping[str, Benchmark],
    refused: Mapping[str, str],
    machine: Mapping[str, Any],
    limits: Limits,
) -> str:
    versions = ", ".join(f"{name} {number}" for name, number in machine["versions"].items())
    targets = [row for row in rows if any(t is not None for t in (row.target, row.limit_target, row.memory_target))]
    missed = [row for row in targets if row.misses]
    parts = [
        "# Benchmarks",
        f"{_times(rows)} UTC, {machine['processor']}, {machine['threads']} threads, {machine['system']}. {versions}. "
        f"The machine at its fastest in the last run: {speeds(limits)}.",
        "Written by `python -m benchmarks`. Models have random weights at real sizes, in float32. Ours and the peer "
        "run in turns in one process after their results were found equal; times are medians, but a peer that takes "
        "over ten seconds runs once, and ours three times after it. *ratio* is the peer's "
        "time over ours. *of limit* is the least time that this machine needs for the work, at its median speeds "
        "right after our runs, over ours. *memory* is the peak above the model, ours : peer's; what ours keeps between "
        "jobs is counted in it.",
        f"Rows with a target: {len(targets)}, all met: {len(targets) - len(missed)}.",
    ]
    parts += [f"- not met ({', '.join(row.misses)}): {row.path}, {row.setting}, against {row.peer}" for row in missed]
    parts += [f"- **refused**: {name}: {reason}" for name, reason in refused.items()]
    for group, own in groups(rows).items():
        parts += [f"## {group[0].upper()}{group[1:]}", table(own)]
    parts.append("## What the rows mean")
    known = {*refused, *(row.path for row in rows)}
    documented = [(name, module.__doc__ or "") for name, module in benchmarks.items() if name in known]
    parts += [f"**{name}** — {text.strip()}" for name, text in documented]
    return "\n\n".join(parts) + "\n"


def _times(rows: Sequence[Row]) -> str:
    times = sorted({row.measured for row in rows})
    return " to ".join(times[:1] + times[1:][-1:])
