"""How many beams: chosen on validation answers, counted on the others."""

from pathlib import Path

import pytest

from aspire_llm.config import RunConfig
from aspire_llm.config_files import with_changes
from aspire_llm.records import Evidence, Prediction, Question, SampledAnswer, ScoredAnswer, Split
from aspire_llm.results.predictions import CALIBRATION_PREDICTIONS, PREDICTIONS, VALIDATION_PREDICTIONS
from aspire_llm.selection import AspireScore
from evidence.reranking import Decisions, chosen, gain, main

FILES = {Split.VALIDATION: VALIDATION_PREDICTIONS, Split.CALIBRATION: CALIBRATION_PREDICTIONS, Split.TEST: PREDICTIONS}


def answers(split: Split, count: int, mended: int) -> list[Prediction]:
    """Every other likeliest answer is right; of the wrong ones some have a right second beam, which states prefer."""
    found = []
    for place in range(count):
        right, is_mended = place % 2 == 0, place % 2 == 1 and place < 2 * mended
        beams = tuple(
            SampledAnswer(text, (1,), -size, 2) for text, size in (("Oslo", 0.5), ("Bergen", 0.6), ("Rome", 3))
        )
        states = (2.0, -3.0, -9.0) if right else (-2.0, 2.0 if is_mended else -4.0, -9.0)
        reference = "Oslo" if right else "Bergen" if is_mended else "Lima"
        question = Question(f"{split}{place}", "?", (reference,))
        evidence = Evidence(beams[0], None, states[0] + place / 1000, beams, states)
        scored = ScoredAnswer(evidence, 0.0)
        found.append(Prediction(question, scored, rouge_l=float(right), correct=right, novelty=0.5))
    return found


@pytest.fixture
def run(tmp_path: Path) -> Path:
    config = with_changes(RunConfig(), [("score.kind", "fused"), ("score.novelty_level", 0)])
    (tmp_path / "config.yaml").write_text(config.to_yaml(), encoding="utf-8")
    for (split, file), mended in zip(FILES.items(), (5, 3, 12), strict=True):
        file.write(tmp_path, answers(split, 100, mended))
    return tmp_path


def test_gains_are_of_the_answers_that_change(run: Path, capsys: pytest.CaptureFixture[str]) -> None:
    tried = {number: [Decisions.of(run, number)] for number in (2, 3)}
    gains = [gain(tried[2], split).estimate for split in FILES]
    assert gains == [pytest.approx(own) for own in (0.05, 0.03, 0.12)]
    assert chosen(tried) == 2  # of equals the smallest
    blind = [own.by(AspireScore(0.0)) for own in tried[2]]
    assert gain(blind, Split.TEST).estimate == 0.0
    assert gain(tried[2], Split.TEST, than=blind).estimate == pytest.approx(0.12)
    assert chosen({2: blind}) == 1
    main([str(run)])
    said = capsys.readouterr().out
    assert "Chosen: 2." in said
    assert "Test: 50.0 → 62.0; gain +12.0 [" in said
