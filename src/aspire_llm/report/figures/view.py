"""A figure with its words, as the page shows it."""

from dataclasses import dataclass


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
