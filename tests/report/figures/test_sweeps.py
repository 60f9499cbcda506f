"""The figures of sweeps, read back from the SVG."""

import re

import numpy as np
from report.rich_run import SWEPT

from aspire_llm.report.figures.sweeps import sweep_svg


def test_a_sweep_of_numbers_draws_the_estimates() -> None:
    svg = sweep_svg(SWEPT[0], "sweep-1")
    paths = re.findall(r'<path d="([^"]*)"[^>]*style="fill: none; stroke: var\(--aspire-1\)', svg)
    x, y = np.array(re.findall(r"[\d.]+", paths[0]), dtype=float).reshape(-1, 2).T
    np.testing.assert_allclose((x - x[0]) / (x[-1] - x[0]), [0.0, 0.25, 1.0], atol=1e-3)
    np.testing.assert_allclose((y[0] - y) / (y[0] - y[1]), [0.0, 1.0, -2.0], atol=1e-2)  # 0.8, 0.9, 0.6
    assert len(paths) == 2  # AUROC and AUACC
    assert "α" in svg


def test_a_sweep_of_words_names_them_and_leaves_gaps() -> None:
    svg = sweep_svg(SWEPT[1], "sweep-2")
    assert ">soft_prompt<" in svg
    assert ">lora<" in svg
    paths = re.findall(r'<path d="([^"]*)"[^>]*style="fill: none; stroke: var\(--sampling-2\)', svg)
    assert all(len(re.findall(r"[\d.]+", path)) <= 2 for path in paths)  # one value of two has SAR, and no AUROC
