"""Novelty: the p-values of a naive slow reference, and the share of ordinary questions that they call novel."""

import numpy as np
import pytest
from numpy.typing import NDArray

from aspire_llm.errors import DataError, RunDirectoryError
from aspire_llm.results.novelty import NOVELTY
from aspire_llm.selection import Infeasible, NoveltyGuard
from aspire_llm.selection.novelty import MAX_QUESTIONS, NUM_NEIGHBOURS

LEVEL = 0.01


def guard_of(states: NDArray, groups: list[str], others: NDArray | None = None) -> NoveltyGuard:
    """With other questions of which there are fewer than directions, where none are given."""
    drawn = np.random.default_rng(99).normal(size=(7, states.shape[1])) if others is None else others
    guard = NoveltyGuard.fit(states, groups, drawn)
    assert isinstance(guard, NoveltyGuard)
    return guard


def alone(count: int) -> list[str]:
    return [f"g{i}" for i in range(count)]


def whitened(states: NDArray, others: NDArray) -> NDArray:
    """By the inverse root of the others' shrunk covariance, which is a full matrix here."""
    unit, by = (rows / np.linalg.norm(rows, axis=1, keepdims=True) for rows in (states, others))
    covariance = np.cov(by.T, bias=True)
    width = len(covariance)
    shrunk = 0.9 * covariance + 0.1 * np.trace(covariance) / width * np.eye(width)
    values, vectors = np.linalg.eigh(shrunk)
    return (unit - by.mean(axis=0)) @ vectors / np.sqrt(values)


def naive_p_value(states: NDArray, groups: list[str], new: NDArray, others: NDArray) -> float:
    """All questions together, the new one last and of a group of its own: who is as far from the others as it is?"""
    everyone = whitened(np.vstack([states, new]), others)
    of_group = [*groups, "the new one"]
    scores = []
    for i, one in enumerate(everyone):
        distances = sorted(
            float(np.linalg.norm(one - other)) for j, other in enumerate(everyone) if of_group[i] != of_group[j]
        )
        scores.append(sum(distances[:NUM_NEIGHBOURS]) / NUM_NEIGHBOURS)
    return sum(score >= scores[-1] * (1 - 1e-9) for score in scores) / len(scores)


def test_the_p_values_of_a_naive_reference() -> None:
    rng = np.random.default_rng(0)
    states, groups = rng.normal(size=(120, 4)), [f"g{i // 3}" for i in range(120)]
    new = np.vstack([rng.normal(size=(12, 4)), (states[7] + 0.01) * 30])  # a length says nothing
    for others in (rng.normal(size=(200, 4)) * [1.0, 3.0, 0.2, 1.0], rng.normal(size=(3, 4))):
        found = guard_of(states, groups, others).p_values(new, ["x"] * 13)
        assert found == pytest.approx([naive_p_value(states, groups, own, others) for own in new], abs=1e-12)


def test_a_calibration_question_is_held_against_the_other_groups() -> None:
    rng = np.random.default_rng(1)
    states, groups = rng.normal(size=(120, 3)), [f"g{i // 4}" for i in range(120)]
    guard = guard_of(states, groups)
    own = guard.p_values(states[:4], groups[:4])
    unit = whitened(states, np.random.default_rng(99).normal(size=(7, 3)))

    def score(i: int) -> float:
        distances = np.sort([np.linalg.norm(unit[i] - unit[j]) for j in range(120) if groups[i] != groups[j]])
        return float(distances[:NUM_NEIGHBOURS].mean())

    scores = [score(i) for i in range(120)]
    for i, p in enumerate(own):
        assert p == pytest.approx((1 + sum(scores[j] >= scores[i] for j in range(4, 120))) / 117)


