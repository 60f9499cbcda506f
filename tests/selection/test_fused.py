"""The fused score: weights by scikit-learn itself, its choice of parts, and what few labels do to it."""

import json
import math
from pathlib import Path

import numpy as np
import pytest
from scipy.special import expit
from sklearn.linear_model import LogisticRegression
from sklearn.metrics import roc_auc_score

from aspire_llm.errors import DataError, RunDirectoryError
from aspire_llm.records import Evidence, SampledAnswer
from aspire_llm.results.fused import FUSED
from aspire_llm.selection import FusedScore, Infeasible, Part, fit_fused
from aspire_llm.selection.folds import deal_groups
from aspire_llm.selection.fused import _regression

REST = {"intercept": 0.0, "num_items": 60}
PARTS = (Part.MEAN, Part.STATES, Part.VERDICT)


def answers(count: int, seed: int = 0, *, helps: float = 1.0) -> tuple[list[Evidence], list[bool], list[str]]:
    """Likelihood and states that each know something of correctness; the verdict is noise."""
    rng = np.random.default_rng(seed)
    likelihood, states, noise = rng.normal(size=(3, count))
    correct = rng.random(count) < expit(1.5 * likelihood + helps * states)
    evidence = [
        Evidence(SampledAnswer("", (1,), float(a), 1), log_self_eval=float(-np.logaddexp(0, -c)), states=float(b))
        for a, b, c in zip(likelihood, states, noise, strict=True)
    ]
    return evidence, correct.tolist(), [f"g{i // 2}" for i in range(count)]


def test_the_score_is_the_weighted_sum_of_its_parts() -> None:
    score = FusedScore((Part.MEAN, Part.STATES), (-1.0, 2.0), (0.5, 4.0), (2.0, 3.0), 0.25, 60)
    evidence = Evidence(SampledAnswer("", (1,), -0.5, 1), states=4.0)
    assert score.score(evidence) == pytest.approx(0.25 + 2.0 * 1.0 + 3.0 * 0.5)
    assert score.needs == {Part.MEAN, Part.STATES}
    assert FusedScore.from_json(json.loads(json.dumps(score.to_json()))) == score


@pytest.mark.parametrize(
    "content",
    [
        {},
        {"parts": {"unknown": {}}},
        {"parts": [1]},
        {"parts": {}, "intercept": None},
        *(
            {"parts": {"states": {"centre": 0.0, "scale": own, "weight": 1.0}}, **REST}
            for own in (0, 0.0, -1.0, "1", None)
        ),
    ],
)
def test_a_broken_file_is_told(tmp_path: Path, content: dict) -> None:
    (tmp_path / "fused.json").write_text(json.dumps(content), encoding="utf-8")
    with pytest.raises(RunDirectoryError, match=r"fused\.json holds no fused score"):
        FUSED.read(tmp_path)


def test_it_ranks_as_well_as_the_true_weights() -> None:
    fused = fit_fused(*answers(600), PARTS)
    assert isinstance(fused, FusedScore)
    held_out, correct, _ = answers(4000, seed=1)
    ours = roc_auc_score(correct, [fused.score(own) for own in held_out])
    truth = roc_auc_score(correct, [1.5 * own.answer.log_likelihood + (own.states or 0) for own in held_out])
    assert truth - ours < 0.01


def test_a_part_that_does_not_help_is_left_out() -> None:
    # Over draws: the noise is left out in most of them, and the parts that help hardly ever.
    kept = [set(fit_fused(*answers(400, seed), PARTS, seed=seed).parts) for seed in range(20)]
    assert sum(Part.VERDICT in own for own in kept) <= 10
    assert sum({Part.MEAN, Part.STATES} <= own for own in kept) >= 19


def test_weights_are_drawn_towards_one_another_not_towards_nothing() -> None:
    evidence, correct, _ = answers(300)
    values = np.array([[own.answer.log_likelihood, own.states] for own in evidence])
    standard = (values - values.mean(0)) / values.std(0)
    weights, _ = _regression(standard, np.array(correct), np.ones(2), 1e-3)
    assert weights[0] == pytest.approx(weights[1], rel=0.05)
    # The common weight is that of a plain regression on the sum.
    common = LogisticRegression(C=1e6).fit(standard.sum(1)[:, None], correct).coef_[0, 0]
    assert weights.mean() == pytest.approx(common, rel=0.1)
    free, _ = _regression(standard, np.array(correct), np.ones(2), 1e4)
    plain = LogisticRegression(C=1e6).fit(standard, correct).coef_[0]
    assert free == pytest.approx(plain, rel=0.02)


def test_few_labels_do_not_hurt() -> None:
    # With 60 labels and seven parts, most of them copies: hardly worse than the plain sum of the standardised parts.
    losses = []
    for seed in range(10):
        evidence, correct, groups = answers(60, seed)
        fused = fit_fused(evidence, correct, groups, (Part.MEAN, Part.SUM, Part.STATES, Part.VERDICT), seed=seed)
        assert isinstance(fused, FusedScore)
        held_out, labels, _ = answers(2000, seed + 100)
        ours = roc_auc_score(labels, [fused.score(own) for own in held_out])
        equal = roc_auc_score(labels, [own.answer.log_likelihood + (own.states or 0) for own in held_out])
        losses.append(equal - ours)
    assert np.mean(losses) < 0.03


def test_what_cannot_be_fitted_is_said() -> None:
    evidence, correct, groups = answers(60)
    few = fit_fused(evidence[:40], correct[:40], groups[:40], PARTS)
    assert isinstance(few, Infeasible)
    assert "it takes 50" in few.reason
    assert isinstance(fit_fused(evidence, [True] * 60, groups, PARTS), Infeasible)
    one_group = fit_fused(evidence, correct, ["g"] * 60, PARTS)
    assert isinstance(one_group, Infeasible)
    assert "1 groups" in one_group.reason
    with pytest.raises(DataError, match="60 answers, 60 labels and 59 groups"):
        fit_fused(evidence, correct, groups[:59], PARTS)
    evidence[3] = Evidence(SampledAnswer("", (1,), -math.inf, 1), -1.0, 0.0)
    with pytest.raises(DataError, match="mean_log_likelihood of 60 answers: some are not finite"):
        fit_fused(evidence, correct, groups, PARTS)


def test_a_constant_part_is_passed_over() -> None:
    evidence, correct, groups = answers(200)
    fused = fit_fused(evidence, correct, groups, (Part.MEAN, Part.LENGTH))
    assert isinstance(fused, FusedScore)
    assert fused.parts == (Part.MEAN,)


def test_no_group_stands_in_two_folds() -> None:
    groups = [f"g{i * i % 17}" for i in range(200)]
    folds = deal_groups(groups, [1.0] * 5, seed=3)
    assert all(len({fold for fold, own in zip(folds, groups, strict=True) if own == group}) == 1 for group in groups)
    sizes = np.bincount(folds, minlength=5)
    assert sizes.max() - sizes.min() <= max(groups.count(group) for group in groups)
    assert (
        deal_groups(groups, [1.0] * 5, seed=3).tolist()
        == folds.tolist()
        != deal_groups(groups, [1.0] * 5, seed=4).tolist()
    )
