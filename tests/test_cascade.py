"""`aspire-llm cascade`, and the two runs that answer as one."""

import json
import shutil
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from test_calibrate import SETTINGS, judge_otherwise

from aspire_llm import Cascade, Question, SelectivePredictor
from aspire_llm.cascade import Member
from aspire_llm.cli import main
from aspire_llm.errors import ConfigError, DataError, RunDirectoryError
from aspire_llm.records import Prediction, Reason, Split
from aspire_llm.results.calibration import CALIBRATION
from aspire_llm.results.cascade import CASCADE, CascadeRun, CertifiedCascade, Promise
from aspire_llm.results.common_answers import CommonAnswers, StoredAnswers, common_ids
from aspire_llm.results.predictions import CALIBRATION_PREDICTIONS, PREDICTIONS, VALIDATION_PREDICTIONS
from aspire_llm.rundir.files import Lines
from aspire_llm.selection import Certified, Guarantee, RiskTarget, Uncertified, Unit
from aspire_llm.selection.cascading import LogOdds, ThresholdPath
from aspire_llm.selection.confidence import UniformCalibration

FILES = (VALIDATION_PREDICTIONS, CALIBRATION_PREDICTIONS, PREDICTIONS)
QUESTIONS = [f"Where was the {word} piano built?" for word in ("old", "new", "red", "big", "tall", "lost")]


