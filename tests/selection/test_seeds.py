"""Means, deviations and intervals over seeds, by hand."""

import pytest
from scipy.stats import ttest_1samp

from aspire_llm.errors import ConfigError
from aspire_llm.selection import Difference, Evaluation, MethodMetrics, Spread, Undefined, over_seeds

NONE = Undefined("one kind of answers")


def figures(auroc: float | None, difference: float | None) -> Evaluation:
    """The figures of one run, of which only those that are summarised matter."""
    own = MethodMetrics(
        accuracy=0.5,
        accuracy_ci=NONE,
        auroc=NONE if auroc is None else auroc,
        auroc_ci=NONE,
        auacc=0.8,
        auacc_ci=NONE,
        aurc=0.2,
        e_aurc=0.1,
        prr=NONE,
        accuracy_at_coverage={},
        coverage_at_risk={},
        tied_share=0.0,
    )
    differences = {
        "auroc": Difference(NONE if difference is None else difference, NONE),
        "auacc": Difference(0.0, NONE),
    }
    return Evaluation({"aspire": own, "sar": own}, {"aspire - sar": differences}, None)


def test_mean_deviation_and_student_s_interval() -> None:
    values = [0.02, -0.01, 0.05]
    summary = over_seeds([figures(0.8 + v, v) for v in values], [3, 4, 5])
    assert summary.seeds == (3, 4, 5)
    own = summary.differences["aspire - sar"]["auroc"]
    assert own.mean == pytest.approx(0.02)
    assert own.sd == pytest.approx(0.03)
    expected = ttest_1samp(values, 0).confidence_interval(0.95)
    assert own.ci == pytest.approx([expected.low, expected.high])
    assert list(own.values) == values
    assert summary.methods["sar"]["auroc"].mean == pytest.approx(0.82)
    assert summary.methods["aspire"]["accuracy"].sd == 0


def test_what_one_run_does_not_define_has_no_mean() -> None:
    summary = over_seeds([figures(None, None), figures(0.9, 0.1)], [0, 1])
    assert summary.methods["aspire"]["auroc"] == Spread(None, None, None, (None, 0.9))


def test_one_run_has_no_deviation_and_none_is_an_error() -> None:
    assert over_seeds([figures(0.9, 0.1)], [0]).methods["sar"]["auroc"].sd is None
    with pytest.raises(ConfigError):
        over_seeds([], [])


def test_methods_that_a_run_lacks_are_named() -> None:
    other = figures(0.9, 0.1)
    other = Evaluation({"aspire": other.methods["aspire"]}, {}, None)
    summary = over_seeds([figures(0.9, 0.1), other], [0, 1])
    assert list(summary.methods) == ["aspire"]
    assert summary.left_out == ("sar",)
    assert summary.differences == {}
