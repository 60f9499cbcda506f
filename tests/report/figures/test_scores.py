"""The histogram and the reliability diagram, read back from the SVG."""

import re
from dataclasses import replace

import numpy as np
from report.drawn import drawn_line
from report.synthetic_run import make_predictions

from aspire_llm.report.figures import scores
from aspire_llm.report.figures.canvas import FRAME, SIZE


def test_reliability_by_hand() -> None:
    predictions = [
        replace(own, confidence=0.25 if i < 20 else 0.75, correct=i % 4 == 0 if i < 20 else i % 2 == 0)
        for i, own in enumerate(make_predictions(40))
    ]
    svg = scores.reliability_svg(predictions)
    (left, bottom), (right, _) = drawn_line(svg, "muted")  # the lower edge of the axes
    markers = re.findall(r'<use xlink:href="#reliability-[^"]*" x="([\d.]+)" y="([\d.]+)"[^>]*accent', svg)
    x, y = np.array(markers, dtype=float).T
    height = 72 * SIZE[1] * FRAME[3]
    # Both axes run from −0.02 to 1.02.
    np.testing.assert_allclose(-0.02 + 1.04 * (x - left) / (right - left), [0.25, 0.75], atol=1e-3)
    np.testing.assert_allclose(-0.02 + 1.04 * (bottom - y) / height, [0.25, 0.5], atol=1e-3)
    assert svg.count(">20<") == 2


def test_histogram_marks_the_threshold_only_where_scores_explain_the_abstentions() -> None:
    predictions = make_predictions(100)
    by_score = [own.scored.selection_score < -0.9 for own in predictions]
    for abstained, is_marked in ((by_score, True), ([False] * 100, False), ([True, False] * 50, False)):
        shown = [replace(own, abstained=value) for own, value in zip(predictions, abstained, strict=True)]
        assert ("stroke: var(--ink)" in scores.score_histogram_svg(shown)) is is_marked


def test_histogram_of_a_constant_score() -> None:
    predictions = [replace(own, scored=replace(own.scored, selection_score=-0.5)) for own in make_predictions(30)]
    assert "var(--right)" in scores.score_histogram_svg(predictions)