@pytest.mark.parametrize(("count", "width"), [(100, 8), (150, 64)])
def test_ordinary_questions_are_rarely_novel(count: int, width: int) -> None:
    """300 runs of 20 questions drawn like the calibration questions, skewed as hidden states are."""
    rng = np.random.default_rng(count)
    p_values = []
    for _ in range(300):
        scales = rng.gamma(1.0, size=width)
        draw = rng.standard_t(4, size=(count + 20, width)) * scales + 2.0
        p_values += guard_of(draw[:count], alone(count)).p_values(draw[count:], alone(20)[::-1])
    found = np.array(p_values)
    for level in (LEVEL, 0.05, 0.2):
        # Questions of one run share its calibration: the shares of runs vary by at most as much as this.
        spread = 3 * np.sqrt(level * (1 - level) * (1 / 6000 + 1 / (300 * count)))
        assert (found < level).mean() <= level + spread


def test_grouped_questions_are_rarely_novel() -> None:
    """Stories of 1 to 40 questions that have 30% of their variance in common."""
    rng = np.random.default_rng(3)
    rates = []
    for _ in range(200):
        sizes = rng.integers(1, 41, size=26)
        of_group = np.repeat(np.arange(26), sizes)
        centres = rng.normal(size=(26, 12)) * np.sqrt(0.3)
        draw = centres[of_group] + rng.normal(size=(len(of_group), 12)) * np.sqrt(0.7) + 1.0
        known = of_group < 25
        guard = guard_of(draw[known], [f"g{i}" for i in of_group[known]])
        rates.append(np.mean([p < LEVEL for p in guard.p_values(draw[~known], ["new"] * int((~known).sum()))]))
    assert np.mean(rates) <= LEVEL + 3 * np.std(rates) / np.sqrt(len(rates))


def test_what_is_elsewhere_is_novel() -> None:
    rng = np.random.default_rng(4)
    states = rng.normal(size=(300, 16)) * 0.1 + np.eye(16)[0]
    far = rng.normal(size=(50, 16)) * 0.1 + np.eye(16)[1]
    assert max(guard_of(states, alone(300)).p_values(far, ["new"] * 50)) < LEVEL


def test_how_many_questions_it_takes() -> None:
    states = np.random.default_rng(5).normal(size=(1200, 3))
    assert NoveltyGuard.fit(states[:99], alone(99), states) == Infeasible(
        "99 calibration questions; it takes at least 100"
    )
    assert min(guard_of(states[:100], alone(100)).p_values(-1e3 * np.ones((1, 3)), ["new"])) >= 1 / 101
    assert isinstance(NoveltyGuard.fit(states[:100], ["one story"] * 100, states), Infeasible)
    same = NoveltyGuard.fit(np.ones((100, 3)), alone(100), states)
    assert same == Infeasible("all calibration questions look the same to the model")
    assert len(guard_of(states, alone(1200)).groups) == MAX_QUESTIONS
    with pytest.raises(DataError, match="need finite numbers"):
        NoveltyGuard.fit(np.full((100, 3), np.nan), alone(100), states)


def test_the_same_after_a_trip_to_the_disk(tmp_path) -> None:
    rng = np.random.default_rng(6)
    guard = guard_of(rng.normal(size=(130, 6)).astype(np.float32), [f"Straße {i // 2}" for i in range(130)])
    new = rng.normal(size=(9, 6))
    NOVELTY.write(tmp_path, guard)
    first = (tmp_path / NOVELTY.name).read_bytes()
    again = NOVELTY.read(tmp_path)
    assert isinstance(again, NoveltyGuard)
    assert again.p_values(new, ["Straße 3"] * 9) == guard.p_values(new, ["Straße 3"] * 9)
    NOVELTY.write(tmp_path, again)
    assert (tmp_path / NOVELTY.name).read_bytes() == first
    NOVELTY.write(tmp_path, Infeasible("too few"))
    assert NOVELTY.read(tmp_path) == Infeasible("too few")
    (tmp_path / NOVELTY.name).write_bytes(first[:50])
    with pytest.raises(RunDirectoryError, match=r"novelty\.safetensors holds no"):
        NOVELTY.read(tmp_path)
    (tmp_path / NOVELTY.name).unlink()
    with pytest.raises(RunDirectoryError, match=r"novelty\.safetensors: missing"):
        NOVELTY.read(tmp_path)
