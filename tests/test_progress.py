"""What is said of work that takes long, where there is no terminal."""

import pytest

from aspire_llm import progress as module
from aspire_llm.progress import progress


def test_lines_say_the_pace_and_the_time_left(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    now = 1000.0
    monkeypatch.setattr(module.time, "monotonic", lambda: now)
    with progress("prediction", 1000, done=400, unit="questions") as bar:
        now += 10
        bar.update(20)  # too soon to be said
        now += 10
        bar.update(20, "well")  # 40 of this command's questions in 20 s; those of an earlier one do not count
        now += 280
        bar.update(560)
    with progress("stage 1", 4) as bar:
        now += 20
        bar.update(2, "loss 1")
    assert capsys.readouterr().err.splitlines() == [
        "prediction: 440/1000, 2 questions/s, 0:04:40 left well",
        "prediction: done (1000) in 300.0 s",
        "stage 1: 2/4 loss 1",
        "stage 1: done (4) in 20.0 s",
    ]
