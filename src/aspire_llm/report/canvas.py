"""The drawing ground of the figures: fonts, colours by role, and SVG fit to stand inside a page.

In the SVG every colour is a CSS variable of the page, so that a figure follows it between light and dark; its text
stays text.
"""

import html
import io
import re
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import matplotlib
from matplotlib.axes import Axes
from matplotlib.figure import Figure

Colours = Mapping[str, str]

# Colours by role, for files that stand alone; the page defines a CSS variable of each name for light and for dark.
PRINT_COLOURS: Colours = {
    "ink": "#1d2430",
    "muted": "#667080",
    "grid": "#dfe3e9",
    "right": "#2a6fbb",
    "wrong": "#c8601d",
    "method-1": "#1660c4",
    "method-2": "#c8601d",
    "method-3": "#7a4cb8",
    "method-4": "#23846b",
    "method-5": "#8a8577",
}
# Each role's stand-in while matplotlib, which knows no CSS variables, draws.
PAGE_COLOURS: Colours = {role: f"#0000{number:02x}" for number, role in enumerate(PRINT_COLOURS, start=1)}

SIZE = 5.4, 3.9  # inches
FRAME = 0.14, 0.14, 0.82, 0.83  # left, bottom, width and height of the axes, as shares of the figure

_STYLE: dict[Any, Any] = {
    "svg.fonttype": "none",
    "svg.hashsalt": "aspire-llm",
    "font.family": "DejaVu Sans",
    "font.size": 10.0,
    "text.parse_math": False,  # a dollar sign in a name is a dollar sign
}


def new_figure(colours: Colours) -> tuple[Figure, Axes]:
    """An empty figure with one pair of quiet axes."""
    with matplotlib.rc_context(_STYLE):
        figure = Figure(figsize=SIZE)
        axes = figure.add_axes(FRAME)
    axes.set_axisbelow(True)
    axes.patch.set_visible(False)
    axes.grid(color=colours["grid"], linewidth=0.8)
    axes.tick_params(length=0, pad=6, colors=colours["muted"])
    axes.xaxis.label.set_color(colours["muted"])
    axes.yaxis.label.set_color(colours["muted"])
    for side, spine in axes.spines.items():
        spine.set_visible(side == "bottom")
        spine.set_color(colours["muted"])
    return figure, axes


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
    text = re.sub(r'(\bid="|href="#|url\(#)', rf"\1{name}-", text)
    text = re.sub(r"font-family: [^;\"]*;? ?", "", text)
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
