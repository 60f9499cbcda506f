"""Everything a user can get wrong: one clear line, exit code 2, no traceback."""

import json
from pathlib import Path

import pytest
from conftest import tiny_model
from transformers import PreTrainedTokenizerFast

from aspire_llm.cli import main
from aspire_llm.lm.model import Backbone
from aspire_llm.lm.tokenization import Encoder

GOOD_ROWS = [{"id": str(i), "question": f"Who built piano {i}?", "answer": "Ada"} for i in range(8)]
SMALL = ["--set", "data.splits={train: 2, validation: 2, calibration: 2, test: 2}"]


def write_rows(path: Path, rows: list[dict]) -> str:
    path.write_text("".join(json.dumps(row) + "\n" for row in rows), encoding="utf-8")
    return str(path)


def fails_with(capsys: pytest.CaptureFixture[str], arguments: list[str], *parts: str) -> None:
    """The command prints one line with all the parts on the error stream, and exits with 2."""
    assert main(arguments) == 2
    error = capsys.readouterr().err
    assert error.startswith("aspire-llm: ")
    assert error.count("\n") == 1, error
    for part in parts:
        assert part in error


def test_missing_data_file(capsys, tmp_path: Path) -> None:
    missing = str(tmp_path / "none.jsonl")
    fails_with(capsys, ["data", "check", missing], missing)
    fails_with(capsys, ["run", "--data", missing, "--output", str(tmp_path / "r")], "none.jsonl")


def test_wrong_json(capsys, tmp_path: Path, model_folder: Path) -> None:
    path = tmp_path / "broken.jsonl"
    path.write_text('{"question": "Who?", "answer": "Ada"}\n{"question": \n', encoding="utf-8")
    output = tmp_path / "r"
    fails_with(
        capsys, ["run", "--model", str(model_folder), "--data", str(path), "--output", str(output)], "row 2", "JSON"
    )


@pytest.mark.parametrize(
    ("change", "expected"), [({"answer": ""}, "answer"), ({"id": "0"}, "'0'"), ({"question": " "}, "question")]
)
def test_bad_rows(capsys, tmp_path: Path, model_folder: Path, change: dict, expected: str) -> None:
    data = write_rows(tmp_path / "d.jsonl", [*GOOD_ROWS, {"id": "9", "question": "Who?", "answer": "Ada"} | change])
    arguments = ["run", "--model", str(model_folder), "--data", data, "--output", str(tmp_path / "r")]
    fails_with(capsys, arguments, "d.jsonl", "row 9", expected)


def test_check_prints_every_problem(capsys, tmp_path: Path) -> None:
    rows = [*GOOD_ROWS, {"id": "0", "question": "Who?", "answer": "A"}, {"id": "8", "question": "", "answer": "A"}]
    assert main(["data", "check", write_rows(tmp_path / "d.jsonl", rows)]) == 2
    captured = capsys.readouterr()
    assert "row 9" in captured.out
    assert "row 10" in captured.out
    assert "2 problems" in captured.err
    assert main(["data", "check", write_rows(tmp_path / "d.jsonl", GOOD_ROWS)]) == 0
    assert "8 questions" in capsys.readouterr().out


def test_a_prompt_longer_than_the_window(capsys, tmp_path: Path, model_folder: Path) -> None:
    rows = [*GOOD_ROWS[:7], {"id": "long", "question": "Who? " * 200, "answer": "Ada"}]
    arguments = ["run", "--model", str(model_folder), "--data", write_rows(tmp_path / "d.jsonl", rows)]
    fails_with(capsys, [*arguments, *SMALL, "--output", str(tmp_path / "r")], "'long'", "window of 256")


def test_verdict_words_that_share_their_first_token(capsys, tmp_path: Path, model_folder: Path) -> None:
    arguments = ["run", "--model", str(model_folder), "--data", write_rows(tmp_path / "d.jsonl", GOOD_ROWS), *SMALL]
    words = ["--set", "stage3.verdict_words=[xylem, xenon]", "--output", str(tmp_path / "r")]
    fails_with(capsys, [*arguments, *words], "'xylem' and 'xenon' share their first token", "stage3.verdict_words")


