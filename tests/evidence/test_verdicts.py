"""Verdicts on the run's own answers are those that the run stored, and another way to learn θs gives others."""

from pathlib import Path

import pytest

from aspire_llm.records import Split
from aspire_llm.results.predictions import PREDICTIONS
from evidence.verdicts import learn, verdicts_file


def test_the_run_s_own_verdicts_are_found_again(finished: Path, tmp_path: Path) -> None:
    learn(finished, tmp_path, [])
    stored = [own.scored.evidence.log_self_eval for own in PREDICTIONS.read(finished)]
    assert verdicts_file(Split.TEST).read(tmp_path) == pytest.approx(stored, abs=1e-4)
    assert not verdicts_file(Split.VALIDATION).exists(tmp_path)  # the run made no predictions for it


def test_another_way_learns_another(finished: Path, tmp_path: Path) -> None:
    learn(finished, tmp_path, [("stage3.learn_from", "likeliest")])
    stored = [own.scored.evidence.log_self_eval for own in PREDICTIONS.read(finished)]
    assert verdicts_file(Split.TEST).read(tmp_path) != pytest.approx(stored, abs=1e-3)
