"""The table of what we try names tests that exist."""

import ast
import re
from functools import cache
from pathlib import Path

ROOT = Path(__file__).resolve().parents[1]
ROW = re.compile(r"\| (?P<you>[^|]+) \| (?P<happens>[^|]+) \| (?P<tests>[^|]+) \|")
TEST = re.compile(r"`(?P<file>tests/[\w/]+\.py)::(?P<name>test_\w+)(?:\[(?P<case>[^\]]+)\])?`")


@cache
def known(file: str) -> tuple[frozenset[str], frozenset[str]]:
    """The functions of a test file, and its strings, of which the names of cases are some."""
    tree = list(ast.walk(ast.parse((ROOT / file).read_text(encoding="utf-8"))))
    functions = frozenset(node.name for node in tree if isinstance(node, ast.FunctionDef))
    strings = frozenset(node.value for node in tree if isinstance(node, ast.Constant) and isinstance(node.value, str))
    return functions, strings


def rows() -> list[re.Match[str]]:
    text = (ROOT / "docs" / "robustness.md").read_text(encoding="utf-8")
    lines = [line for line in text.splitlines() if line.startswith("|") and not line.startswith(("| you |", "|---"))]
    found = [ROW.fullmatch(line) for line in lines]
    assert all(found), [line for line, row in zip(lines, found, strict=True) if not row]
    return [row for row in found if row]


def test_every_row_names_tests_that_exist() -> None:
    assert len(rows()) >= 70
    for row in rows():
        named = list(TEST.finditer(row["tests"]))
        assert ", ".join(test.group() for test in named) == row["tests"], row["you"]
        for test in named:
            functions, strings = known(test["file"])
            assert test["name"] in functions, test.group()
            assert test["case"] is None or test["case"] in strings, test.group()


def test_no_situation_stands_twice() -> None:
    situations = [row["you"] for row in rows()]
    assert len(set(situations)) == len(situations)
