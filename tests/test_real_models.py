"""Small pretrained models and data sets that nobody here wrote, from end to end."""

import json
from pathlib import Path

import pytest
from conftest import SHARED

from aspire_llm.cli import main

SMALL = ["--set", "stage1.epochs=1", "--set", "stage3.epochs=1", "--set", "stage3.num_soft_tokens=5"]


@pytest.mark.slow
@pytest.mark.parametrize("model", ["stories260K", "bitllama_3M"])
@pytest.mark.parametrize(
    "data", ["triviaqa_dev.tsv", "squad_dev_v1.1.json", "squad_dev_v2.0.json", "nq_open_dev.jsonl"]
)
def test_a_run_completes(model: str, data: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    if not (SHARED / "models" / model).is_dir() or not (SHARED / "data" / data).is_file():
        pytest.skip(f"{SHARED} holds no {model} or no {data}")
    output = tmp_path / "run"
    limit = ["--set", "data.limit=400", "--set", "data.splits={train: 40, validation: 8, calibration: 20, test: 30}"]
    arguments = ["--model", str(SHARED / "models" / model), "--data", str(SHARED / "data" / data)]
    assert main(["run", *arguments, *limit, *SMALL, "--output", str(output)]) == 0
    assert "ASPIRE" in capsys.readouterr().out
    metrics = json.loads((output / "metrics.json").read_text(encoding="utf-8"))
    assert metrics["n"] == 30
    assert 0 <= metrics["accuracy"] < 0.9
