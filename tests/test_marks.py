"""`calibrate` and `evaluate` on answers that people have marked."""

import csv
import json
import math
import shutil
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import pytest
from stored import killed_at_second_call

from aspire_llm import Question
from aspire_llm.cli import main
from aspire_llm.config_files import load_config
from aspire_llm.records import Evidence, Mark, Prediction, SampledAnswer, ScoredAnswer
from aspire_llm.results.calibration import CALIBRATION, calibrate, decision_rule
from aspire_llm.results.metrics import METRICS
from aspire_llm.results.predictions import LABELLED_PREDICTIONS
from aspire_llm.selection import Certified, Infeasible, RiskTarget, SlicedGuarantee, Uncertified

SETTINGS = [
    "data.splits={train: 8, validation: 30, calibration: 20, test: 6}",
    "stage1.num_soft_tokens=4",
    "stage1.epochs=1",
    "stage2={num_beams: 2, max_new_tokens: 4, batch_size: 4}",
    "stage3.enabled=false",
    "score.alpha=0",
    "states.enabled=false",
    "rivals.untuned=false",
    "score.novelty_level=0",
]
NUM_QUESTIONS = 60


@pytest.fixture(scope="module")
def made(model_folder: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A run, and beside it what it predicts for questions without references."""
    folder = tmp_path_factory.mktemp("marks")
    rows = [{"question": f"Where was piano {i} built?", "answer": "Paris"} for i in range(64)]
    asked = [{"id": f"q{i}", "question": f"Who owned organ {i}?"} for i in range(NUM_QUESTIONS)]
    for name, content in (("data", rows), ("asked", asked)):
        write(folder / f"{name}.jsonl", content)
    arguments = ["run", "--model", str(model_folder), "--data", str(folder / "data.jsonl")]
    for setting in SETTINGS:
        arguments += ["--set", setting]
    run = folder / "run"
    assert main([*arguments, "--output", str(run)]) == 0
    assert calibrated(run, None, "--target-risk", "0.5") == 0  # answers the validation questions
    command = ["predict", str(run), "--input", str(folder / "asked.jsonl"), "--output", str(folder / "live.jsonl")]
    assert main(command) == 0
    return folder


@pytest.fixture
def run(made: Path, tmp_path: Path) -> Path:
    """A copy of the run."""
    return Path(shutil.copytree(made / "run", tmp_path / "run"))


@pytest.fixture
def live(made: Path) -> list[dict]:
    """Lines of `aspire-llm predict`, none of them marked."""
    return [json.loads(line) for line in (made / "live.jsonl").read_text(encoding="utf-8").splitlines()]


def write(path: Path, rows: list[dict]) -> Path:
    path.write_text("".join(json.dumps(row) + "\n" for row in rows), encoding="utf-8")
    return path


def calibrated(run: Path, data: Path | None, *more: str) -> int:
    return main(["calibrate", str(run), *([] if data is None else ["--data", str(data)]), *more])


def shown(row: dict) -> str:
    """The answer of a line, given or withheld."""
    return str(row["withheld_answer"] if row["answer"] is None else row["answer"])


def marked(rows: list[dict], of: Callable[[int], bool] = lambda place: place % 20 != 0) -> list[dict]:
    return [row | {"correct": of(place)} for place, row in enumerate(rows)]


def labels(run: Path) -> dict[str, bool | None]:
    return {own.question.id: own.correct for own in LABELLED_PREDICTIONS.read(run)}


def test_marked_lines_of_predict_calibrate(run: Path, live: list[dict], tmp_path: Path) -> None:
    data = write(tmp_path / "marked.jsonl", marked(live))
    assert calibrated(run, data, "--target-risk", "0.2") == 0
    assert labels(run) == {f"q{i}": i % 20 != 0 for i in range(NUM_QUESTIONS)}
    stored = CALIBRATION.read(run)
    assert stored.source == str(data)
    found = stored.guarantee(0.2)
    assert found.num_questions == NUM_QUESTIONS
    assert isinstance(found.outcome, Certified)
    assert found.outcome.threshold >= min(row["selection_score"] for row in live)
    before = (run / "calibration.json").read_bytes()
    assert calibrated(run, None) == 0  # the marks stay with the answers
    assert (run / "calibration.json").read_bytes() == before


def test_a_table_of_answers_and_marks_does_the_same(run: Path, live: list[dict], tmp_path: Path) -> None:
    rows = marked(live)
    with (tmp_path / "marked.csv").open("w", encoding="utf-8", newline="") as file:
        table = csv.writer(file)
        table.writerow(["id", "question", "answer", "correct"])
        table.writerows([row["id"], row["question"], f" {shown(row).upper()} ", str(row["correct"])] for row in rows)
    assert calibrated(run, write(tmp_path / "marked.jsonl", rows), "--target-risk", "0.2") == 0
    before = CALIBRATION.read(run)
    assert calibrated(run, tmp_path / "marked.csv") == 0
    after = CALIBRATION.read(run)
    assert [own.outcome for own in after.guarantees] == [own.outcome for own in before.guarantees]
    assert after.confidence == before.confidence


def test_marks_win_over_references(run: Path, live: list[dict], tmp_path: Path) -> None:
    """By the references alone every answer would be right, but for the last, where no mark says otherwise."""
    rows = [row | {"references": [shown(row)], "correct": False} for row in live]
    rows[-1] |= {"correct": None}
    rows[-2] |= {"correct": None, "references": ["nothing like it"]}
    assert calibrated(run, write(tmp_path / "marked.jsonl", rows), "--target-risk", "0.2") == 0
    assert [place for place, correct in enumerate(labels(run).values()) if correct] == [NUM_QUESTIONS - 1]
    assert isinstance(CALIBRATION.read(run).guarantee(0.2).outcome, Uncertified)


def test_marks_of_other_answers_are_counted_and_left_out(
    run: Path, live: list[dict], tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    rows = marked(live)
    for place in (3, 4, 5):
        rows[place] |= {"answer": "of an earlier version", "withheld_answer": None}
    rows[5] |= {"references": [shown(live[5])], "correct": False}
    rows[6] |= {"correct": None}
    assert calibrated(run, write(tmp_path / "marked.jsonl", rows)) == 0
    error = capsys.readouterr().err
    assert f"1 of {NUM_QUESTIONS} rows of {tmp_path / 'marked.jsonl'} have neither a mark nor a reference" in error
    assert "3 of 59 marks" in error
    assert "2 of these questions have no reference either and are left out" in error
    assert error.count("warning: ") == 2
    found = labels(run)
    assert [found.get(f"q{i}") for i in range(2, 8)] == [True, None, None, True, None, True]
    assert "q6" not in found
    assert CALIBRATION.read(run).confidence.num_items == 57  # type: ignore[union-attr]


@pytest.mark.parametrize(
    ("change", "said"),
    [
        ({"correct": None}, "none of 60 rows has a mark ('correct') or a reference"),
        ({"answer": "another", "withheld_answer": None}, "none of the 60 marks is about an answer that this run gives"),
        ({"correct": "maybe"}, "row 1: 'correct' must be true or false, got 'maybe'"),
    ],
)
def test_what_cannot_calibrate_is_one_line_and_changes_nothing(
    run: Path, live: list[dict], tmp_path: Path, capsys: pytest.CaptureFixture[str], change: dict, said: str
) -> None:
    before = (run / "calibration.json").read_bytes()
    capsys.readouterr()
    rows = [row | change for row in marked(live)]
    assert calibrated(run, write(tmp_path / "marked.jsonl", rows), "--target-risk", "0.2") == 2
    error = capsys.readouterr().err
    assert said in error
    assert error.count("aspire-llm: ") == 1
    assert (run / "calibration.json").read_bytes() == before
    assert not LABELLED_PREDICTIONS.exists(run)


def test_too_few_marks_certify_nothing(
    run: Path, live: list[dict], tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert calibrated(run, write(tmp_path / "marked.jsonl", marked(live)[:5]), "--target-risk", "0.1") == 0
    assert "At most 10% wrong answers cannot be certified" in capsys.readouterr().out
    stored = CALIBRATION.read(run)
    assert isinstance(stored.guarantee(0.1).outcome, Uncertified)
    assert stored.confidence == Infeasible("5 calibration answers; it takes at least 20")


def test_a_killed_calibration_goes_on_and_the_marks_of_the_last_call_count(
    run: Path, live: list[dict], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    before = (run / "calibration.json").read_bytes()
    calls = killed_at_second_call(monkeypatch)
    assert calibrated(run, write(tmp_path / "marked.jsonl", marked(live, lambda place: False))) == 130
    assert (run / "calibration.json").read_bytes() == before
    assert not LABELLED_PREDICTIONS.exists(run)
    assert calibrated(run, write(tmp_path / "marked.jsonl", marked(live))) == 0
    assert sum(calls) == NUM_QUESTIONS + calls[1]
    assert labels(run) == {f"q{i}": i % 20 != 0 for i in range(NUM_QUESTIONS)}
    whole = (run / LABELLED_PREDICTIONS.name).read_bytes()
    assert calibrated(run, write(tmp_path / "marked.jsonl", marked(live))) == 0
    assert (run / LABELLED_PREDICTIONS.name).read_bytes() == whole


def test_marked_answers_are_evaluated(
    run: Path, live: list[dict], tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    rows = marked(live)
    assert main(["evaluate", str(run), "--data", str(write(tmp_path / "marked.jsonl", rows))]) == 0
    (folder,) = (run / "evaluations").iterdir()
    assert METRICS.read(folder).accuracy == pytest.approx(57 / 60)
    assert main(["evaluate", str(run), "--data", str(write(tmp_path / "marked.jsonl", marked(live, bool)))]) == 0
    assert METRICS.read(folder).accuracy == pytest.approx(59 / 60)
    rows[3] |= {"answer": "of an earlier version", "withheld_answer": None}
    capsys.readouterr()
    assert main(["evaluate", str(run), "--data", str(write(tmp_path / "marked.jsonl", rows))]) == 2
    assert "1 of 60 predictions have no reference, nor a mark that is about them" in capsys.readouterr().err


def prediction(place: int, score: float, mark: Mark | None) -> Prediction:
    answer = SampledAnswer("Ulm", (1,), log_likelihood=score, num_tokens=1)
    references = () if mark else ("Ulm",)
    asked = Question(f"q{place}", "?", references)
    rouge_l = None if mark else 1.0
    return Prediction(asked, ScoredAnswer(Evidence(answer), score), rouge_l=rouge_l, correct=True, mark=mark)


def test_no_threshold_lies_below_the_answers_that_were_marked() -> None:
    """All marked answers score above −1 and are right; of answers below, which nobody saw, nothing is known."""
    config = load_config(None, [("score.alpha", 0)])
    rule, target = decision_rule(config), RiskTarget(0.1, 0.05)
    validation = [prediction(place, -4 * place / 100, None) for place in range(100)]

    def threshold(mark: Mark | None) -> float:
        answered = [prediction(place, -(place + 1) / 100, mark) for place in range(100)]
        found = calibrate(config, answered, lambda: validation, rule, [target]).guarantee(0.1)
        assert isinstance(found.outcome, Certified)
        assert found.outcome.coverage == 1.0
        return found.outcome.threshold

    assert threshold(Mark("Ulm", True)) == -1.0
    assert threshold(None) < -1.0
    assert math.isfinite(threshold(None))


def test_each_value_of_a_field_has_its_own_lowest_mark() -> None:
    """All answers of one kind were marked, of the other only those above −1: nothing is known of its others."""
    config = load_config(None, [("score.alpha", 0)])
    rule, target = decision_rule(config), RiskTarget(0.1, 0.05, "kind")
    validation = [of_kind(kind, place, -4 * place / 100, None) for kind in "ab" for place in range(100)]
    shown = {"a": 4.0, "b": 1.0}
    answered = [
        of_kind(kind, place, -lowest * (place + 1) / 100, Mark("Ulm", True))
        for kind, lowest in shown.items()
        for place in range(100)
    ]
    found = calibrate(config, answered, lambda: validation, rule, [target]).guarantee(0.1, "kind")
    assert isinstance(found, SlicedGuarantee)
    for kind, lowest in shown.items():
        assert isinstance(outcome := found.by_value[kind].outcome, Certified)
        assert outcome.threshold >= -lowest


def of_kind(kind: str, place: int, score: float, mark: Mark | None) -> Prediction:
    own = prediction(place, score, mark)
    return replace(own, question=replace(own.question, id=f"{kind}{place}", metadata={"kind": kind}))


def test_lines_of_predict_keep_the_turns_before_a_question(run: Path, tmp_path: Path) -> None:
    turns = [["Who built organ 1?", "Silbermann"], ["Where?", "Freiberg"]]
    asked = write(tmp_path / "asked.jsonl", [{"id": "late", "question": "When?", "history": turns}])
    given = tmp_path / "given.jsonl"
    assert main(["predict", str(run), "--input", str(asked), "--output", str(given)]) == 0
    before = given.read_bytes()
    row = json.loads(before)
    assert row["history"] == turns
    data = write(tmp_path / "marked.jsonl", [row | {"correct": True}])
    assert calibrated(run, data) == 0
    (labelled,) = LABELLED_PREDICTIONS.read(run)
    assert labelled.question.history == tuple(map(tuple, turns))
    assert labelled.sampled.text == shown(row)
    write(asked, [{"id": "late", "question": "When?", "history": turns[:1]}])
    assert main(["predict", str(run), "--input", str(asked), "--output", str(given)]) == 0
    assert json.loads(given.read_bytes())["history"] == turns[:1]  # another question, whatever its text


def test_a_mark_outlives_other_settings_and_other_measures() -> None:
    for measure in ("rouge_l", "exact_match", "f1"):
        rule = decision_rule(load_config(None, [("correctness.measure", measure), ("score.alpha", 0)]))
        own = prediction(0, -0.5, None)
        assert rule.decide_again(own).correct is True
        assert rule.decide_again(rule.marked(own, Mark("the ulm", False))).correct is False
        assert rule.decide_again(rule.marked(own, Mark("Bonn", False))).correct is True  # the reference says so
        unknown = replace(own, question=Question("q", "?"), rouge_l=None)
        assert rule.decide_again(rule.marked(unknown, Mark("Bonn", True))).correct is None