@pytest.fixture(scope="module")
def pair(model_folder: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder with two runs on the same questions; their stored answers were judged otherwise, each in its own way."""
    folder = tmp_path_factory.mktemp("cascade")
    rows = [{"question": f"Where was piano {i} built?", "answer": "Paris"} for i in range(270)]
    data = folder / "data.jsonl"
    data.write_text("".join(json.dumps(row) + "\n" for row in rows), encoding="utf-8")
    arguments = ["run", "--model", str(model_folder), "--data", str(data), "--output", str(folder / "small")]
    for setting in SETTINGS:
        arguments += ["--set", setting]
    assert main(arguments) == 0
    assert main(["calibrate", str(folder / "small"), "--target-risk", "0.5"]) == 0  # answers the validation questions
    shutil.copytree(folder / "small", folder / "large")
    config = folder / "large" / "config.yaml"
    config.write_text(config.read_text(encoding="utf-8").replace("alpha: 0.25", "alpha: 0.1"), encoding="utf-8")
    for place, name in enumerate(("small", "large")):
        for seed, file in enumerate(FILES):
            judge_otherwise(folder / name, file, seed + 10 * place)
        assert main(["calibrate", str(folder / name)]) == 0
    return folder


@pytest.fixture
def runs(pair: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> tuple[Path, Path]:
    """Copies of both, in the working directory."""
    monkeypatch.chdir(tmp_path)
    for name in ("small", "large"):
        shutil.copytree(pair / name, name)
    return Path("small"), Path("large")


def cascade(*more: str) -> int:
    return main(["cascade", "small", "large", *more])


def error_of(capsys: pytest.CaptureFixture[str], *more: str) -> str:
    """Of a command that a user can mend: one line."""
    capsys.readouterr()
    assert cascade("--target-risk", "0.2", *more) == 2
    error = capsys.readouterr().err
    assert error.count("\n") == 1
    return error


def revise(run: Path, file: Lines[Prediction], keep: slice) -> None:
    file.write(run, file.read(run)[keep])


def test_the_sentence_says_who_answers_and_the_table_what_came_of_it(
    runs: tuple[Path, Path], capsys: pytest.CaptureFixture[str]
) -> None:
    capsys.readouterr()
    command = ["--target-risk", "0.2", "--target-risk", "0.01", "--delta", "0.1", "--output", "both"]
    assert cascade(*command) == 0
    printed = capsys.readouterr().out
    stored = CASCADE.read(Path("both"))
    low, high = stored.promises
    assert isinstance(low.guarantee.outcome, Uncertified)
    assert isinstance(high.guarantee.outcome, Certified)
    assert "At most 1% wrong answers cannot be certified with 90% certainty: 100 independent questions" in printed
    first, second = stored.path.thresholds(high.guarantee.outcome.threshold)
    # By hand, from the stored answers.
    count = {}
    for file in (CALIBRATION_PREDICTIONS, PREDICTIONS):
        small, large = (file.read(run) for run in runs)
        by_small = [own.scored.selection_score >= first for own in small]
        by_large = [
            own.scored.selection_score >= second and not taken for own, taken in zip(large, by_small, strict=True)
        ]
        wrong = sum(
            (a and not one.correct) or (b and not other.correct)
            for a, b, one, other in zip(by_small, by_large, small, large, strict=True)
        )
        count[file.name] = sum(by_small), sum(by_large), wrong
    of_small, of_large, wrong = count[CALIBRATION_PREDICTIONS.name]
    assert (
        "Of questions like the 100 calibration questions, at most 20% of the answered ones are wrong, with 90% "
        "certainty; "
        f"{of_small + of_large}% are answered: {of_small}% by small, {of_large}% by large." in printed
    )
    assert high.guarantee.outcome.risk == pytest.approx(wrong / (of_small + of_large))
    of_small, of_large, wrong = count[PREDICTIONS.name]
    row = next(line for line in printed.splitlines() if line.startswith("20%") and "cascade" in line)
    assert f" {100 * (of_small + of_large) / 60:.1f} [" in row
    assert f" {100 * wrong / (of_small + of_large):.1f} [" in row
    assert f" {100 * (60 - of_small) / 60:.1f} " in row
    assert 0 < of_small < 60
    assert of_large > 0
    assert "20%                     small alone" in printed.split("The cascade against either run alone")[1]
    assert json.loads(Path("both/cascade.json").read_text(encoding="utf-8"))["guarantees"][1]["thresholds"] == [
        first,
        second,
    ]


def test_it_changes_neither_run(runs: tuple[Path, Path]) -> None:
    before = {path: path.read_bytes() for run in runs for path in run.rglob("*") if path.is_file()}
    assert cascade("--target-risk", "0.2") == 0
    assert {path: path.read_bytes() for run in runs for path in run.rglob("*") if path.is_file()} == before


def test_validation_answers_are_made_where_they_are_lacking(runs: tuple[Path, Path]) -> None:
    known = VALIDATION_PREDICTIONS.read(runs[1])
    (runs[1] / VALIDATION_PREDICTIONS.name).unlink()
    assert cascade("--target-risk", "0.2") == 0
    assert [own.question for own in VALIDATION_PREDICTIONS.read(runs[1])] == [own.question for own in known]


def test_runs_that_are_no_pair_are_refused_in_one_line(
    runs: tuple[Path, Path], capsys: pytest.CaptureFixture[str]
) -> None:
    small, large = runs
    capsys.readouterr()
    assert main(["cascade", "small", "./large/../small", "--target-risk", "0.2"]) == 2
    assert "are one run; a cascade takes two" in capsys.readouterr().err
    assert "the output small/tables lies inside the run" in error_of(capsys, "--output", "small/tables")
    answers = PREDICTIONS.read(large)
    other = replace(answers[3], question=replace(answers[3].question, question="Who?"))
    PREDICTIONS.write(large, [*answers[:3], other, *answers[4:]])
    assert "are on other data: question" in error_of(capsys, "--output", "both")
    assert not Path("both").exists()
    PREDICTIONS.write(large, answers)
    revise(large, CALIBRATION_PREDICTIONS, slice(19))
    assert "have 19 calibration questions in common" in error_of(capsys)
    revise(large, CALIBRATION_PREDICTIONS, slice(0))
    assert "have 0 calibration questions in common that neither has learned from" in error_of(capsys)
    revise(small, VALIDATION_PREDICTIONS, slice(5))
    assert "have 5 validation questions in common; it takes 20" in error_of(capsys)
    config = (large / "config.yaml").read_text(encoding="utf-8")
    (large / "config.yaml").write_text(config.replace("eval_threshold: 0.7", "eval_threshold: 0.5"), encoding="utf-8")
    assert "correctness.eval_threshold is 0.7 in small and 0.5 in large" in error_of(capsys)
    (large / "config.yaml").write_text(config, encoding="utf-8")
    CALIBRATION.write(large, replace(CALIBRATION.read(large), confidence=UniformCalibration(100, right=False)))
    assert "large: all 100 calibration answers are wrong" in error_of(capsys)


def test_a_group_counts_by_the_split_in_which_it_had_more_to_say(runs: tuple[Path, Path]) -> None:
    """The large run validates on what calibrates the small one, and on a question of the group of another."""
    large = runs[1]
    validated, calibrated, tested = (file.read(large) for file in FILES)
    VALIDATION_PREDICTIONS.write(large, [*validated, *calibrated[:30]])
    CALIBRATION_PREDICTIONS.write(large, [*calibrated[30:], *tested[:10]])
    PREDICTIONS.write(large, tested[10:])
    for run in runs:  # one group for a question that calibrated and one that the large run alone validates on
        for file in (VALIDATION_PREDICTIONS, CALIBRATION_PREDICTIONS):
            names = {calibrated[29].question.id, calibrated[30].question.id}
            grouped = [
                replace(own, question=replace(own.question, group="g")) if own.question.id in names else own
                for own in file.read(run)
            ]
            file.write(run, grouped)
    found = common_ids(*(StoredAnswers.read(run) for run in runs))
    assert found[Split.VALIDATION] == [own.question.id for own in [*validated, *calibrated[:31]]]
    assert found[Split.CALIBRATION] == [own.question.id for own in [*calibrated[31:], *tested[:10]]]
    assert found[Split.TEST] == [own.question.id for own in tested[10:]]
    common = CommonAnswers.of(*(StoredAnswers.read(run) for run in runs))
    assert common.small[Split.CALIBRATION].groups == common.large[Split.CALIBRATION].groups


class Asked:
    """A predictor that takes down what it is asked."""

    def __init__(self, predictor: SelectivePredictor) -> None:
        self.rule, self._predictor = predictor.rule, predictor
        self.questions: list[str] = []

    def predict(self, questions: Sequence[str | Question]) -> list[Prediction]:
        found = self._predictor.predict(questions)
        self.questions += [own.question.question for own in found]
        return found


def certified(level: float | None, large_intercept: float) -> CertifiedCascade:
    """Scores are log-odds; those of the large run are moved."""
    outcome = Uncertified("too few", None, 0.0, None) if level is None else Certified(level, 0.5, 0.1, 0.01)
    promise = Promise(Guarantee(RiskTarget(0.2), outcome, Unit.QUESTION, "aspire", 100, 100), level and 0.3)
    run = CascadeRun("run", Path("run"), "")
    return CertifiedCascade(run, run, ThresholdPath(LogOdds(1.0, 0.0), LogOdds(1.0, large_intercept)), (promise,))


def test_the_large_run_is_asked_what_the_small_one_withholds(pair: Path) -> None:
    predictor = SelectivePredictor.load(pair / "small")
    scores = [own.scored.selection_score for own in predictor.predict(QUESTIONS)]
    level = float(np.median(scores))
    below = [place for place, score in enumerate(scores) if score < level]
    assert len(below) == 3
    for intercept, answers in ((100.0, True), (-100.0, False)):
        small, large = Asked(predictor), Asked(predictor)
        found = Cascade(small, large, certified(level, intercept)).predict(QUESTIONS)  # type: ignore[arg-type]
        assert [own.prediction.question.question for own in found] == QUESTIONS
        assert [own.prediction.question.id for own in found] == list("012345")
        assert small.questions == QUESTIONS
        assert large.questions == [QUESTIONS[place] for place in below]
        for place, own in enumerate(found):
            assert own.prediction.target_risk == 0.2
            if place not in below:
                assert own.answered_by is Member.SMALL
                assert own.answer == own.prediction.sampled.text
            else:
                assert own.answered_by is (Member.LARGE if answers else None)
                assert own.prediction.reason is (Reason.SURE_ENOUGH if answers else Reason.BELOW_THRESHOLD)
                assert (own.answer is None) is not answers


def test_where_nothing_is_certified_the_large_run_is_not_asked(pair: Path) -> None:
    small, large = (Asked(SelectivePredictor.load(pair / "small")) for _ in range(2))
    found = Cascade(small, large, certified(None, 0.0)).predict(QUESTIONS)  # type: ignore[arg-type]
    assert {(own.answer, own.answered_by, own.prediction.reason) for own in found} == {
        (None, None, Reason.NOT_CERTIFIED)
    }
    assert large.questions == []


def test_a_cascade_is_loaded_and_answers_by_its_thresholds(runs: tuple[Path, Path]) -> None:
    assert cascade("--target-risk", "0.2", "--target-risk", "0.3", "--output", "both") == 0
    both = Cascade.load("both")
    assert "at most 30% of the answered ones are wrong" in both.sentence(0.3)
    record = CASCADE.read(Path("both"))
    outcome = record.promise(0.3).guarantee.outcome
    assert isinstance(outcome, Certified)
    first, second = record.path.thresholds(outcome.threshold)
    for own in both.predict(QUESTIONS, target_risk=0.3):
        threshold = first if own.answered_by is Member.SMALL else second
        assert (own.prediction.scored.selection_score >= threshold) == (own.answered_by is not None)
    assert both.predict([], target_risk=0.3) == []
    with pytest.raises(ConfigError, match=r"no target risk was given \(known: 0\.2, 0\.3\)"):
        both.predict(QUESTIONS)
    with pytest.raises(ConfigError, match=r"nothing is certified for a target risk of 0\.1"):
        both.predict(QUESTIONS, target_risk=0.1)
    with pytest.raises(DataError, match="got one text"):
        both.predict("Who?", target_risk=0.3)


def test_a_run_that_has_changed_is_no_longer_what_was_certified(runs: tuple[Path, Path]) -> None:
    assert cascade("--target-risk", "0.2", "--output", "both") == 0
    config = runs[1] / "config.yaml"
    config.write_text(config.read_text(encoding="utf-8").replace("alpha: 0.1", "alpha: 0.9"), encoding="utf-8")
    with pytest.raises(RunDirectoryError, match="large has changed since both was certified"):
        Cascade.load("both")
    with pytest.raises(RunDirectoryError, match="missing"):
        Cascade.load("nowhere")
