"""The read-out of states against scikit-learn, and what it chooses."""

from dataclasses import replace

import numpy as np
import pytest
from sklearn.linear_model import LogisticRegression
from sklearn.metrics import roc_auc_score
from sklearn.preprocessing import StandardScaler

from aspire_llm.errors import DataError
from aspire_llm.results.states import STATES, StatesReadout
from aspire_llm.selection import Infeasible
from aspire_llm.selection.linear_readout import LabelledStates, LinearReadout, Weighing, fit_readout

WIDTH, BEAMS = 12, 3


def labelled(num_questions: int = 200, seed: int = 0) -> tuple[LabelledStates, np.ndarray]:
    """Three places of which the second knows most; `[answers, places, d]`."""
    rng = np.random.default_rng(seed)
    count = num_questions * BEAMS
    correct = rng.random(count) < 0.5
    states = 3.0 + 2.0 * rng.normal(size=(count, 3, WIDTH))
    for place, strength in enumerate((0.3, 2.5, 0.0)):
        states[:, place, :2] += strength * correct[:, None]
    questions = np.repeat(np.arange(num_questions), BEAMS)
    likelihoods = np.log(np.tile([0.5, 0.2, 0.1], num_questions))[:, None] / [1.0, 3.0]
    groups = [f"g{i // 2}" for i in range(num_questions)]
    return LabelledStates(lambda place: states[:, place], 3, correct, likelihoods, questions, groups), states


def test_it_reads_where_most_is_known() -> None:
    answers, _ = labelled()
    found = fit_readout(answers)
    assert isinstance(found, LinearReadout)
    assert found.place == 1
    fresh, states = labelled(500, seed=9)
    held_out = roc_auc_score(fresh.correct, found.log_odds(states[:, 1], fresh.likelihoods))
    first = fresh.likeliest
    assert roc_auc_score(
        fresh.correct[first], found.log_odds(states[first, 1], fresh.likelihoods[first])
    ) == pytest.approx(found.auroc, abs=0.08)
    assert held_out > 0.85


def test_its_weights_are_those_of_a_standardised_regression() -> None:
    answers, states = labelled()
    found = fit_readout(answers)
    assert isinstance(found, LinearReadout)
    weights = answers.weights(found.weighing)
    assert np.bincount(answers.questions, weights) == pytest.approx(1.0)
    columns = np.hstack([states[:, 1], answers.likelihoods])
    standard = StandardScaler().fit_transform(columns) * [
        *[1.0] * WIDTH,
        10.0,
        10.0,
    ]  # likelihoods are hardly held back
    model = LogisticRegression(C=found.strength, max_iter=5000, tol=1e-8)
    model.fit(standard, answers.correct, sample_weight=weights)
    expected = model.decision_function(standard)
    assert found.log_odds(states[:, 1], answers.likelihoods) == pytest.approx(expected, abs=0.05)


def test_beams_weigh_by_their_probability() -> None:
    answers, _ = labelled(2)
    assert answers.weights(Weighing.BY_PROBABILITY) == pytest.approx([0.625, 0.25, 0.125] * 2)
    assert answers.weights(Weighing.ALIKE) == pytest.approx([1 / 3] * 6)
    assert answers.weights(Weighing.LIKELIEST) == pytest.approx([1.0, 0.0, 0.0] * 2)
    assert answers.likeliest.tolist() == [0, 3]
    # A long answer has a probability that float64 does not know.
    long = replace(answers, likelihoods=answers.likelihoods - 5000.0)
    assert long.weights(Weighing.BY_PROBABILITY) == pytest.approx([0.625, 0.25, 0.125] * 2)


def test_what_cannot_be_learned_is_said() -> None:
    answers, states = labelled(10)
    few = fit_readout(answers)
    assert isinstance(few, Infeasible)
    assert "it takes 20 questions" in few.reason
    answers, _ = labelled(40)
    one_group = fit_readout(replace(answers, groups=["g"] * 40))
    assert isinstance(one_group, Infeasible)
    assert "1 groups" in one_group.reason
    answers, states = labelled(40)
    states[5, 0, 0] = np.nan
    with pytest.raises(DataError, match="not finite"):
        fit_readout(answers)


def test_it_is_stored_and_read(tmp_path) -> None:
    readout = LinearReadout(3, np.arange(4, dtype=np.float32), (0.5, -1.0), 0.5, 0.8, 1e-3, Weighing.ALIKE)
    STATES.write(tmp_path, StatesReadout(readout, "last", 7))
    again = STATES.read(tmp_path)
    assert isinstance(again, StatesReadout)
    assert (again.position, again.layer, again.readout.place, again.readout.bias) == ("last", 7, 3, 0.5)
    assert again.readout.weights.tolist() == readout.weights.tolist()
    STATES.write(tmp_path, Infeasible("too few"))
    assert STATES.read(tmp_path) == Infeasible("too few")


def test_it_learns_what_the_likelihood_does_not_say() -> None:
    """A state that repeats the likelihood gets no weight; one that adds to it does."""
    rng = np.random.default_rng(0)
    count = 3000
    likelihood, other = rng.normal(size=count), rng.normal(size=count)
    correct = rng.random(count) < 1 / (1 + np.exp(-2 * likelihood - 2 * other))
    states = np.stack([likelihood + 0.5 * rng.normal(size=count), other + 0.5 * rng.normal(size=count)], axis=1)
    answers = LabelledStates(
        lambda place: states,
        1,
        correct,
        np.stack([likelihood, rng.normal(size=count)], axis=1),
        np.arange(count),
        [str(i) for i in range(count)],
    )
    found = fit_readout(answers)
    assert isinstance(found, LinearReadout)
    assert abs(found.weights[0]) < 0.2 < 1.0 < found.weights[1]
    assert found.likelihood_weights[0] > 1.0
    assert abs(found.likelihood_weights[1]) < 0.2
