"""Labels the points of a figure so that no label lies on another label or on a point."""

import math
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from matplotlib.axes import Axes
from matplotlib.path import Path
from matplotlib.textpath import TextPath

_FAR = 12.0  # a label further from its point than this, in points, is tied to it by a line


@dataclass(frozen=True, slots=True)
class Label:
    """The words of a point.

    Attributes:
        x, y: The point, in the units of the axes.
        bar: The lower and upper end of the vertical bar through the point, which no label covers; or None.
        colour: Of the words.
    """

    text: str
    x: float
    y: float
    bar: tuple[float, float] | None
    colour: str


@dataclass(frozen=True, slots=True)
class Box:
    """A rectangle, in points; y upwards."""

    left: float
    bottom: float
    right: float
    top: float

    def overlaps(self, other: "Box") -> bool:
        """Whether the two share more than an edge."""
        return (
            self.left < other.right and other.left < self.right and self.bottom < other.top and other.bottom < self.top
        )

    def within(self, other: "Box") -> bool:
        """Whether it lies inside another one whole."""
        return (
            other.left <= self.left
            and self.right <= other.right
            and other.bottom <= self.bottom
            and self.top <= other.top
        )


def label_points(axes: Axes, labels: Sequence[Label], size: float) -> None:
    """Write the labels beside their points, the first ones nearest; the scales of the axes must be final.

    Args:
        axes: Where the points are drawn already.
        labels: One per point.
        size: Of the letters, in points.
    """
    scale = 72 / axes.figure.dpi

    def at(x: float, y: float) -> tuple[float, float]:
        left, bottom = axes.transData.transform((x, y)) * scale
        return float(left), float(bottom)

    places = [at(label.x, label.y) for label in labels]
    widths = [_width(label.text, size) for label in labels]
    taken = [Box(x - 5, y - 5, x + 5, y + 5) for x, y in places]
    for label in labels:
        if label.bar is not None:
            (x, low), (_, high) = at(label.x, label.bar[0]), at(label.x, label.bar[1])
            taken.append(Box(x - 2, low, x + 2, high))
    left, bottom, right, top = (float(edge) * scale for edge in axes.bbox.extents)
    frame = Box(left, bottom + 2, right, top)
    boxes = place_labels(places, [(width + 2, size + 3) for width in widths], taken, frame)
    for label, (x, y), box in zip(labels, places, boxes, strict=True):
        dx, dy = box.left - x, (box.bottom + box.top) / 2 - y
        to_edge = dx if dx > 0 else box.right - x
        if abs(dy) > size or abs(to_edge) > _FAR:
            line = {"arrowstyle": "-", "color": label.colour, "linewidth": 0.6, "shrinkA": 0, "shrinkB": 4}
            axes.annotate("", (label.x, label.y), (to_edge, dy), textcoords="offset points", arrowprops=line)
        axes.annotate(
            label.text,
            (label.x, label.y),
            (dx + 1, dy),
            textcoords="offset points",
            fontsize=size,
            va="center",
            color=label.colour,
        )


def _width(text: str, size: float) -> float:
    """Of its letters, in points. The outlines reach as far as their points do, which `get_extents` finds out slowly."""
    outlines = TextPath((0, 0), text, size=size)
    return float(np.ptp(outlines.vertices[outlines.codes != Path.CLOSEPOLY, 0]))


def place_labels(
    points: Sequence[tuple[float, float]], sizes: Sequence[tuple[float, float]], taken: Sequence[Box], frame: Box
) -> list[Box]:
    """A box for each label, as near to its point as room is, the labels of the points that come first nearest.

    Args:
        points: Where the points lie.
        sizes: Width and height of their labels.
        taken: What no label may cover: markers and bars.
        frame: What every label must lie in, as far as it has room.
    """
    placed: list[Box] = []
    for point, size in zip(points, sizes, strict=True):
        boxes = _candidates(point, size)
        blocked = [*taken, *placed]
        free = (box for box in boxes if box.within(frame) and not any(box.overlaps(other) for other in blocked))
        # Where the frame is full, less is lost by leaving it than by covering another label.
        outside = (box for box in boxes if not any(box.overlaps(other) for other in blocked))
        placed.append(next(free, None) or next(outside, boxes[0]))
    return placed


def _candidates(point: tuple[float, float], size: tuple[float, float]) -> list[Box]:
    """Boxes right, left, above and below of a point, the nearest first; the right side is preferred."""
    (x, y), (width, height) = point, size
    near = 7.0
    offsets = [
        (math.hypot(dx, 1.6 * rise * height) + (0.0 if side > 0 else 4.0), side, dx, rise * height)
        for dx in (near, 16.0, 30.0, 48.0, 70.0, 100.0)
        for rise in (0.0, *(sign * step / 2 for step in range(1, 24) for sign in (1, -1)))
        for side in (1, -1)
    ]
    boxes = []
    for _, side, dx, dy in sorted(offsets):
        left = x + dx if side > 0 else x - dx - width
        boxes.append(Box(left, y + dy - height / 2, left + width, y + dy + height / 2))
    return boxes
