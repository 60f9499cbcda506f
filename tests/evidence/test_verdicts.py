"""Verdicts on the run's own answers are those that the run stored, and other ways to learn θs give others."""

import shutil
from dataclasses import replace
from pathlib import Path

import pytest
import torch
from reference import adapted, prompts_of

from aspire_llm.lm.model import Backbone
from aspire_llm.records import Split
from aspire_llm.results.predictions import PREDICTIONS
from aspire_llm.results.samples import SAMPLES
from evidence.verdicts import learn, verdicts_file
from evidence.ways import WAYS, read_at


def test_the_run_s_own_verdicts_are_found_again(finished: Path, tmp_path: Path) -> None:
    learn(finished, tmp_path, "the run's")
    stored = [own.scored.evidence.log_self_eval for own in PREDICTIONS.read(finished)]
    assert verdicts_file(Split.TEST).read(tmp_path) == pytest.approx(stored, abs=1e-4)
    assert not verdicts_file(Split.VALIDATION).exists(tmp_path)  # the run made no predictions for it


def test_a_part_of_the_depth_reads_prompts_that_begin_alike_as_each_alone(backbone: Backbone) -> None:
    model, prompts = adapted(backbone), prompts_of(backbone, ["where was it?", "where was he?"], "a long passage " * 30)
    answers = [[(5, 6), (7,)], [(8,), (9, 5)]]

    @torch.no_grad()
    def judged(places: list[int]) -> torch.Tensor:
        read = model.read_answers([prompts[place] for place in places], [answers[place] for place in places])
        return model.verdict_logits(*read)

    whole = judged([0, 1])
    with read_at(backbone, 0.5):
        together = judged([0, 1])
        alone = torch.cat([judged([0]), judged([1])])
    torch.testing.assert_close(together, alone, atol=1e-4, rtol=0)
    assert not torch.allclose(together, whole, atol=1e-3)
    torch.testing.assert_close(judged([0, 1]), whole, atol=1e-5, rtol=0)


@pytest.mark.slow
def test_other_ways_learn_others(finished: Path, tmp_path: Path) -> None:
    shutil.copytree(finished, tmp_path / "run")
    samples = [  # of so small a run, all may be wrong
        replace(own, answers=(replace(own.answers[0], correct=i % 2 == 0), *own.answers[1:]))
        for i, own in enumerate(SAMPLES.read(finished))
    ]
    SAMPLES.write(tmp_path / "run", samples)
    found = [[own.scored.evidence.log_self_eval for own in PREDICTIONS.read(finished)]]
    for name in WAYS.keys() - {"the run's", "four wrong samples"}:  # so small a run has no more than four wrong ones
        learn(tmp_path / "run", tmp_path / name, name)
        found.append(verdicts_file(Split.TEST).read(tmp_path / name))
        assert all(found[-1] != pytest.approx(other, abs=1e-3) for other in found[:-1])
