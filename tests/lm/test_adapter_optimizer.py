"""The optimiser's schedule by hand; the rest is seen through the training loop's tests."""

import math
from pathlib import Path

import pytest
import torch
from torch import nn

from aspire_llm.config import TrainingConfig
from aspire_llm.errors import RunDirectoryError
from aspire_llm.lm.adapter_optimizer import AdapterOptimizer


def optimizer(*parameters: nn.Parameter) -> AdapterOptimizer:
    return AdapterOptimizer(parameters, TrainingConfig(learning_rate=0.1, warmup_fraction=0.1))


def test_the_schedule_warms_up_and_ends_at_zero() -> None:
    rates = [optimizer(nn.Parameter(torch.zeros(1))).learning_rate(step, 100) for step in range(100)]
    assert rates[0] == pytest.approx(0.1 / 11)
    assert rates[10] == pytest.approx(0.1)
    assert rates[55] == pytest.approx(0.05)  # half-way down the cosine
    assert rates[99] == pytest.approx(0.1 * 0.5 * (1 + math.cos(math.pi * 89 / 90)))


def test_a_step_uses_the_schedule() -> None:
    parameter = nn.Parameter(torch.zeros(1))
    own = optimizer(parameter)
    parameter.grad = torch.ones(1)
    own.step(0, 100)
    # AdamW's first step is the learning rate, here the first of the warm-up, times the sign of the gradient.
    assert parameter.item() == pytest.approx(-0.1 / 11)
    assert parameter.grad is None


def test_another_adapter_s_checkpoint_is_refused(tmp_path: Path) -> None:
    one, two = nn.Parameter(torch.zeros(1)), nn.Parameter(torch.zeros(1))
    optimizer(one).save(tmp_path / "state", {"epoch": 1})
    with pytest.raises(RunDirectoryError, match="belongs to another adapter"):
        optimizer(one, two).load(tmp_path / "state")


def test_what_has_had_no_gradient_goes_on_without_one(tmp_path: Path) -> None:
    used, idle = nn.Parameter(torch.zeros(1)), nn.Parameter(torch.ones(1))
    own = optimizer(used, idle)
    used.grad = torch.ones(1)
    own.step(0, 100)
    own.save(tmp_path / "state", {"epoch": 1})
    other = nn.Parameter(torch.zeros(1)), nn.Parameter(torch.zeros(1))
    again = optimizer(*other)
    assert again.load(tmp_path / "state") == {"epoch": 1}
    for parameters, its in (((used, idle), own), (other, again)):
        for parameter in parameters:
            parameter.grad = torch.ones(1)
        its.step(1, 100)
    assert [parameter.item() for parameter in other] == [used.item(), idle.item()]
