"""The figures of `metrics.json`, method by method and pair by pair."""

import json
import math

import pytest

from aspire_llm.errors import ConfigError, DataError
from aspire_llm.records import MethodScores
from aspire_llm.selection.evaluation import evaluate

CORRECT = (True, True, False, True, False)
GROUPS = ("a", "b", "c", "d", "e")
ASPIRE = MethodScores("aspire", (0.9, 0.8, 0.5, 0.7, 0.6), CORRECT, GROUPS)  # the ideal order
RIVAL = MethodScores("perplexity", (0.9, 0.8, 0.7, 0.6, 0.5), CORRECT, GROUPS)
UNTUNED = MethodScores("perplexity_untuned", (0.1, 0.2, 0.3, 0.4, 0.5), (False, False, True, False, False), GROUPS)


def test_the_json_of_methods_by_hand() -> None:
    content = evaluate([ASPIRE, RIVAL, UNTUNED], seed=0).to_json()
    assert json.loads(json.dumps(content, allow_nan=False)) == content
    rival = content["methods"]["perplexity"]
    assert rival["accuracy"] == pytest.approx(3 / 5)
    assert rival["auroc"] == pytest.approx(5 / 6)
    assert rival["auacc"] == pytest.approx(241 / 300)
    assert rival["aurc"] == pytest.approx(59 / 300)
    assert rival["e_aurc"] == pytest.approx(1 / 15)
    assert rival["prr"] == pytest.approx(61 / 81)
    assert rival["accuracy_at_coverage"] == {
        "0.5": pytest.approx(2 / 3),
        "0.8": pytest.approx(3 / 4),
        "0.9": pytest.approx(3 / 5),
    }
    assert rival["coverage_at_risk"] == {"0.05": pytest.approx(2 / 5), "0.1": pytest.approx(2 / 5)}
    assert rival["tied_share"] == 0.0
    assert rival["auroc_ci"][0] <= rival["auroc"] <= rival["auroc_ci"][1]
    assert content["methods"]["aspire"]["auroc"] == content["methods"]["aspire"]["auroc_ci"][0] == 1.0
    assert content["methods"]["perplexity_untuned"]["accuracy"] == pytest.approx(1 / 5)
    assert content["confidence"] is None


def test_differences_only_between_methods_on_the_same_answers() -> None:
    differences = evaluate([RIVAL, UNTUNED, ASPIRE], seed=0).to_json()["differences"]
    assert list(differences) == ["aspire - perplexity"]
    auroc, auacc = differences["aspire - perplexity"]["auroc"], differences["aspire - perplexity"]["auacc"]
    assert auroc["estimate"] == pytest.approx(1 / 6)
    assert auacc["estimate"] == pytest.approx(1 / 15)
    # No resample can rank better than the ideal order does.
    assert auroc["ci"][0] >= 0.0
    assert auacc["ci"][0] >= 0.0
    assert auroc["ci"][1] > 0.1


def test_the_same_seed_gives_the_same_figures_whatever_stands_beside_them() -> None:
    alone = evaluate([ASPIRE, RIVAL], seed=3).to_json()
    among = evaluate([UNTUNED, RIVAL, ASPIRE], seed=3).to_json()
    assert alone["differences"] == among["differences"]
    assert all(alone["methods"][name] == among["methods"][name] for name in alone["methods"])


def test_the_seed_moves_the_intervals_and_nothing_else() -> None:
    scores, correct = tuple(math.sin(i * i) for i in range(60)), (True, False, True) * 20
    noisy = MethodScores("aspire", scores, correct, tuple(str(i) for i in range(60)))
    first, second = (evaluate([noisy], seed=seed, num_resamples=50).to_json()["methods"]["aspire"] for seed in (3, 4))
    assert {key for key in first if first[key] != second[key]} == {"accuracy_ci", "auroc_ci", "auacc_ci"}


def test_one_class_is_null_with_the_reason() -> None:
    all_right = [MethodScores(name, (0.1, 0.2, 0.3), (True,) * 3, ("a", "b", "c")) for name in ("aspire", "perplexity")]
    content = evaluate(all_right, seed=0).to_json()
    figures = content["methods"]["aspire"]
    assert (figures["auroc"], figures["auroc_ci"], figures["prr"]) == (None, None, None)
    assert figures["auroc_reason"] == "all 3 answers are right; it takes both kinds"
    assert figures["auacc"] == 1.0
    assert figures["auacc_ci"] == [1.0, 1.0]
    difference = content["differences"]["aspire - perplexity"]
    assert difference["auroc"]["estimate"] is None
    assert difference["auroc"]["ci"] is None
    assert difference["auacc"] == {"estimate": 0.0, "ci": [0.0, 0.0]}


def test_one_group_has_figures_without_intervals() -> None:
    content = evaluate(
        [MethodScores(name, (0.3, 0.2, 0.1), (True, False, True), ("g",) * 3) for name in ("aspire", "perplexity")],
        seed=0,
    ).to_json()
    figures = content["methods"]["aspire"]
    assert figures["auroc"] == 0.5
    assert figures["auroc_ci"] is None
    assert "one group" in figures["auroc_ci_reason"]
    assert content["differences"]["aspire - perplexity"]["auroc"]["estimate"] == 0.0
    assert content["differences"]["aspire - perplexity"]["auroc"]["ci"] is None


def test_confidence_in_the_answers_given() -> None:
    # Ten bins: {1.0} right, {0.8} right, {0.6, 0.65} wrong and right, {0.1} wrong.
    confidence = MethodScores("confidence", (1.0, 0.8, 0.1, 0.65, 0.6), CORRECT, GROUPS)
    result = evaluate([ASPIRE], seed=0, confidence=confidence).confidence
    assert result is not None
    assert result.ece == pytest.approx((0 + 0.2 + abs(1 - 1.25) + 0.1) / 5)
    assert result.brier == pytest.approx((0 + 0.04 + 0.01 + 0.35**2 + 0.36) / 5)


def test_bad_methods() -> None:
    with pytest.raises(ConfigError, match="aspire among them"):
        evaluate([RIVAL], seed=0)
    with pytest.raises(ConfigError, match="each must stand once"):
        evaluate([ASPIRE, RIVAL, RIVAL], seed=0)
    with pytest.raises(DataError, match="aspire has 1 scores of 2 that are NaN or infinite"):
        evaluate([MethodScores("aspire", (0.1, math.nan), (True, False), ("a", "b"))], seed=0)
    with pytest.raises(DataError, match=r"aspire has \(1, 2, 2\) scores"):
        evaluate([MethodScores("aspire", (0.1,), (True, False), ("a", "b"))], seed=0)
