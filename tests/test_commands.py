"""The commands on a finished run, called as a user calls them."""

import json
import shutil
from pathlib import Path

import pytest
from stored import given

import aspire_llm
from aspire_llm.cli import main
from aspire_llm.records import Question
from aspire_llm.results.identity import digest_of_run

SETTINGS = [
    "data.splits={train: 40, validation: 10, calibration: 30, test: 30}",
    "stage1.num_soft_tokens=4",
    "stage1.learning_rate=0.03",
    "stage1.epochs=2",
    "stage2={num_beams: 3, max_new_tokens: 6, batch_size: 4}",
    "stage3.num_soft_tokens=4",
    "stage3.epochs=1",
]


@pytest.fixture(scope="module")
def finished(model_folder: Path, data_file: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("runs") / "run"
    arguments = ["run", "--model", str(model_folder), "--data", str(data_file), "--output", str(folder)]
    for setting in SETTINGS:
        arguments += ["--set", setting]
    assert main(arguments) == 0
    return folder


def lines(path: Path) -> list[dict]:
    return [json.loads(line) for line in path.read_text(encoding="utf-8").splitlines()]


def evaluation(run: Path, name: str) -> Path:
    """The one folder of results on data of this name."""
    (folder,) = (run / "evaluations").glob(f"{name}-*")
    return folder


def test_run_prints_the_table_and_the_report(finished: Path, model_folder: Path, data_file: Path, capsys) -> None:
    arguments = ["run", "--model", str(model_folder), "--data", str(data_file), "--output", str(finished)]
    for setting in SETTINGS:
        arguments += ["--set", setting]
    assert main(arguments) == 0
    output = capsys.readouterr().out
    assert "ASPIRE" in output
    assert output.rstrip().endswith(str(finished / "report.html"))


def test_predict_leaves_hidden_files_of_a_folder_alone(finished: Path, tmp_path: Path) -> None:
    folder, output = tmp_path / "asked", tmp_path / "out.jsonl"
    folder.mkdir()
    (folder / "dev.jsonl").write_text(json.dumps({"question": "Where was piano 3 built?"}))
    (folder / "._dev.jsonl").write_bytes(b"\x00\x05\x16\x07\x00\x02")
    (folder / ".dev.csv").write_text("not data")
    assert main(["predict", str(finished), "--input", str(folder), "--output", str(output)]) == 0
    assert [line["question"] for line in lines(output)] == ["Where was piano 3 built?"]


def test_predict_answers_a_file_in_its_order(finished: Path, tmp_path: Path, capsys) -> None:
    source, output = tmp_path / "in.jsonl", tmp_path / "out.jsonl"
    questions = [f"Where was the {'very ' * (7 - i % 5)}old piano {i} built?" for i in range(21)]
    source.write_text("".join(json.dumps({"question": q}) + "\n" for q in questions), encoding="utf-8")
    assert main(["predict", str(finished), "--input", str(source), "--output", str(output)]) == 0
    assert [line["question"] for line in lines(output)] == questions
    assert "of 21 questions answered" in capsys.readouterr().out
    whole = output.read_bytes()
    # Killed half-way, with half a line: the same command ends with the same file.
    part = tmp_path / f"out.jsonl.{digest_of_run(finished)[:8]}.part"
    part.write_bytes(whole[: len(whole) * 9 // 10])
    output.unlink()
    assert main(["predict", str(finished), "--input", str(source), "--output", str(output)]) == 0
    assert output.read_bytes() == whole
    # A part of other questions is not taken for ours.
    part.write_bytes(whole.replace(b"piano 0", b"organ 0"))
    assert main(["predict", str(finished), "--input", str(source), "--output", str(output)]) == 0
    assert output.read_bytes() == whole
    assert not part.exists()


@pytest.mark.parametrize("name", ["calibration.json", "few_shot.json"])
def test_a_part_of_another_run_is_not_taken_for_ours(finished: Path, tmp_path: Path, name: str) -> None:
    other = tmp_path / "other"
    shutil.copytree(finished, other)
    assert digest_of_run(other) == digest_of_run(finished)
    with (other / name).open("a", encoding="utf-8") as file:
        file.write(" ")
    assert digest_of_run(other) != digest_of_run(finished)


@pytest.mark.parametrize("data", ["..", ".", "/"])
def test_no_name_of_data_reaches_beyond_the_evaluations(finished: Path, data: str, capsys, monkeypatch) -> None:
    questions = [Question("0", "Where?", ("Paris",))]
    monkeypatch.setattr("aspire_llm.commands.load_marked", lambda _source: (questions, {}))
    monkeypatch.chdir(finished / "task_adapter")
    before = {path for path in finished.rglob("*") if "evaluations" not in path.parts}
    for _ in range(2):
        main(["evaluate", str(finished), "--data", data])
    assert {path for path in finished.rglob("*") if "evaluations" not in path.parts} == before
    assert "Traceback" not in capsys.readouterr().err


def test_corrected_references_are_counted(finished: Path, tmp_path: Path) -> None:
    path = tmp_path / "corrected.jsonl"
    rows = [{"id": str(i), "question": f"Where was piano {i} built?", "answers": ["nowhere"]} for i in range(4)]

    def evaluated() -> float:
        path.write_text("".join(json.dumps(row) + "\n" for row in rows), encoding="utf-8")
        assert main(["evaluate", str(finished), "--data", str(path)]) == 0
        metrics = json.loads((evaluation(finished, "corrected") / "metrics.json").read_text(encoding="utf-8"))
        return metrics["accuracy"]

    assert evaluated() == 0
    answered = lines(evaluation(finished, "corrected") / "predictions.jsonl")
    for row, line in zip(rows, answered, strict=True):
        row["answers"] = [given(line)]
    assert evaluated() == 1


def test_predict_keeps_its_input(finished: Path, data_file: Path, capsys) -> None:
    before = data_file.read_bytes()
    assert main(["predict", str(finished), "--input", str(data_file), "--output", str(data_file)]) == 2
    assert "is the input" in capsys.readouterr().err
    assert data_file.read_bytes() == before


def test_ask(finished: Path, tmp_path: Path, capsys) -> None:
    passage = tmp_path / "passage.txt"
    passage.write_text("The piano was built in Paris.", encoding="utf-8")
    assert main(["ask", str(finished), "Where was it built?", "--context", f"@{passage}"]) == 0
    from_file = capsys.readouterr()
    assert main(["ask", str(finished), "Where was it built?", "--context", passage.read_text(encoding="utf-8")]) == 0
    assert capsys.readouterr() == from_file
    assert from_file.out.strip()
    assert "score" in from_file.err
    assert main(["ask", str(finished), "Where?", "--context", f"@{tmp_path}/none.txt"]) == 2


def test_ask_abstains_below_the_threshold(finished: Path, tmp_path: Path, capsys) -> None:
    strict = tmp_path / "strict"
    shutil.copytree(finished, strict)
    (strict / "calibration.json").write_text(
        json.dumps({"method": "platt", "num_items": 30, "slope": 0.0, "intercept": -3.0}), encoding="utf-8"
    )
    assert main(["ask", str(strict), "Where was piano 3 built?"]) == 0
    captured = capsys.readouterr()
    assert captured.out.strip() == "I don't know"
    assert "confidence 0.05 is below 0.50" in captured.err  # 1 / (1 + e³) = 0.047


def test_evaluate_again_and_on_other_data(finished: Path, data_file: Path, capsys) -> None:
    before = (finished / "metrics.json").read_bytes()
    assert main(["evaluate", str(finished)]) == 0
    assert (finished / "metrics.json").read_bytes() == before
    assert main(["evaluate", str(finished), "--data", str(data_file), "--methods", "perplexity"]) == 0
    metrics = json.loads((evaluation(finished, "questions") / "metrics.json").read_text(encoding="utf-8"))
    assert metrics["n"] == 120
    assert set(metrics["methods"]) == {"aspire", "perplexity"}
    assert (finished / "metrics.json").read_bytes() == before
    capsys.readouterr()
    assert main(["evaluate", str(finished), "--methods", "perplexty"]) == 2
    assert "unknown method 'perplexty'" in capsys.readouterr().err


def test_other_questions_of_the_same_name_are_answered_anew(finished: Path, data_file: Path, tmp_path: Path) -> None:
    lines = data_file.read_text(encoding="utf-8").splitlines()
    (tmp_path / "a").mkdir()
    path = tmp_path / "a" / "again.jsonl"
    path.write_text("\n".join(lines[:10]), encoding="utf-8")
    methods = ["--methods", "predictive_entropy"]
    assert main(["evaluate", str(finished), "--data", str(path), *methods]) == 0
    results = evaluation(finished, "again")
    first = [json.loads(line)["id"] for line in (results / "rival_samples.jsonl").read_text().splitlines()]
    path.write_text("\n".join(lines[10:20]), encoding="utf-8")
    assert main(["evaluate", str(finished), "--data", str(path), *methods]) == 0
    second = [json.loads(line)["id"] for line in (results / "rival_samples.jsonl").read_text().splitlines()]
    assert (first, second) == ([f"q{i}" for i in range(10)], [f"q{i}" for i in range(10, 20)])
    assert json.loads((results / "scores" / "aspire.json").read_text())["ids"] == second


def test_what_the_data_say_of_a_question_now_is_kept(finished: Path, tmp_path: Path) -> None:
    path = tmp_path / "topics.jsonl"
    for topic in ("old", "new"):
        rows = [{"question": f"Where was piano {i} built?", "answer": "Paris", "topic": topic} for i in range(4)]
        path.write_text("".join(json.dumps(row) + "\n" for row in rows), encoding="utf-8")
        assert main(["evaluate", str(finished), "--data", str(path)]) == 0
        stored = lines(evaluation(finished, "topics") / "predictions.jsonl")
        assert [own["metadata"] for own in stored] == [{"topic": topic}] * 4


def test_files_of_one_name_in_two_places_are_two_data_sets(finished: Path, data_file: Path, tmp_path: Path) -> None:
    rows = data_file.read_text(encoding="utf-8").splitlines()
    paths = [tmp_path / folder / "dev.jsonl" for folder in ("a", "b")]
    for path, own in zip(paths, (rows[:6], rows[6:12]), strict=True):
        path.parent.mkdir()
        path.write_text("\n".join(own), encoding="utf-8")
        assert main(["evaluate", str(finished), "--data", str(path)]) == 0
    first, second = sorted((finished / "evaluations").glob("dev-*"), key=lambda folder: folder.stat().st_mtime)
    asked = [[line["id"] for line in lines(folder / "predictions.jsonl")] for folder in (first, second)]
    assert asked == [[f"q{i}" for i in range(6)], [f"q{i}" for i in range(6, 12)]]
    # The same place is the same data set, however it is reached; so is a folder beside another of its name.
    (tmp_path / "link").symlink_to(tmp_path / "a")
    assert main(["evaluate", str(finished), "--data", str(tmp_path / "link" / "dev.jsonl")]) == 0
    for folder in ("a", "b"):
        (tmp_path / folder / "dev").mkdir()
        shutil.copyfile(tmp_path / folder / "dev.jsonl", tmp_path / folder / "dev" / "x.jsonl")
        assert main(["evaluate", str(finished), "--data", str(tmp_path / folder / "dev")]) == 0
    assert len(list((finished / "evaluations").glob("dev-*"))) == 4


def test_report_again(finished: Path, capsys) -> None:
    before = (finished / "report.html").read_bytes()
    (finished / "report.html").unlink()
    assert main(["report", str(finished)]) == 0
    assert capsys.readouterr().out.strip() == str(finished / "report.html")
    assert (finished / "report.html").read_bytes() == before


def test_the_public_names() -> None:
    assert sorted(aspire_llm.__all__) == [
        "AspireError",
        "Cascade",
        "Prediction",
        "Question",
        "RunConfig",
        "SelectivePredictor",
        "load_questions",
        "run",
    ]
    for name in aspire_llm.__all__:
        assert getattr(aspire_llm, name).__module__.startswith("aspire_llm")
    with pytest.raises(AttributeError, match="no attribute 'nonsense'"):
        _ = aspire_llm.nonsense
