"""Every figure fits the page: its colours, its fonts, its names, and no randomness."""

import re
from collections.abc import Callable
from pathlib import Path

import pytest

from aspire_llm.records import Answers
from aspire_llm.report.figures import curves, rivals, scores, sweeps
from aspire_llm.report.figures.canvas import FigureView
from aspire_llm.report.run_results import RunResults, read_run_results

FIGURES: list[Callable[[RunResults], list[FigureView]]] = [
    rivals.rival_figures,
    scores.score_figures,
    lambda results: sweeps.sweep_figures(results.sweeps),
    lambda results: curves.curve_figures({answers: results.method_scores(answers) for answers in Answers}, "aspire"),
]


@pytest.mark.parametrize("draw", FIGURES)
def test_svg_takes_colours_and_fonts_from_the_page_and_is_deterministic(
    rich_dir: Path, draw: Callable[[RunResults], list[FigureView]]
) -> None:
    results = read_run_results(rich_dir)
    views = draw(results)
    assert len(views) >= 2
    assert views == draw(results)
    for view in views:
        assert view.svg.startswith('<svg role="img" aria-label="')
        assert "font-family" not in view.svg
        assert set(re.findall(r"(?:fill|stroke): (?!none|var)([^;\"]+)", view.svg)) == set()
        assert re.search(r"<svg[^>]* width=", view.svg) is None
