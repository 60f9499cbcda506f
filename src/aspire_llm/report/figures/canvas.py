"""The drawing ground of the figures: axes, fonts, SVG fit to stand inside a page, and the words around it.

In the SVG every colour is a CSS variable of the page, so that a figure follows it between light and dark; its text
stays text. What is drawn with the gid of a method can be switched off by the page.
"""

import html
import io
import re
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import matplotlib
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.ticker import PercentFormatter

from aspire_llm.report.palette import LIGHT, Colours
from aspire_llm.report.styles import MethodStyle

# For files that stand alone.
PRINT_COLOURS = LIGHT
# Each role's stand-in while matplotlib, which knows no CSS variables, draws.
PAGE_COLOURS: Colours = {role: f"#0000{number:02x}" for number, role in enumerate(LIGHT, start=1)}

Size = tuple[float, float]
Frame = tuple[float, float, float, float]
SIZE: Size = 5.4, 3.9  # inches
FRAME: Frame = 0.14, 0.14, 0.82, 0.83  # left, bottom, width and height of the axes, as shares of the figure

_STYLE: dict[Any, Any] = {
    "svg.fonttype": "none",
    "svg.hashsalt": "aspire-llm",
    "font.family": "DejaVu Sans",
    "font.size": 10.0,
    "text.parse_math": False,  # a dollar sign in a name is a dollar sign
}
_SERIES = "series:"


@dataclass(frozen=True, slots=True)
class FigureView:
    """A drawing with its words.

    Attributes:
        title, caption: Above and below it.
        svg: The drawing, an SVG element.
        labelled: Whether its words keep their size, so that it scrolls rather than shrinks on a narrow screen.
        has_slider: Whether the coverage slider stands below it.
        shows_answers: Whether it needs the legend of right and wrong answers.
    """

    title: str
    caption: str
    svg: str
    labelled: bool = False
    has_slider: bool = False
    shows_answers: bool = False


def new_figure(size: Size = SIZE, frame: Frame = FRAME, colours: Colours = PAGE_COLOURS) -> tuple[Figure, Axes]:
    """An empty figure with one pair of quiet axes; `size` in inches, `frame` in shares of it."""
    with matplotlib.rc_context(_STYLE):
        figure = Figure(figsize=size)
    return figure, add_axes(figure, frame, colours)


def add_axes(figure: Figure, frame: Frame, colours: Colours = PAGE_COLOURS) -> Axes:
    """One more pair of quiet axes."""
    with matplotlib.rc_context(_STYLE):
        axes = figure.add_axes(frame)
    axes.set_axisbelow(True)
    axes.patch.set_visible(False)
    axes.grid(color=colours["grid"], linewidth=0.8)
    axes.tick_params(which="both", length=0, pad=6, colors=colours["muted"])
    axes.yaxis.labelpad = 7
    axes.xaxis.label.set_color(colours["muted"])
    axes.yaxis.label.set_color(colours["muted"])
    for side, spine in axes.spines.items():
        spine.set_visible(side == "bottom")
        spine.set_color(colours["muted"])
    return axes


def draw_line(axes: Axes, style: MethodStyle, x: Any, y: Any, colours: Colours = PAGE_COLOURS, **more: Any) -> None:
    """A line in the style of a method, under its switch."""
    linestyle = (0, style.dashes) if style.dashes else "-"
    colour = colours[style.role]
    axes.plot(x, y, color=colour, lw=style.width, ls=linestyle, label=style.label, gid=_gid(style), **more)


def draw_band(axes: Axes, style: MethodStyle, x: Any, low: Any, high: Any, colours: Colours = PAGE_COLOURS) -> None:
    """The interval around a line, in the colour of its method and under its switch."""
    axes.fill_between(x, low, high, color=colours[style.role], alpha=0.14, linewidth=0, gid=_gid(style))


def percent_axes(*axes: Any) -> None:
    """Label the ticks of an x or y axis that runs over shares in percent."""
    for axis in axes:
        axis.set_major_formatter(PercentFormatter(1.0, decimals=0))


def to_svg(figure: Figure, name: str, description: str, data: Mapping[str, float] | None = None) -> str:
    """A figure drawn in `PAGE_COLOURS` as an SVG element; deterministic.

    Args:
        figure: The figure.
        name: Unique on the page; the prefix of every id inside.
        description: What the figure shows, for those who do not see it.
        data: Numbers to leave on the element as data-… attributes.
    """
    buffer = io.StringIO()
    with matplotlib.rc_context(_STYLE):
        figure.savefig(buffer, format="svg", transparent=True, metadata={"Date": None})
    text = buffer.getvalue()
    text = text[text.index("<svg") :]
    # Metadata and the style rule for `*` concern a stand-alone file; the rule would reach the whole page.
    text = re.sub(r"<metadata>.*?</metadata>|<style.*?</style>", "", text, flags=re.DOTALL)
    text = text.replace(f'<g id="{_SERIES}', '<g data-series="')
    text = re.sub(r'(\bid="|href="#|url\(#)', rf"\1{name}-", text)
    text = re.sub(r"font-family: [^;\"]*;? ?", "", text)
    # A hundredth of a point is finer than any screen; the other digits would be half of the page.
    text = re.sub(r' d="[^"]*"', lambda path: re.sub(r"(\.\d\d)\d+", r"\1", path[0]), text)
    for role, stand_in in PAGE_COLOURS.items():
        text = text.replace(stand_in, f"var(--{role})")
    attributes: dict[str, Any] = {"role": "img", "aria-label": description}
    attributes |= {f"data-{key}": f"{value:.4f}" for key, value in (data or {}).items()}
    opening = " ".join(f'{key}="{html.escape(str(value))}"' for key, value in attributes.items())
    return re.sub(r'<svg([^>]*?) width="[^"]*" height="[^"]*"', rf"<svg {opening}\1", text, count=1).strip()


def to_png(figure: Figure, path: Path) -> None:
    """Write a figure drawn in `PRINT_COLOURS` as a PNG file on white; deterministic."""
    with matplotlib.rc_context(_STYLE):
        figure.savefig(path, format="png", dpi=200, facecolor="white", metadata={"Software": None})


def _gid(style: MethodStyle) -> str:
    return f"{_SERIES}{style.series}"
