"""The drawn curves, read back from the SVG, and the PNG."""

import re
from pathlib import Path

import matplotlib.image
import numpy as np
import pytest
from report.drawn import drawn_line, on_slider_scale

from aspire_llm.errors import RunDirectoryError
from aspire_llm.records import Answers, MethodScores
from aspire_llm.report import write_accuracy_coverage_png
from aspire_llm.report.figures import curves
from aspire_llm.report.palette import LIGHT
from aspire_llm.report.run_results import best_rival, read_run_results
from aspire_llm.report.styles import method_style

ASPIRE = MethodScores("aspire", (0.9, 0.8, 0.7, 0.6, 0.5), (True, True, False, True, False), ("a", "b", "c", "d", "e"))
ACCURACY = [1.0, 1.0, 2 / 3, 3 / 4, 3 / 5]


def test_the_curve_in_the_svg_is_the_accuracy_by_coverage() -> None:
    svg = curves.accuracy_coverage_svg(curves.coverage_curves([ASPIRE]), Answers.TUNED)
    points = on_slider_scale(svg, drawn_line(svg, "aspire-1"))
    np.testing.assert_allclose(points, list(zip([0.2, 0.4, 0.6, 0.8, 1.0], ACCURACY, strict=True)), atol=1e-3)


def test_risk_is_the_mirror_image() -> None:
    svg = curves.risk_coverage_svg(curves.coverage_curves([ASPIRE]), Answers.TUNED)
    _, y = np.array(drawn_line(svg, "aspire-1")).T
    risk = 1 - np.array(ACCURACY)
    # y grows downwards; 0 and 2/5 fix the scale.
    np.testing.assert_allclose((y[0] - y) / (y[0] - y[-1]) * risk[-1], risk, atol=1e-3)


def test_the_roc_curve_in_the_svg() -> None:
    x, y = np.array(drawn_line(curves.roc_svg([ASPIRE], Answers.TUNED), "aspire-1")).T
    # From (0, 0) to (1, 1): two right answers up, a wrong one across, one up, one across.
    np.testing.assert_allclose((x - x[0]) / (x[-1] - x[0]), [0, 0, 0, 1 / 2, 1 / 2, 1], atol=1e-3)
    np.testing.assert_allclose((y - y[0]) / (y[-1] - y[0]), [0, 1 / 3, 2 / 3, 2 / 3, 1, 1], atol=1e-3)


def test_every_method_has_a_line_and_a_band_under_its_switch(rich_dir: Path) -> None:
    methods = read_run_results(rich_dir).method_scores(Answers.TUNED)
    drawn = curves.coverage_curves(methods)
    for svg in (
        curves.accuracy_coverage_svg(drawn, Answers.TUNED),
        curves.risk_coverage_svg(drawn, Answers.TUNED),
    ):
        switched = re.findall(r'data-series="([^"]*)"', svg)
        assert sorted(switched) == sorted(2 * [method.name for method in methods])
        assert 'id="series' not in svg


def test_a_single_group_has_no_band() -> None:
    alone = MethodScores("aspire", ASPIRE.scores, ASPIRE.correct, ("one",) * 5)
    assert curves.coverage_curves([alone]).methods[0].band is None
    assert curves.coverage_curves([ASPIRE]).methods[0].band is not None


def test_png_holds_aspire_its_best_rival_and_perplexity_and_is_deterministic(rich_dir: Path, tmp_path: Path) -> None:
    path = write_accuracy_coverage_png(rich_dir, tmp_path / "a.png")
    assert path.read_bytes() == write_accuracy_coverage_png(rich_dir, tmp_path / "b.png").read_bytes()
    pixels = (255 * matplotlib.image.imread(path)[:, :, :3]).round().astype(int)

    def area(colour: tuple[int, ...]) -> int:
        return int((np.abs(pixels - colour).max(axis=2) <= 1).sum())

    rival = method_style(best_rival(read_run_results(rich_dir).metrics) or "").role
    for role in ("aspire-1", "likelihood-1", rival):
        assert area(tuple(bytes.fromhex(LIGHT[role][1:]))) > 100, role
    assert area((0x7A, 0x4C, 0xB8)) == 0  # self-evaluation
    assert (pixels[0, 0] == 255).all()


def test_png_without_answers(run_dir: Path, tmp_path: Path) -> None:
    (run_dir / "predictions.jsonl").unlink()
    (run_dir / "predictions_untuned.jsonl").unlink()
    with pytest.raises(RunDirectoryError, match="no judged answers"):
        write_accuracy_coverage_png(run_dir, tmp_path / "a.png")
    assert not (tmp_path / "a.png").exists()
