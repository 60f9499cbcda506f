"""ASPIRE against its rivals: order, places and labels, read back from the SVG."""

import re
from pathlib import Path

import numpy as np

from aspire_llm.methods.catalogue import method_label
from aspire_llm.report.figures.rivals import cost_quality_svg, differences_svg, rival_figures
from aspire_llm.report.run_results import read_run_results
from aspire_llm.report.tables import Estimate


def test_foreign_names_are_text() -> None:
    assert "&lt;b&gt; &amp; $x$" in differences_svg({"<b> & $x$": Estimate(0.02, 0.01, 0.03)}, "ASPIRE")


def test_differences_stand_the_strongest_rival_first(rich_dir: Path) -> None:
    results = read_run_results(rich_dir)
    aurocs = {
        pair.removeprefix("aspire - "): float(str(of["auroc"].estimate))
        for pair, of in results.metrics.differences.items()
    }
    words = re.findall(r"<text[^>]*>([^<]*)</text>", rival_figures(results)[0].svg)
    labels = [method_label(name) for name in sorted(aurocs, key=aurocs.__getitem__)]
    # matplotlib writes the labels of an axis from position 0, the first row, on.
    assert [word for word in words if word in labels] == labels
    assert len(labels) == 8


def test_cost_stands_on_a_logarithmic_axis_and_labels_every_point() -> None:
    names = ["aspire", "perplexity", "sar", "mine"]
    svg = cost_quality_svg({name: (10.0**place, Estimate(0.5 + place / 10)) for place, name in enumerate(names)})
    assert all(label in svg for label in ("ASPIRE", "Perplexity", "SAR", "mine", "×10", "×100"))
    markers = re.findall(r'<use xlink:href="#cost-quality-[^"]*" x="([\d.]+)" y="([\d.]+)"', svg)
    x, y = np.array(markers, dtype=float).T
    np.testing.assert_allclose(np.diff(x), x[1] - x[0], rtol=1e-4)
    assert (np.diff(y) < 0).all()


def test_no_costs_no_figure(run_dir: Path) -> None:
    views = rival_figures(read_run_results(run_dir))
    assert [view.title for view in views] == ["ASPIRE against each rival"]
