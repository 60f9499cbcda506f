"""Lists and objects that were kept as text: what `to_csv` of pandas and of `datasets` makes of nested columns.

They stand as JSON, as Python prints them (``['Ulm', 'Bonn']``), or as numpy does (``['Ulm' 'Bonn']``,
``array(['Ulm'], dtype=object)``). They are parsed, never executed.
"""

import ast
import io
import re
import tokenize
import warnings
from collections import deque
from collections.abc import Mapping
from itertools import pairwise

from aspire_llm.data.json_text import Broken, parse_json
from aspire_llm.data.validation import InvalidValueError, Record

# Columns that hold lists or objects in some published data set; other columns are text, whatever it looks like.
_ANSWERS = ("answer", "answers", "Answer", "aliases")
_NESTED = (*_ANSWERS, "questions", "additional_answers", "paragraphs", "history")
# What is read of nested columns where each member became a column (`flatten` of `datasets`, pandas' `json_normalize`).
_FLAT = ("answers.text", "answers.input_text", "answer.value", "answer.aliases")
_LOOKS_NESTED = re.compile(r"\s*(?:\[.*\]|\{.*\}|array\(.*\)|\(\s*['\"].*\))\s*", re.DOTALL)
_BEGINS_NESTED = re.compile(r"\s*(?:\[\s*['\"\[{]|\{\s*['\"]|array\()")
# Entries with nothing but white space between them: Python would read two such texts as one.
_MAYBE_NUMPY = re.compile(r"['\"\]})]\s+['\"\[{\w]|['\"]{2}")
_LAYOUT = (tokenize.NL, tokenize.NEWLINE, tokenize.INDENT, tokenize.DEDENT, tokenize.ENDMARKER)


def unfold(record: Record) -> Record:
    """The record with the lists and objects that stand in it as text, or flattened: a column for each member.

    Raises:
        InvalidValueError: A text looks like a list or an object and is none that a data set holds.
    """
    record = _joined(record)
    found = {
        name: _read_cell(name, cell)
        for name in _NESTED
        if isinstance(cell := record.get(name), str) and (_LOOKS_NESTED.fullmatch(cell) or _is_cut(cell))
    }
    metadata = record.get("metadata")
    if isinstance(metadata, str) and isinstance(members := read_literal(metadata), Mapping):
        found["metadata"] = members
    return {**record, **found} if found else record


def _is_cut(text: str) -> bool:
    """Whether a text begins as a list or an object does and ends within it: a spreadsheet's cells hold 32,767 signs."""
    if not _BEGINS_NESTED.match(text):
        return False
    try:
        deque(tokenize.generate_tokens(io.StringIO(text).readline), maxlen=0)
    except tokenize.TokenError:  # a bracket is open where the text ends
        return True
    except SyntaxError:
        return False
    return False


def _joined(record: Record) -> Record:
    """The record with objects in the place of their members' columns, as the published data sets have them."""
    flat = [name for name in _FLAT if name in record and name.partition(".")[0] not in record]
    if not flat:
        return record
    objects: dict[str, dict[str, object]] = {}
    for name in flat:
        column, _, member = name.partition(".")
        cell = record[name]
        is_list = member != "value" and isinstance(cell, str) and _LOOKS_NESTED.fullmatch(cell)
        objects.setdefault(column, {})[member] = _read_cell(name, str(cell)) if is_list else cell
    return {**record, **objects}


def _read_cell(name: str, cell: str) -> object:
    value = read_literal(cell)
    is_understood = isinstance(value, Mapping) or (
        isinstance(value, list) and (name not in _ANSWERS or all(isinstance(item, str | Mapping) for item in value))
    )
    if is_understood:
        return value
    shown = cell.strip() if len(cell.strip()) <= 60 else f"{cell.strip()[:60]}…"
    raise InvalidValueError(
        f"'{name}' looks like a list or an object kept as text and is none that can be read: {shown!r}; write "
        'answers as ["one", "another"], also a single one that stands in brackets'
    )


def read_literal(text: str) -> object:
    """The list or object that a text states, or None where it states none."""
    value = parse_json(text.encode("utf-8", "surrogatepass"))
    if not isinstance(value, Broken):
        return value
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")  # a backslash in a text is no concern of the user's
            tree = ast.parse(_with_commas(text.strip()), mode="eval")
            return _plain(ast.literal_eval(_WithoutNumpy().visit(tree)))
    except (ValueError, SyntaxError, TypeError, tokenize.TokenError, MemoryError, RecursionError):
        return None


def _with_commas(text: str) -> str:
    """The text with a comma between entries that numpy separated by white space."""
    if not _MAYBE_NUMPY.search(text):
        return text
    tokens = [token for token in tokenize.generate_tokens(io.StringIO(text).readline) if token.type not in _LAYOUT]
    pieces = [tokens[0].string]
    for before, token in pairwise(tokens):
        if _ends_value(before) and _begins_value(token):
            if before.end == token.start:
                raise ValueError("two entries stand together")
            pieces.append(",")
        pieces.append(token.string)
    return " ".join(pieces)


def _ends_value(token: tokenize.TokenInfo) -> bool:
    return token.type in (tokenize.STRING, tokenize.NUMBER) or token.string in (")", "]", "}", "None", "True", "False")


def _begins_value(token: tokenize.TokenInfo) -> bool:
    return token.type in (tokenize.STRING, tokenize.NUMBER, tokenize.NAME) or token.string in ("[", "{")


class _WithoutNumpy(ast.NodeTransformer):
    """``array([…], dtype=…)`` and ``np.str_('…')`` become what they hold, ``nan`` becomes None."""

    def visit_Call(self, node: ast.Call) -> ast.AST:
        function = node.func
        if isinstance(function, ast.Attribute):
            is_numpy = isinstance(function.value, ast.Name) and function.value.id == "np"
        else:
            is_numpy = isinstance(function, ast.Name) and function.id == "array"
        if not is_numpy or len(node.args) != 1:
            raise ValueError("a call that is none of numpy's")
        content: ast.AST = self.visit(node.args[0])
        return content

    def visit_Constant(self, node: ast.Constant) -> ast.AST:
        return node  # faster than the visit of whatever a constant could hold

    def visit_Name(self, node: ast.Name) -> ast.AST:
        return ast.Constant(None) if node.id == "nan" else node

    def visit_Dict(self, node: ast.Dict) -> ast.AST:
        keys = [key.value for key in node.keys if isinstance(key, ast.Constant)]
        if len(set(keys)) < len(node.keys):
            raise ValueError("a key stands twice, or is none")
        return self.generic_visit(node)


def _plain(value: object) -> object:
    """Tuples as lists; ValueError for what JSON has no counterpart of, such as the dots of an array cut by numpy."""
    if isinstance(value, list | tuple):
        return [_plain(item) for item in value]
    if isinstance(value, dict):
        return {str(key): _plain(item) for key, item in value.items()}
    if value is None or isinstance(value, str | int | float):
        return value
    raise ValueError(f"a {type(value).__name__}")
