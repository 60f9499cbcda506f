"""What a user chooses of the lines."""

from pathlib import Path

import pytest
from streamed import GOOD, StubPredictor, lines, rows_of, write

from aspire_llm.cli import main
from aspire_llm.selection import AspireScore, DecisionRule, Infeasible


def test_fields_are_chosen(tmp_path: Path, capfdbinary: pytest.CaptureFixture[bytes]) -> None:
    source, output = write(tmp_path / "in.jsonl", rows_of(5)), tmp_path / "out.jsonl"
    command = ["predict", "demo", "--input", str(source), "--output"]
    assert main([*command, str(output), "--fields", "confidence, answer,error"]) == 0
    whole = tmp_path / "whole.jsonl"
    assert main([*command, str(whole)]) == 0
    for line, chosen in zip(lines(whole), lines(output), strict=True):
        assert list(chosen) == ["id", "answer", "confidence", "error"]
        assert chosen == {key: line[key] for key in chosen}
    capfdbinary.readouterr()
    assert main([*command, "-", "--fields", "confidence,answer,error"]) == 0
    assert capfdbinary.readouterr().out == output.read_bytes()
    assert main([*command, str(output), "--fields", "answer,confidense"]) == 2
    assert capfdbinary.readouterr().err == (
        b"aspire-llm: --fields: a line has no 'confidense'; the nearest known field is 'confidence'\n"
    )


def test_candidates_are_the_other_beams_with_their_scores(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    source, output = tmp_path / "in.jsonl", tmp_path / "out.jsonl"
    source.write_text(GOOD + "x\n")
    command = ["predict", "demo", "--input", str(source), "--output", str(output)]
    assert main(command) == 0
    plain = lines(output)
    assert all("candidates" not in line and "beams" not in line for line in plain)
    assert main([*command, "--include-candidates"]) == 0
    good, bad = lines(output)
    beam = {"token_ids": [1, 2], "num_tokens": 3, "terminated": True}
    assert good.pop("candidates") == [
        beam | {"text": "0 of 1?", "log_likelihood": -1.5, "selection_score": -1.5},
        beam | {"text": "0 of 1!", "log_likelihood": -2.5, "selection_score": -2.5},
    ]
    assert bad.pop("candidates") is None
    assert [good, bad] == plain
    # A score that takes the verdict, which is known of the likeliest answer alone.
    rule = DecisionRule(AspireScore(0.25), 0.0, 0.7, Infeasible("it is a stub"))
    monkeypatch.setattr(StubPredictor, "rule", rule)
    assert main([*command, "--fields", "candidates"]) == 0
    good, bad = lines(output)
    assert list(good) == ["id", "candidates"]
    assert [own["selection_score"] for own in good["candidates"]] == [None, None]
