"""What is said where an answer is withheld."""

import doctest
import json
import shutil
from dataclasses import replace
from pathlib import Path

import pytest

from aspire_llm import SelectivePredictor, abstention
from aspire_llm.abstention import AbstentionConfig, language_of
from aspire_llm.cli import main
from aspire_llm.config import RunConfig
from aspire_llm.config_files import load_config, with_changes
from aspire_llm.errors import ConfigError
from aspire_llm.records import Evidence, Prediction, Question, SampledAnswer, ScoredAnswer

KOREAN = "피아노는 어디에서 만들었나요?"


@pytest.mark.parametrize(
    ("text", "language"),
    [
        (KOREAN, "ko"),
        ("iPhone 15 Pro는 언제 나왔나요?", "ko"),
        ("大韓民國의 首都는 어디입니까?", "ko"),
        ("東京はどこですか", "ja"),
        ("ピアノ?", "ja"),
        ("北京在哪里?", "zh"),
        ("Где построили рояль?", "ru"),
        ("Πού;", "el"),
        ("أين؟", "ar"),
        ("איפה?", "he"),
        ("पियानो कहाँ बना?", "hi"),
        ("ที่ไหน", "th"),
        ("What does 東京 mean?", None),
        ("Où est-ce?", None),
        ("1 + 1 = ?", None),
        ("", None),
    ],
)
def test_a_language_is_told_by_its_script(text: str, language: str | None) -> None:
    assert language_of(text) == language


def test_only_languages_that_have_a_text_are_spoken() -> None:
    said = AbstentionConfig(default="No idea", ko="모르겠습니다", ja="わかりません")
    asked = {"Where?": "No idea", KOREAN: "모르겠습니다", "どこ?": "わかりません", "Где?": "No idea"}
    assert {question: said.text_for(question) for question in asked} == asked
    assert said.text_for("日本首都?") == "わかりません"  # Japanese may have Han characters alone
    both = AbstentionConfig(ja="わかりません", zh="我不知道")
    assert both.text_for("日本首都?") == "我不知道"
    assert AbstentionConfig(zh="我不知道").text_for("東京はどこですか") == "I don't know"


def test_texts_that_say_nothing_and_languages_that_are_not_known() -> None:
    with pytest.raises(ConfigError, match=r"config key 'abstention\.ko': got ' '"):
        load_config(None, [("abstention.ko", " ")])
    with pytest.raises(ConfigError, match=r"unknown config key 'abstention\.kr'; the nearest known key is"):
        load_config(None, [("abstention.kr", "모르겠습니다")])


def test_ask_and_the_predictor_say_it_and_files_hold_null(
    finished: Path, config: RunConfig, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    run = Path(shutil.copytree(finished, tmp_path / "run"))
    changes = [("abstention.ko", "모르겠습니다"), ("score.abstain_below", 1.0), ("score.novelty_level", 0)]
    (run / "config.yaml").write_text(with_changes(config, changes).to_yaml(), encoding="utf-8")
    calibration = {"method": "platt", "num_items": 30, "slope": 0.0, "intercept": 0.0}
    (run / "calibration.json").write_text(json.dumps(calibration), encoding="utf-8")
    for question, said in ((KOREAN, "모르겠습니다"), ("Where was piano 3 built?", "I don't know")):
        assert main(["ask", str(run), question]) == 0
        assert capsys.readouterr().out.strip() == said
    korean, english = SelectivePredictor.load(run).predict([KOREAN, "Where?"])
    assert (korean.answer, korean.text, english.text) == (None, "모르겠습니다", "I don't know")
    questions, output = tmp_path / "q.jsonl", tmp_path / "p.jsonl"
    questions.write_text(json.dumps({"question": KOREAN}), encoding="utf-8")
    assert main(["predict", str(run), "--input", str(questions), "--output", str(output)]) == 0
    assert json.loads(output.read_text(encoding="utf-8"))["answer"] is None
    assert "모르겠습니다" not in output.read_text(encoding="utf-8")


def test_an_answer_that_is_given_is_what_is_said() -> None:
    answer = SampledAnswer("Ulm", token_ids=(1,), log_likelihood=-0.5, num_tokens=2)
    given = Prediction(Question("q", KOREAN), ScoredAnswer(Evidence(answer), 0.0), abstention="모르겠습니다")
    assert (given.text, replace(given, abstained=True).text) == ("Ulm", "모르겠습니다")


def test_the_documented_example() -> None:
    assert doctest.testmod(abstention) == (0, 1)
