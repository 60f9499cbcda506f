"""The drawn curves, read back from the SVG, and the PNG."""

import re
from pathlib import Path
from typing import Any

import matplotlib.image
import numpy as np
import pytest
from report.synthetic_run import make_lines, untuned_lines, write_run

from aspire_llm.errors import RunDirectoryError
from aspire_llm.records import MethodScores
from aspire_llm.report import plots, write_accuracy_coverage_png
from aspire_llm.report.run_results import read_run_results

ASPIRE = MethodScores("aspire", (0.9, 0.8, 0.7, 0.6, 0.5), (True, True, False, True, False), ("a", "b", "c", "d", "e"))


def drawn_line(svg: str, role: str) -> list[tuple[float, float]]:
    """The points of the line with a colour role, in the units of the SVG."""
    (path,) = re.findall(rf'<path d="([^"]*)"[^>]*style="fill: none; stroke: var\(--{role}\)', svg)
    numbers = [float(number) for number in re.findall(r"-?[\d.]+", path)]
    return list(zip(numbers[::2], numbers[1::2], strict=True))


def test_the_curve_in_the_svg_is_the_accuracy_by_coverage() -> None:
    svg = plots.accuracy_coverage_svg([ASPIRE])
    frame = {key: float(value) for key, value in re.findall(r'data-(\w+)="([^"]*)"', svg)}
    width, height = frame["right"] - frame["left"], frame["bottom"] - frame["top"]
    points = [
        (
            (x - frame["left"]) / width * frame["span"],
            frame["low"] + (frame["bottom"] - y) / height * (frame["high"] - frame["low"]),
        )
        for x, y in drawn_line(svg, "method-1")
    ]
    expected = [(0.2, 1.0), (0.4, 1.0), (0.6, 2 / 3), (0.8, 3 / 4), (1.0, 3 / 5)]
    np.testing.assert_allclose(points, expected, atol=1e-4)


def test_the_roc_curve_in_the_svg() -> None:
    x, y = np.array(drawn_line(plots.roc_svg([ASPIRE]), "method-1")).T
    # From (0, 0) to (1, 1): two right answers up, a wrong one across, one up, one across.
    np.testing.assert_allclose((x - x[0]) / (x[-1] - x[0]), [0, 0, 0, 1 / 2, 1 / 2, 1], atol=1e-4)
    np.testing.assert_allclose((y - y[0]) / (y[-1] - y[0]), [0, 1 / 3, 2 / 3, 2 / 3, 1, 1], atol=1e-4)


def test_svg_takes_colours_and_fonts_from_the_page_and_is_deterministic(run_dir: Path) -> None:
    results = read_run_results(run_dir)
    methods = results.method_scores()
    draw: list[Any] = [
        lambda: plots.accuracy_coverage_svg(plots.on_same_answers(methods)),
        lambda: plots.roc_svg(methods),
        lambda: plots.score_histogram_svg(results.rows),
        lambda: plots.differences_svg({"perplexity": (0.01, [-0.01, 0.03]), "<b> & $x$": (0.02, [0.01, 0.03])}),
    ]
    for make in draw:
        svg = make()
        assert svg == make()
        assert svg.startswith('<svg role="img" aria-label="')
        assert "font-family" not in svg
        assert set(re.findall(r"(?:fill|stroke): (?!none|var)([^;\"]+)", svg)) == set()
        assert re.search(r"<svg[^>]* width=", svg) is None
    assert "&lt;b&gt; &amp; $x$" in svg


def test_only_methods_on_the_same_answers_share_the_accuracy_figure(run_dir: Path) -> None:
    methods = read_run_results(run_dir).method_scores()
    names = ["aspire", "perplexity", "self_evaluation", "sequence_log_probability"]
    assert [method.name for method in methods] == [*names, "perplexity_untuned"]
    assert [method.name for method in plots.on_same_answers(methods)] == names


def test_histogram_marks_the_threshold_only_where_scores_explain_the_abstentions(tmp_path: Path) -> None:
    lines = make_lines(100)
    mark = "stroke: var(--ink)"
    for name, abstained, marked in (
        ("threshold", [line["selection_score"] < -0.9 for line in lines], True),
        ("none", [False] * 100, False),
        ("other", [i % 2 == 0 for i in range(100)], False),
    ):
        rows = [{**line, "abstained": value} for line, value in zip(lines, abstained, strict=True)]
        write_run(tmp_path / name, rows, untuned_lines(rows))
        svg = plots.score_histogram_svg(read_run_results(tmp_path / name).rows)
        assert (mark in svg) is marked, name


def test_histogram_of_a_constant_score(tmp_path: Path) -> None:
    lines = [{**line, "selection_score": -0.5} for line in make_lines(30)]
    write_run(tmp_path, lines, untuned_lines(lines))
    assert "var(--right)" in plots.score_histogram_svg(read_run_results(tmp_path).rows)


def test_png_holds_the_curves_and_is_deterministic(run_dir: Path, tmp_path: Path) -> None:
    path = write_accuracy_coverage_png(run_dir, tmp_path / "a.png")
    assert path.read_bytes() == write_accuracy_coverage_png(run_dir, tmp_path / "b.png").read_bytes()
    pixels = (255 * matplotlib.image.imread(path)[:, :, :3]).round().astype(int)
    for colour in ((0x16, 0x60, 0xC4), (0xC8, 0x60, 0x1D)):  # ASPIRE and likelihood
        assert (np.abs(pixels - colour).max(axis=2) <= 1).sum() > 100
    assert (pixels[0, 0] == 255).all()


def test_png_without_answers(run_dir: Path, tmp_path: Path) -> None:
    (run_dir / "predictions.jsonl").unlink()
    (run_dir / "predictions_untuned.jsonl").unlink()
    with pytest.raises(RunDirectoryError, match="no judged answers"):
        write_accuracy_coverage_png(run_dir, tmp_path / "a.png")
    assert not (tmp_path / "a.png").exists()
