"""Folds and held-out questions: whole groups, about the sizes asked for, the same for the same seed."""

import pytest

from aspire_llm.config import SamplingConfig
from aspire_llm.data.cross_fitting import cross_fit
from aspire_llm.errors import DataError
from aspire_llm.records import Question

QUESTIONS = [Question(f"q{i}", "?", group=f"g{i * i % 23}") for i in range(120)]


def groups(questions) -> set[str]:
    return {question.group for question in questions}


def test_one_fold_is_the_paper_s() -> None:
    found = cross_fit(QUESTIONS, SamplingConfig(), seed=0)
    assert found.tuned == found.sampled == tuple(QUESTIONS)
    assert found.num_folds == 0


@pytest.mark.parametrize("folds", [2, 3])
def test_folds(folds: int) -> None:
    found = cross_fit(QUESTIONS, SamplingConfig(folds=folds), seed=1)
    assert found.tuned == found.sampled == tuple(QUESTIONS)
    assert found.num_folds == folds
    for fold in range(folds):
        own = [question for question in QUESTIONS if found.folds[question.id] == fold]
        others = found.tuned_for(fold)
        assert len(own) + len(others) == 120
        assert not groups(own) & groups(others)
        assert len(own) == pytest.approx(120 / folds, abs=12)
    assert found == cross_fit(QUESTIONS, SamplingConfig(folds=folds), seed=1)
    assert found != cross_fit(QUESTIONS, SamplingConfig(folds=folds), seed=2)


def test_held_out_questions() -> None:
    found = cross_fit(QUESTIONS, SamplingConfig(held_out=0.25), seed=0)
    assert not groups(found.tuned) & groups(found.sampled)
    assert len(found.tuned) + len(found.sampled) == 120
    assert len(found.sampled) == pytest.approx(30, abs=12)
    assert found.num_folds == 0


def test_too_few_groups_are_refused() -> None:
    with pytest.raises(DataError, match=r"stand in 1 groups.*2 parts"):
        cross_fit([Question(str(i), "?", group="g") for i in range(9)], SamplingConfig(folds=2), seed=0)
    with pytest.raises(DataError, match=r"stand in 12 groups.*2147483647 parts"):
        cross_fit(QUESTIONS, SamplingConfig(folds=2**31 - 1), seed=0)


def test_folds_and_held_out_questions_exclude_each_other() -> None:
    with pytest.raises(ValueError, match="both set"):
        SamplingConfig(folds=2, held_out=0.5)
