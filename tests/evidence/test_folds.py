"""The arms differ in what is learned from which samples, and in nothing else."""

from pathlib import Path

import pytest

from aspire_llm.results.samples import SAMPLES
from evidence.folds import ARMS, folder_of, make, table

SMALL = [
    *((f"data.splits.{split}", size) for split, size in (("train", 40), ("validation", 30), ("test", 40))),
    *((f"stage{number}.epochs", 1) for number in (1, 3)),
    ("data.splits.calibration", 20),
    ("stage2.num_beams", 4),
]


@pytest.mark.slow
def test_arms_are_run_and_held_against_each_other(tmp_path: Path) -> None:
    for arm in ARMS:
        make(tmp_path, "world", 0, arm, SMALL, None)
    _, _, folds, behind = (folder_of(tmp_path, "world", arm, 0) for arm in ARMS)
    assert list(SAMPLES.read(folds)) == list(SAMPLES.read(behind))
    adapters = [own / "self_eval_adapter" / "adapter_model.safetensors" for own in (folds, behind)]
    assert adapters[0].read_bytes() != adapters[1].read_bytes()
    lines = table(tmp_path, "world").splitlines()
    assert len(lines) == 2 * len(ARMS)
    assert "+0.0 (+0.0 to +0.0)" in lines[0]
