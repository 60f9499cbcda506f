"""The training loop on least squares, where every number can be followed by hand."""

import itertools
import logging
import math
from pathlib import Path

import pytest
import torch
from torch import nn

from aspire_llm.config import TrainingConfig
from aspire_llm.errors import ModelError
from aspire_llm.stages.training_loop import TrainingLoop


def quadratic(parameter: nn.Parameter):
    """(x − parameter)² of each number of a batch."""
    return lambda batch: torch.stack([(x - parameter) ** 2 for x in batch])


def loop(tmp_path: Path, parameter: nn.Parameter, log: list[dict], **settings: object) -> TrainingLoop[float]:
    config = TrainingConfig(**{"learning_rate": 0.1, "epochs": 6, "batch_size": 4, "patience": 100, **settings})
    return TrainingLoop(
        "test",
        [parameter],
        quadratic(parameter),
        lambda _: 10,
        config,
        seed=3,
        checkpoint=tmp_path / "state.checkpoint",
        log=lambda **event: log.append(event),
    )


DATA = [0.5, 1.0, 1.5, 0.8, 1.2, 1.1, 0.9, 1.3, 0.7, 1.0]


def test_it_learns_the_mean(tmp_path: Path) -> None:
    parameter = nn.Parameter(torch.tensor(0.0))
    log: list[dict] = []
    best = loop(tmp_path, parameter, log, epochs=30).fit(DATA, DATA)
    mean = sum(DATA) / len(DATA)
    assert parameter.item() == pytest.approx(mean, abs=0.05)
    variance = sum((x - mean) ** 2 for x in DATA) / len(DATA)
    assert best == pytest.approx(variance, abs=0.003)
    assert [event["epoch"] for event in log] == list(range(1, 31))


def test_a_killed_run_ends_like_an_uninterrupted_one(tmp_path: Path) -> None:
    whole = nn.Parameter(torch.tensor(0.0))
    (tmp_path / "a").mkdir()
    loop(tmp_path / "a", whole, []).fit(DATA, DATA)

    (tmp_path / "b").mkdir()
    killed = nn.Parameter(torch.tensor(0.0))
    calls = 0

    def kill_in_third_epoch(**event: object) -> None:
        nonlocal calls
        calls += 1
        if calls == 3:
            raise KeyboardInterrupt

    first = loop(tmp_path / "b", killed, [])
    first._log = kill_in_third_epoch
    with pytest.raises(KeyboardInterrupt):
        first.fit(DATA, DATA)
    resumed = nn.Parameter(torch.tensor(123.0))
    log: list[dict] = []
    second = loop(tmp_path / "b", resumed, log)
    second.fit(DATA, DATA)
    assert log[0]["epoch"] == 3, "an epoch whose line was not written is trained again"
    assert resumed.item() == whole.item()
    second.finish()
    assert list((tmp_path / "b").iterdir()) == []


def test_the_best_epoch_is_kept_and_patience_ends_training(tmp_path: Path) -> None:
    # Training pulls towards 1, validation wants 0: the loss on validation rises from the first epoch on.
    parameter = nn.Parameter(torch.tensor(0.0))
    log: list[dict] = []
    best = loop(tmp_path, parameter, log, epochs=50, patience=2).fit(DATA, [0.0])
    assert len(log) == 3
    assert best == log[0]["validation_loss"]
    assert parameter.item() ** 2 == pytest.approx(best)


def test_a_nan_loss_is_an_error(tmp_path: Path) -> None:
    trainer = loop(tmp_path, nn.Parameter(torch.tensor(0.0)), [])
    with pytest.raises(ModelError, match="not finite"):
        trainer.fit([math.nan], [0.0])
    with pytest.raises(ModelError, match="not finite"):
        trainer.fit([0.0], [math.nan])


def test_passes_within_a_budget_change_no_gradient(tmp_path: Path) -> None:
    ends = []
    for budget in (10, 30, 1000):
        parameter = nn.Parameter(torch.tensor(0.0))
        folder = tmp_path / str(budget)
        folder.mkdir()
        best = loop(folder, parameter, [], tokens_per_pass=budget).fit(DATA, DATA)
        ends.append((parameter.item(), best))
    assert ends[0] == pytest.approx(ends[2], rel=1e-5)
    assert ends[1] == pytest.approx(ends[2], rel=1e-5)


def test_what_is_kept_for_speed_is_given_back_before_passes_are_cut(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    kept, own = [1, 2, 3], loop(tmp_path, nn.Parameter(torch.tensor(0.0)), [])
    loss, sizes = own._loss, []

    def full(batch):
        sizes.append(len(batch))
        if kept:
            raise torch.OutOfMemoryError("CUDA out of memory. Tried to allocate 2.00 GiB.")
        return loss(batch)

    def give_up() -> bool:
        had = bool(kept)
        kept.clear()
        return had

    own._loss, own._give_up = full, give_up
    with caplog.at_level(logging.WARNING, logger="aspire_llm"):
        own.fit(DATA, DATA)
    assert sizes[1] == sizes[0]
    assert [record.getMessage() for record in caplog.records] == [
        f"out of memory with {sizes[0]} at once: what was kept for later epochs is given back"
    ]


def test_memory_that_runs_out_in_the_middle_of_a_batch_changes_no_gradient(tmp_path: Path) -> None:
    """Backward passes of a batch have begun when it does: what they left must not count twice."""
    ends = []
    for most in (4, 1):
        parameter = nn.Parameter(torch.tensor(0.0))
        (tmp_path / str(most)).mkdir()
        own = loop(tmp_path / str(most), parameter, [], tokens_per_pass=20, epochs=3)
        loss, calls = own._loss, itertools.count()

        def full(batch, loss=loss, most=most, calls=calls):
            if next(calls) and len(batch) > most:
                raise torch.OutOfMemoryError("CUDA out of memory. Tried to allocate 2.00 GiB.")
            return loss(batch)

        own._loss = full
        own.fit(DATA, DATA)
        ends.append(parameter.item())
    assert ends[1] == pytest.approx(ends[0], abs=1e-6)
