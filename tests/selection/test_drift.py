"""Drift: false alarms as rare as promised, and what changes is noticed."""

import math

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from aspire_llm.records import Question
from aspire_llm.selection.drift import Watch, first_of_each, watch_risk, watch_values


def test_a_stream_like_the_calibration_raises_no_alarm_more_often_than_promised() -> None:
    rng, alarms = np.random.default_rng(0), 0
    for seed in range(200):
        calibration, live = rng.normal(size=200).tolist(), rng.normal(size=1000).tolist()
        alarms += watch_values(calibration, live, level=0.05, seed=seed).alarm is not None
    assert alarms / 200 <= 0.05 + 2 * math.sqrt(0.05 * 0.95 / 200)


@pytest.mark.slow
def test_one_false_alarm_in_a_hundred_long_streams() -> None:
    rng = np.random.default_rng(1)
    scores = [watch_values(rng.normal(size=500).tolist(), rng.normal(size=10_000).tolist()) for _ in range(100)]
    risks = [watch_risk((rng.random(10_000) < 0.1).tolist(), 0.1) for _ in range(100)]
    print(sum(own.alarm is not None for own in scores), sum(own.alarm is not None for own in risks))
    assert sum(own.alarm is not None for own in scores) <= 1 + 2
    assert sum(own.alarm is not None for own in risks) <= 1 + 2


@pytest.mark.parametrize("shift", [-1.0, 1.0])
def test_a_shift_is_noticed_soon_after_it_begins(shift: float) -> None:
    rng, delays = np.random.default_rng(2), []
    for _ in range(20):
        live = np.concatenate([rng.normal(size=500), rng.normal(size=500) + shift])
        alarm = watch_values(rng.normal(size=500).tolist(), live.tolist()).alarm
        assert alarm is not None
        delays.append(alarm - 500)
    assert 0 < np.median(delays) < 150


def test_tied_values_are_no_alarm() -> None:
    assert watch_values([0.5] * 100, [0.5] * 2000).alarm is None
    assert watch_values([0.5] * 100, [0.1] * 200).alarm is not None


def test_a_risk_above_the_target_is_noticed_and_one_at_it_is_not() -> None:
    rng, false, noticed = np.random.default_rng(3), 0, 0
    for _ in range(100):
        false += watch_risk((rng.random(2000) < 0.1).tolist(), 0.1, level=0.05).alarm is not None
        noticed += watch_risk((rng.random(1000) < 0.2).tolist(), 0.1).alarm is not None
    assert false <= 100 * 0.05 + 2 * math.sqrt(100 * 0.05 * 0.95)
    assert noticed == 100


@given(st.lists(st.booleans(), max_size=30), st.floats(0.01, 0.99))
def test_the_capital_by_its_definition(wrong: list[bool], risk: float) -> None:
    found = watch_risk(wrong, risk).log_evidence
    stakes = [(place + 1) / (risk * 21) for place in range(20)]
    for count in range(1, len(wrong) + 1):
        capital = [math.prod(1 + stake * (own - risk) for own in wrong[:count]) for stake in stakes]
        assert math.exp(found[count - 1]) == pytest.approx(sum(capital) / 20, rel=1e-9)


def test_where_nothing_came_nothing_is_said() -> None:
    empty = watch_values([1.0, 2.0], [])
    assert (empty.alarm, empty.peak) == (None, 1.0)
    assert Watch(np.array([1.0, 5.0, 2.0])).alarm == 2  # e⁵ > 100


def test_groups_raise_no_alarm_more_often_than_promised() -> None:
    """Ten questions a group, all of one value; each alone would raise an alarm nearly always."""
    rng = np.random.default_rng(4)
    alarms = {"each": 0, "first of each": 0}

    def grouped(count: int) -> list[tuple[Question, float]]:
        values = rng.normal(size=count)
        return [(Question(f"{g}-{i}", "?", group=f"g{g}"), values[g]) for g in range(count) for i in range(10)]

    for _ in range(40):
        calibration, live = grouped(50), grouped(200)
        for name, part in (
            ("each", lambda own: own),
            ("first of each", lambda own: first_of_each(own, lambda q: q[0])),
        ):
            known, now = ([value for _, value in part(own)] for own in (calibration, live))
            alarms[name] += watch_values(known, now, level=0.05).alarm is not None
    assert alarms["first of each"] <= 40 * 0.05 + 2 * math.sqrt(40 * 0.05 * 0.95)
    assert alarms["each"] > 30


def test_of_each_group_the_first_counts_and_what_comes_later_changes_nothing() -> None:
    items = [Question(f"{g}-{i}", "?", group=f"g{g}") for i in range(10) for g in range(i, 30)]
    counted = first_of_each(items, lambda own: own)
    assert sorted(own.group for own in counted) == sorted(f"g{g}" for g in range(30))
    for night in range(len(items)):
        until = first_of_each(items[:night], lambda own: own)
        assert until == counted[: len(until)]
    alone = [Question(str(i), "?") for i in range(5)]
    assert first_of_each(alone, lambda own: own) == alone
