"""What `ask`, `predict`, `evaluate` and the predictor say, and what they keep to themselves."""

import json
import os
import re
import shutil
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import pytest

from aspire_llm import Question, SelectivePredictor
from aspire_llm.cli import main
from aspire_llm.errors import DataError, ModelError
from aspire_llm.lm.adapted_model import AdaptedModel
from aspire_llm.results.novelty import NOVELTY
from aspire_llm.selection import NoveltyGuard

SETTINGS = [
    "data.splits={train: 10, validation: 4, calibration: 100, test: 6}",
    "stage1.num_soft_tokens=4",
    "stage1.epochs=1",
    "stage2={num_beams: 2, max_new_tokens: 4, batch_size: 8}",
    "stage3.num_soft_tokens=4",
    "stage3.epochs=1",
]
PLATT = {"method": "platt", "num_items": 30, "slope": 0.0}
SURE, UNSURE = PLATT | {"intercept": 3.0}, PLATT | {"intercept": -3.0}
NO_CALIBRATION = {"method": None, "reason": "5 calibration answers; it takes at least 20"}
WORD = "Where was the old piano built? "


@pytest.fixture(scope="module")
def finished(model_folder: Path, data_file: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("runs") / "run"
    arguments = ["run", "--model", str(model_folder), "--data", str(data_file), "--output", str(folder)]
    for setting in SETTINGS:
        arguments += ["--set", setting]
    assert main(arguments) == 0
    return folder


@pytest.fixture
def calibrated(finished: Path, tmp_path: Path) -> Callable[..., Path]:
    """The run with another calibration, and with other settings of the score."""

    def changed(calibration: dict, **score: float) -> Path:
        folder = tmp_path / "calibrated"
        shutil.rmtree(folder, ignore_errors=True)
        shutil.copytree(finished, folder)
        (folder / "calibration.json").write_text(json.dumps(calibration), encoding="utf-8")
        config = (folder / "config.yaml").read_text(encoding="utf-8")
        for key, value in score.items():
            config = re.sub(rf"{key}: [0-9.]+", f"{key}: {value}", config)
        (folder / "config.yaml").write_text(config, encoding="utf-8")
        return folder

    return changed


def lines(path: Path) -> list[dict]:
    return [json.loads(line) for line in path.read_text(encoding="utf-8").splitlines()]


def predicted(run: Path, rows: list[dict], tmp_path: Path) -> list[dict]:
    source, output = tmp_path / "in.jsonl", tmp_path / "out.jsonl"
    source.write_text("".join(json.dumps(row) + "\n" for row in rows), encoding="utf-8")
    assert main(["predict", str(run), "--input", str(source), "--output", str(output)]) == 0
    return lines(output)


def test_an_answer_that_is_withheld_is_not_the_answer(calibrated: Callable, tmp_path: Path, capsys) -> None:
    rows = [{"question": f"Where was piano {i} built?"} for i in range(3)]
    given = predicted(calibrated(SURE, novelty_level=0), rows, tmp_path)
    assert "3 of 3 questions answered" in capsys.readouterr().out
    withheld = predicted(calibrated(UNSURE, novelty_level=0), rows, tmp_path)
    assert "0 of 3 questions answered" in capsys.readouterr().out
    for one, other in zip(given, withheld, strict=True):
        assert one.keys() == other.keys()
        assert (one["answer"], one["withheld_answer"]) == (other["withheld_answer"], other["answer"])
        assert one["answer"] is not None
        assert (one["withheld_answer"], one["abstained"], other["abstained"]) == (None, False, True)


def test_neither_a_run_nor_an_evaluation_shows_what_is_withheld(
    calibrated: Callable, data_file: Path, finished: Path
) -> None:
    run = calibrated(UNSURE)
    assert main(["evaluate", str(run), "--data", str(data_file)]) == 0
    for folder in (finished, next((run / "evaluations").glob(f"{data_file.stem}-*"))):
        for line in lines(folder / "predictions.jsonl"):
            assert line["abstained"]
            assert line["answer"] is None
            assert line["withheld_answer"] is not None
    for line in lines(finished / "calibration_predictions.jsonl"):  # nothing is withheld before there is a calibration
        assert line["answer"] is not None
        assert not line["abstained"]


def test_no_calibration_is_said_and_vouches_for_nothing(calibrated: Callable, tmp_path: Path, capsys) -> None:
    run = calibrated(NO_CALIBRATION, novelty_level=0)
    warning = "warning: no calibration (5 calibration answers; it takes at least 20): nothing can be vouched for"
    assert main(["ask", str(run), "Where was piano 3 built?"]) == 0
    captured = capsys.readouterr()
    assert warning in captured.err
    assert captured.out.strip() != "I don't know"
    (line,) = predicted(run, [{"question": "Where?"}], tmp_path)
    assert warning in capsys.readouterr().err
    assert (line["confidence"], line["abstained"]) == (None, False)
    assert warning.removeprefix("warning: ") in SelectivePredictor.load(run).caveats[0]


def test_where_every_calibration_answer_is_wrong_everything_is_withheld(
    finished: Path, calibrated: Callable, tmp_path: Path, capsys
) -> None:
    """As in this run: its model is not trained."""
    stored = json.loads((finished / "calibration.json").read_text(encoding="utf-8"))
    assert stored == {"method": "uniform", "num_items": 100, "right": False, "guarantees": [], "source": None}
    metrics = json.loads((finished / "metrics.json").read_text(encoding="utf-8"))
    assert metrics["answered"] == {"share": 0.0, "accuracy": None}
    assert "All 100 calibration answers are wrong: every answer is withheld." in metrics["notes"]
    run = calibrated(stored, abstain_below=0.0)
    (line,) = predicted(run, [{"question": "Where?"}], tmp_path)
    captured = capsys.readouterr()
    assert "0 of 1 questions answered" in captured.out
    assert "warning: all 100 calibration answers are wrong: every answer is withheld" in captured.err
    assert line["abstained"]
    assert "all 100 calibration answers are wrong" in line["why"]
    assert main(["ask", str(run), "Where?"]) == 0
    assert capsys.readouterr().out.strip() == "I don't know"


def test_right_answers_alone_vouch_for_the_next(calibrated: Callable, tmp_path: Path) -> None:
    right = {"method": "uniform", "num_items": 30, "right": True}
    (line,) = predicted(calibrated(right, novelty_level=0), [{"question": "Where?"}], tmp_path)
    assert line["confidence"] == pytest.approx(31 / 32)
    (line,) = predicted(calibrated(right, novelty_level=0, abstain_below=0.99), [{"question": "Where?"}], tmp_path)
    assert line["abstained"]


def test_one_question_however_it_is_asked(calibrated: Callable, tmp_path: Path, capsys) -> None:
    """A file with a byte order mark and a newline, an argument, a row, a text in Python: the same prompt."""
    run, question, context = calibrated(SURE), "Where was it built?", "The piano was built in Paris."
    passage = tmp_path / "passage.txt"
    passage.write_bytes(b"\xef\xbb\xbf" + context.encode() + b"\r\n\n")
    said = []
    for text, own in ((question, f"@{passage}"), (f" {question}\n", f"\ufeff{context}\n"), (question, context)):
        assert main(["ask", str(run), text, "--context", own]) == 0
        said.append(capsys.readouterr())
    assert said[0] == said[1] == said[2]
    rows = [{"question": f"\ufeff{question}\n", "context": f"{context}\n"}, {"question": question, "context": context}]
    first, second = (line["selection_score"] for line in predicted(run, rows, tmp_path))
    predictor = SelectivePredictor.load(run)
    asked = [Question("a", f"{question} ", context=f"{context}\n"), Question("b", question, context=context)]
    scores = [own.scored.selection_score for own in predictor.predict(asked)]
    assert first == pytest.approx(second, abs=1e-5)
    assert scores == pytest.approx([first] * 2, abs=1e-5)
    one, other = predictor.predict([f"\ufeff {question}\n", question])
    assert one.question.question == other.question.question == question


def test_control_tokens_are_text_however_they_come(finished: Path, tmp_path: Path, monkeypatch, capsys) -> None:
    predictor = SelectivePredictor.load(finished)
    terminator, name = predictor.model.backbone.eos_token_id, predictor.model.backbone.tokenizer.eos_token
    read: list[tuple[int, ...]] = []
    plain = AdaptedModel.read

    def recorded(self, prompts, **options):
        read.extend(prompt.token_ids for prompt in prompts)
        return plain(self, prompts, **options)

    monkeypatch.setattr(AdaptedModel, "read", recorded)
    question, context = f"What ends it {name}?", f"{name} ends it.{name}"
    assert main(["ask", str(finished), question, "--context", context]) == 0
    predicted(finished, [{"question": question, "context": context, "history": [[name, name]]}], tmp_path)
    predictor.predict([question, Question("q", name, context=context)])
    assert len(read) == 4
    assert all(terminator not in token_ids for token_ids in read)
    assert all(name in predictor.model.backbone.tokenizer.decode(token_ids) for token_ids in read)


def test_a_context_that_is_cut_is_said(calibrated: Callable, tmp_path: Path, capsys) -> None:
    run, long = calibrated(SURE), WORD * 60
    rows = [{"question": "Where?", "context": long}, {"question": "Where?", "context": "In Paris."}]
    assert [line["context_cut"] for line in predicted(run, rows, tmp_path)] == [True, False]
    assert "warning: 1 contexts do not fit the model's window and were cut" in capsys.readouterr().err
    assert main(["ask", str(run), "Where?", "--context", long]) == 0
    assert "warning: the context does not fit the model's window" in capsys.readouterr().err
    assert main(["ask", str(run), "Where?", "--context", "In Paris."]) == 0
    assert "does not fit" not in capsys.readouterr().err
    cut = SelectivePredictor.load(run).predict([Question("0", "Where?", context=long)])
    assert cut[0].context_cut


def test_a_question_too_long_loses_no_other(calibrated: Callable, tmp_path: Path, capsys) -> None:
    run = calibrated(SURE, novelty_level=0)
    rows = [{"question": f"Where was piano {i} built?"} for i in range(41)]
    rows[20:20] = [{"question": (WORD * 60).strip()}, {"question": "\u200b"}]
    found = predicted(run, rows, tmp_path)
    captured = capsys.readouterr()
    assert "41 of 43 questions answered" in captured.out
    assert "warning: 2 questions could not be put to the model" in captured.err
    assert [line["question"] for line in found] == [row["question"] for row in rows]
    long, unseen = found[20], found[21]
    assert "shorten it" in long["error"]
    assert "nothing that can be seen" in unseen["error"]
    for line in (long, unseen):
        assert (line["answer"], line["withheld_answer"], line["confidence"], line["abstained"]) == (None,) * 3 + (True,)
        assert line.keys() == found[0].keys()
    assert {line["error"] for line in found[:20] + found[22:]} == {None}
    alone = predicted(run, rows[:20] + rows[22:], tmp_path)
    assert [line["answer"] for line in alone] == [line["answer"] for line in found[:20] + found[22:]]
    with pytest.raises(ModelError, match="shorten it"):
        SelectivePredictor.load(run).predict(["Where?", WORD * 60])


@pytest.mark.parametrize("question", ["", "  \n", "\u200b", "\ufeff", "\x07", "\udcff\udcfe", "Wh\udcffere?"])
def test_what_is_no_question_is_refused(finished: Path, question: str, capsys) -> None:
    assert main(["ask", str(finished), question]) == 2
    captured = capsys.readouterr()
    assert captured.out == ""
    assert captured.err.startswith("aspire-llm: question '0'")
    assert captured.err.count("\n") == 1
    with pytest.raises(DataError):
        SelectivePredictor.load(finished).predict(["Where?", question])


def test_an_argument_that_is_no_utf_8(finished: Path, capsys) -> None:
    command = [sys.executable.encode(), b"-m", b"aspire_llm.cli", b"ask", os.fsencode(finished), b"\xff\xfe"]
    done = subprocess.run(command, capture_output=True, check=False)
    assert (done.returncode, done.stdout) == (2, b"")
    assert done.stderr.startswith(b"aspire-llm: question '0'")
    assert done.stderr.count(b"\n") == 1
    for context in ("\udcff", "@\udcff"):
        assert main(["ask", str(finished), "Where?", "--context", context]) == 2
        assert capsys.readouterr().err.count("\n") == 1


def test_the_predictor_takes_a_list_of_texts(finished: Path) -> None:
    predictor = SelectivePredictor.load(finished)
    with pytest.raises(DataError, match=r"write \[question\]"):
        predictor.predict("Where?")
    with pytest.raises(DataError, match="'question' must be a string, got a number"):
        predictor.predict([float("nan")])  # an empty cell of a table
    with pytest.raises(DataError, match="'question' is missing"):
        predictor.predict([None])


def test_a_question_unlike_any_is_withheld(calibrated: Callable, data_file: Path, tmp_path: Path, capsys) -> None:
    run = calibrated(SURE)
    assert isinstance(NOVELTY.read(run), NoveltyGuard)
    strange = "?" * 80
    like, unlike = predicted(run, [{"question": "Where was piano 7 built?"}, {"question": strange}], tmp_path)
    assert like["novelty"] > 0.01
    assert not like["abstained"]
    assert unlike["novelty"] == pytest.approx(1 / 101)
    assert (unlike["answer"], unlike["abstained"]) == (None, True)
    assert unlike["why"] == "the question is unlike the calibration questions (p = 0.0099 < 0.01)"
    capsys.readouterr()
    assert main(["ask", str(run), strange]) == 0
    captured = capsys.readouterr()
    assert captured.out.strip() == "I don't know"
    assert "unlike the calibration questions" in captured.err
    assert not predicted(calibrated(SURE, novelty_level=0), [{"question": strange}], tmp_path)[0]["abstained"]
    # The calibration questions are held against each other, those of the test split against them.
    for name in ("calibration_predictions.jsonl", "predictions.jsonl"):
        p_values = [line["novelty"] for line in lines(run / name)]
        assert all(0 < p <= 1 for p in p_values)
    again = [line["novelty"] for line in lines(run / "calibration_predictions.jsonl")]
    assert 0.3 < sum(again) / len(again) < 0.7


def test_few_calibration_questions_are_no_guard_and_that_is_said(
    finished: Path, model_folder: Path, data_file: Path, tmp_path: Path, capsys
) -> None:
    arguments = ["run", "--model", str(model_folder), "--data", str(data_file), "--output", str(tmp_path / "run")]
    for setting in [*SETTINGS, "data.splits={train: 10, validation: 4, calibration: 30, test: 6}"]:
        arguments += ["--set", setting]
    assert main(arguments) == 0
    said = "no novelty guard (30 calibration questions; it takes at least 100)"
    assert f"warning: {said}" in capsys.readouterr().err
    notes = json.loads((tmp_path / "run" / "metrics.json").read_text(encoding="utf-8"))["notes"]
    assert any(note.startswith(f"N{said[1:]}") for note in notes)
    assert {line["novelty"] for line in lines(tmp_path / "run" / "predictions.jsonl")} == {None}
    assert main(["ask", str(tmp_path / "run"), "?" * 80]) == 0
    assert said in capsys.readouterr().err


def test_figures_have_the_interval_of_the_accuracy(finished: Path) -> None:
    metrics = json.loads((finished / "metrics.json").read_text(encoding="utf-8"))
    assert metrics["accuracy_ci"] == metrics["methods"]["aspire"]["accuracy_ci"] == [0.0, 0.0]
    assert metrics["accuracy_before_ci"] == metrics["methods"]["perplexity_untuned"]["accuracy_ci"]


def test_other_settings_leave_no_scores_of_the_old_ones(
    finished: Path, model_folder: Path, data_file: Path, tmp_path: Path
) -> None:
    """More samples: what was scored elsewhere by the few is gone, and what is scored again has as many."""
    run, other = tmp_path / "run", tmp_path / "other.jsonl"
    shutil.copytree(finished, run)
    other.write_text("\n".join(data_file.read_text(encoding="utf-8").splitlines()[:5]), encoding="utf-8")
    again = ["evaluate", str(run), "--data", str(other), "--methods", "predictive_entropy,perplexity"]
    settings = ["run", "--output", str(run), "--model", str(model_folder), "--data", str(data_file)]
    for text in SETTINGS:
        settings += ["--set", text]
    counts = []
    for samples in (3, 6):
        assert main([*settings, "--set", f"rivals.num_samples={samples}"]) == 0
        if samples == 6:
            (elsewhere,) = (run / "evaluations").glob("other-*")
            assert not (elsewhere / "metrics.json").exists()
            assert not (elsewhere / "scores" / "predictive_entropy.json").exists()
        assert main(again) == 0
        (elsewhere,) = (run / "evaluations").glob("other-*")
        counts.append({len(line["samples"]) for line in lines(elsewhere / "rival_samples.jsonl")})
    assert counts == [{3}, {6}]
    # The report of the evaluation is of the same figures.
    figures = json.loads((elsewhere / "metrics.json").read_text(encoding="utf-8"))
    assert set(figures["methods"]) == {"aspire", "predictive_entropy", "perplexity"}
