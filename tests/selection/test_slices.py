"""A promise for every value of a field: who shares δ, what holds of which question, and that it is kept."""

import numpy as np
import pytest

from aspire_llm.errors import DataError
from aspire_llm.records import Question
from aspire_llm.selection import Certified, JudgedScores, RiskTarget, SlicedGuarantee, Uncertified, sliced_guarantee

TARGET = RiskTarget(0.2, 0.1, per="kind")


def judged(count: int, seed: int, *, accuracy: float = 0.85, signal: float = 2.5) -> JudgedScores:
    rng = np.random.default_rng(seed)
    correct = rng.random(count) < accuracy
    scores = rng.normal(size=count) + signal * correct
    return JudgedScores.of(scores, correct, [str(i) for i in range(count)])


def promised(sizes: dict[str, int], target: RiskTarget = TARGET, seed: int = 0) -> SlicedGuarantee:
    calibration = {value: judged(size, 10 * seed + i) for i, (value, size) in enumerate(sizes.items())}
    pilot = judged(200, 999)
    return sliced_guarantee(calibration, {"city": pilot}, pilot, target, score="aspire")


def asked(**metadata: str | int) -> Question:
    return Question("q", "Where?", metadata=metadata)


def test_each_value_has_a_promise_of_its_own() -> None:
    found = promised({"city": 200, "state": 100})
    city, state = found.of(asked(kind="city")), found.of(asked(kind="state"))
    assert isinstance(city.outcome, Certified)
    assert isinstance(state.outcome, Certified)
    assert city.outcome.threshold != state.outcome.threshold
    assert {city.target.delta, state.target.delta} == {0.05}
    assert "whose kind is 'city'" in city.sentence
    assert "95% certainty" in city.sentence
    assert found.of(asked(kind="river")) is None
    assert found.of(asked()) is None


def test_values_of_too_few_questions_take_no_share_of_delta() -> None:
    """By hand: at most 20% wrong with δ = .05 takes ⌈ln .05 / ln .8⌉ = 14 right answers, with .1 / 3 sixteen."""
    found = promised({"city": 100, "state": 14, "word": 13, "": 2})
    deltas = {value: own.target.delta for value, own in found.by_value.items()}
    assert deltas["city"] == deltas["state"] == 0.05
    assert deltas["word"] == deltas[""] == 0.1 / 4
    assert all(isinstance(found.by_value[value].outcome, Uncertified) for value in ("word", ""))
    assert "without kind" in found.by_value[""].sentence
    assert "'kind' is '', " in found.caveat


def test_a_group_is_one_question() -> None:
    one = judged(100, 0)
    grouped = JudgedScores(one.scores, one.correct, ("story",) * 100)
    found = sliced_guarantee({"a": grouped, "b": judged(100, 1)}, {}, judged(200, 2), TARGET, score="aspire")
    assert found.by_value["b"].target.delta == 0.1
    assert isinstance(found.by_value["a"].outcome, Uncertified)


def test_stored_and_read_again() -> None:
    found = promised({"city": 200, "word": 3})
    again = SlicedGuarantee.from_json(found.to_json())
    assert again == found
    assert again.by_value["city"].sentence == found.by_value["city"].sentence
    with pytest.raises(ValueError, match=r"values: .* is no object"):
        SlicedGuarantee.from_json({**found.to_json(), "values": [1]})


def test_what_cannot_be_promised_per_value_is_refused() -> None:
    with pytest.raises(DataError, match="no calibration question has the field 'kind'"):
        promised({"": 100})
    with pytest.raises(DataError, match="'kind' has 60 values"):
        promised({str(i): 20 for i in range(60)})


def test_all_promises_are_kept_together() -> None:
    """Of 400 calibrations, a share of at most δ + 3 standard errors breaks any of three promises."""
    populations = {"a": judged(20_000, 1), "b": judged(20_000, 2, accuracy=0.7), "c": judged(20_000, 3, signal=1.0)}
    rng, pilot, broken = np.random.default_rng(0), judged(200, 4), 0
    for _ in range(400):
        parts = {}
        for value, everyone in populations.items():
            own = rng.choice(20_000, 80)
            parts[value] = JudgedScores.of(everyone.scores[own], everyone.correct[own], [str(i) for i in range(80)])
        found = sliced_guarantee(parts, {}, pilot, TARGET, score="aspire")
        for value, own in found.by_value.items():
            if isinstance(own.outcome, Certified):
                given = populations[value].scores >= own.outcome.threshold
                if (~populations[value].correct[given]).mean() > TARGET.risk:
                    broken += 1
                    break
    assert broken / 400 <= 0.1 + 3 * (0.1 * 0.9 / 400) ** 0.5
