"""Exact texts of a small table, and text that must survive every format."""

import csv
import io
import re

import pytest
from hypothesis import given
from hypothesis import strategies as st

from aspire_llm.report.tables import Column, Estimate, Kind, ShownCell, Table
from aspire_llm.report.writers import as_csv, as_latex, as_markdown, as_text, display_width

INTERVAL = ("low", "high")
TABLE = Table(
    name="selection",
    caption="Figures in %.",
    columns=(
        Column("method", "Method", ("A_1", "[B]", "C & D", "E")),
        Column(
            "auroc",
            "AUROC",
            (Estimate(0.80254, 0.78, 0.8211), Estimate(0.8028, 0.79, 0.81), Estimate(0.8), Estimate(None)),
            Kind.PERCENT,
            INTERVAL,
            marks_best=True,
        ),
        Column(
            "gain",
            "Gain",
            (Estimate(-0.0126, sd=0.004), Estimate(0.0126), None, Estimate(-0.0001)),
            Kind.POINTS,
            ("sd",),
        ),
        Column("tokens", "Tokens", (Estimate(12345), Estimate(1.5), Estimate(None), None), Kind.NUMBER),
    ),
    notes=("Not 100% sure.",),
)

CSV = """\
method,auroc,auroc_low,auroc_high,gain,gain_sd,tokens
A_1,0.80254,0.78,0.8211,-0.0126,0.004,12345
[B],0.8028,0.79,0.81,0.0126,,1.5
C & D,0.8,,,,,
E,,,,-0.0001,,
"""
MARKDOWN = r"""**Figures in %.**

| Method | AUROC | Gain | Tokens |
| --- | ---: | ---: | ---: |
| A\_1 | **80.3** [78.0, 82.1] | −1.3 ± 0.4 | 12,345 |
| \[B\] | **80.3** [79.0, 81.0] | +1.3 | 1.5 |
| C & D | 80.0 | – | – |
| E | – | +0.0 | – |

Not 100% sure.
"""
LATEX = r"""\begin{table}[t]
\centering
\caption{Figures in \%.}
\label{tab:selection}
\begin{tabular}{lrrr}
\toprule
Method & AUROC & Gain & Tokens \\
\midrule
A\_1 & \textbf{80.3} {\scriptsize {[}78.0, 82.1]} & $-$1.3 {\scriptsize $\pm$ 0.4} & 12,345 \\
{[}B] & \textbf{80.3} {\scriptsize {[}79.0, 81.0]} & +1.3 & 1.5 \\
C \& D & 80.0 & -- & -- \\
E & -- & +0.0 & -- \\
\bottomrule
\end{tabular}
\par\smallskip{\footnotesize Not 100\% sure.}
\end{table}
"""
TEXT = """\
Figures in %.

Method              AUROC        Gain  Tokens
─────────────────────────────────────────────
A_1     80.3 [78.0, 82.1]  −1.3 ± 0.4  12,345
[B]     80.3 [79.0, 81.0]        +1.3     1.5
C & D                80.0           –       –
E                       –        +0.0       –

Not 100% sure."""


def test_csv_holds_every_digit_and_a_column_per_number() -> None:
    assert as_csv(TABLE) == CSV


def test_markdown_marks_all_that_read_as_the_best() -> None:
    assert as_markdown(TABLE) == MARKDOWN


def test_latex() -> None:
    assert as_latex(TABLE) == LATEX


def test_text() -> None:
    assert as_text(TABLE) == TEXT


@pytest.mark.parametrize(
    ("value", "shown"),
    [(0, "0"), (0.01234, "0.0123"), (46.53, "46.5"), (-2.0, "−2"), (123.456, "123"), (1e6, "1,000,000")],
)
def test_numbers_keep_three_digits(value: float, shown: str) -> None:
    table = Table("t", "T.", (Column("m", "M", ["a"]), Column("x", "X", [Estimate(value)], Kind.NUMBER)))
    assert as_markdown(table).endswith(f"| a | {shown} |\n")


@pytest.mark.parametrize("values", [[0.5, None, None], [0.5, 0.5004, None]])
def test_a_value_without_a_lesser_one_is_not_called_the_best(values: list[float | None]) -> None:
    cells = [*map(Estimate, values), None]
    columns = (Column("m", "M", list("abcd")), Column("x", "X", cells, Kind.PERCENT, marks_best=True))
    assert "**50.0**" not in as_markdown(Table("t", "T.", columns))
    assert "textbf" not in as_latex(Table("t", "T.", columns))


def test_words_with_small_print() -> None:
    table = Table("t", "T.", (Column("m", "M", ["a"]), Column("x", "X", [ShownCell("×2", "+3 s")], Kind.NUMBER)))
    assert "| a | ×2 +3 s |" in as_markdown(table)
    assert as_csv(table) == "m,x\na,×2\n"


def test_display_width() -> None:
    assert [display_width(text) for text in ("abc", "日本", "e\u0301", "ＡＢ", "−–")] == [3, 4, 1, 4, 2]


def test_special_signs_of_latex() -> None:
    table = Table("t", r"\a{b}~^<|>#$*−±α", (Column("m", "M", ()),))
    escaped = (
        r"\textbackslash{}a\{b\}\textasciitilde{}\textasciicircum{}\textless{}\textbar{}\textgreater{}"
        r"\#\${*}$-$$\pm$$\alpha$"
    )
    assert rf"\caption{{{escaped}}}" in as_latex(table)


def one_cell(text: str) -> Table:
    return Table("t", "T.", (Column("m", "M", [text]), Column("x", "X", [Estimate(0.5)], Kind.PERCENT)))


@given(st.text(alphabet=st.characters(codec="utf-8", exclude_characters="\r\0")), st.floats(allow_nan=False))
def test_csv_is_read_back_as_it_was(text: str, value: float) -> None:
    table = Table("t", "T.", (Column("m", "M", [text]), Column("x", "X", [Estimate(value)], Kind.NUMBER)))
    read = list(csv.reader(io.StringIO(as_csv(table), newline="")))
    assert read[0] == ["m", "x"]
    assert (read[1][0], float(read[1][1])) == (text, value)
    assert len(read) == 2


@given(st.text())
def test_no_text_breaks_a_markdown_row(text: str) -> None:
    lines = as_markdown(one_cell(text)).splitlines()
    row = lines[4]
    assert len(lines) == 5
    assert row.endswith(" | 50.0 |")
    unescaped = re.sub(r"\\.", "", row)
    assert unescaped.count("|") == 3
    assert not set(unescaped) & set("*_<>`[]")


@given(st.text())
def test_no_text_breaks_a_latex_row(text: str) -> None:
    row = as_latex(one_cell(text)).split("\\midrule\n")[1].split("\n\\bottomrule")[0]
    assert "\n" not in row
    assert row.endswith(r" & 50.0 \\")
    # Nothing is left that LaTeX reads as markup: commands with their braces, math and {[} are the writer's own.
    cell = row.removesuffix(r" & 50.0 \\")
    plain = re.sub(r"\\text[a-z]+\{\}|\\[{}&%$#_]|\$(-|\\[a-z]+)\$|\{[\[*]\}", "", cell)
    assert not set(plain) & set(r"\{}&%$#_~^[*")