def test_a_split_that_is_too_small(capsys, tmp_path: Path, model_folder: Path) -> None:
    arguments = ["run", "--model", str(model_folder), "--data", write_rows(tmp_path / "d.jsonl", GOOD_ROWS)]
    fails_with(
        capsys,
        [*arguments, "--set", "data.splits.train=9", "--output", str(tmp_path / "r")],
        "8 questions leave none for validation",
    )


def test_unknown_config_key(capsys, tmp_path: Path) -> None:
    fails_with(capsys, ["run", "--set", "stage1.epoch=3"], "'stage1.epoch'", "'stage1.epochs'")
    path = tmp_path / "c.yaml"
    path.write_text("stage2: {num_beam: 3}\n", encoding="utf-8")
    fails_with(capsys, ["run", str(path)], "'stage2.num_beam'", "'stage2.num_beams'")
    fails_with(capsys, ["run", str(tmp_path / "none.yaml")], "none.yaml")


def test_a_run_directory_of_another_config(capsys, tmp_path: Path) -> None:
    run = tmp_path / "r"
    run.mkdir()
    (run / ".aspire-run").touch()
    (run / "config.yaml").write_text("seed: 4\n", encoding="utf-8")
    fails_with(capsys, ["run", "--seed", "5", "--set", "stage1.epochs=2", "--output", str(run)], "seed", "--fresh")
    assert (run / "config.yaml").read_text(encoding="utf-8") == "seed: 4\n"


def test_a_folder_that_is_no_run(capsys, tmp_path: Path) -> None:
    fails_with(capsys, ["report", str(tmp_path)], str(tmp_path))
    fails_with(capsys, ["ask", str(tmp_path), "Who?"], "no run here")
    (tmp_path / "thesis.txt").write_text("precious", encoding="utf-8")
    fails_with(capsys, ["run", "--output", str(tmp_path), "--fresh"], "holds no run")
    assert (tmp_path / "thesis.txt").read_text(encoding="utf-8") == "precious"


def test_no_model_there(capsys, tmp_path: Path) -> None:
    data = write_rows(tmp_path / "d.jsonl", GOOD_ROWS)
    arguments = ["run", "--model", str(tmp_path), "--data", data, *SMALL, "--output", str(tmp_path / "r")]
    fails_with(capsys, arguments, "no config.json")


def test_bad_usage(capsys) -> None:
    fails_with(capsys, ["run", "--sed", "4"], "--sed")
    fails_with(capsys, ["nonsense"], "nonsense")
    fails_with(capsys, ["run", "--set", "stage1.epochs"], "key.path=value")


def test_nothing_is_written_where_the_input_is_bad(capsys, tmp_path: Path, model_folder: Path) -> None:
    data = write_rows(tmp_path / "d.jsonl", [{"question": "Who?", "answer": ""}])
    main(["run", "--model", str(model_folder), "--data", data, "--output", str(tmp_path / "r")])
    capsys.readouterr()
    assert not (tmp_path / "r").exists()


def test_long_contexts_are_cut_to_the_window(tokenizer: PreTrainedTokenizerFast) -> None:
    from aspire_llm.records import Question

    backbone = Backbone(tiny_model("llama", len(tokenizer)), tokenizer)
    encoder = Encoder(backbone, max_answer_tokens=30, soft_tokens=20)
    question = Question("q", "Who built it?", context="The piano was built by Ada. " * 100)
    prompt = encoder.prompt(question)
    assert prompt.is_cut
    assert 256 - 30 - 20 - 8 < len(prompt.token_ids) <= 256 - 30 - 20
    assert question.context.startswith(prompt.shown.context)
    assert prompt.text.endswith("\n\nQ: Who built it?\nA:")
    assert not encoder.prompt(Question("q", "Who?", context="Ada built it.")).is_cut
