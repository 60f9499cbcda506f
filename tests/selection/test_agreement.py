"""Agreement of beams against sums by hand."""

import math

import pytest
from hypothesis import given
from hypothesis import strategies as st

from aspire_llm.errors import ModelError
from aspire_llm.records import Evidence, SampledAnswer
from aspire_llm.selection import Part
from aspire_llm.selection.agreement import agree, log_agreement_mass, log_margin


def beam(text: str, probability: float, num_tokens: int = 2) -> SampledAnswer:
    return SampledAnswer(text, (1,) * num_tokens, math.log(probability) / num_tokens, num_tokens)


@pytest.mark.parametrize(
    ("one", "other", "same"),
    [
        ("Paris", "in Paris, France", True),
        ("The Paris", "paris.", True),
        ("Paris France", "Paris, in France", False),  # not in a row
        ("art", "Bart", False),  # words, not letters
        ("", "", True),
        ("", "Paris", False),
        ("%", "%", True),
        ("%", "$", False),
        ("New York", "York", True),
    ],
)
def test_agreement(one: str, other: str, same: bool) -> None:
    assert agree(one, other) is same
    assert agree(other, one) is same


def test_mass_is_the_share_of_those_that_agree() -> None:
    beams = [beam("Paris", 0.4), beam("Rome", 0.2, 3), beam("in Paris", 0.1), beam("Oslo", 0.1)]
    assert log_agreement_mass(beams[0], beams) == pytest.approx(math.log(0.5 / 0.8))
    assert log_agreement_mass(beams[1], beams) == pytest.approx(math.log(0.2 / 0.8))


def test_margin_is_to_the_likeliest_that_disagrees() -> None:
    beams = [beam("Paris", 0.4), beam("in Paris", 0.3), beam("Rome", 0.2), beam("Oslo", 0.1)]
    assert log_margin(beams[0], beams) == pytest.approx(math.log(0.4 / 0.2))
    assert log_margin(beams[2], beams) == pytest.approx(math.log(0.2 / 0.4))
    # All agree: the least likely one stands for what was not found.
    assert log_margin(beams[0], beams[:2]) == pytest.approx(math.log(0.4 / 0.3))


@given(st.lists(st.tuples(st.sampled_from(["a b", "b", "c", ""]), st.floats(-2000, 0)), min_size=1, max_size=6))
def test_mass_and_margin_are_finite(given: list[tuple[str, float]]) -> None:
    beams = [SampledAnswer(text, (1,), score, 1) for text, score in given]
    assert -4000 <= log_agreement_mass(beams[0], beams) <= 0
    assert math.isfinite(log_margin(beams[0], beams))


def test_parts_of_what_is_known() -> None:
    beams = (beam("Paris", 0.5), beam("Rome", 0.25))
    known = Evidence(beams[0], log_self_eval=math.log(0.8), states=1.5, beams=beams)
    assert {part: part.of(known) for part in Part} == pytest.approx(
        {
            Part.MEAN: math.log(0.5) / 2,
            Part.SUM: math.log(0.5),
            Part.AGREEMENT: math.log(0.5 / 0.75),
            Part.MARGIN: math.log(2),
            Part.LENGTH: 2,
            Part.STATES: 1.5,
            Part.VERDICT: math.log(4),
        }
    )
    for part in (Part.AGREEMENT, Part.MARGIN, Part.STATES, Part.VERDICT):
        with pytest.raises(ModelError, match=f"takes {part}, which is not known"):
            part.of(Evidence(beams[0]))


@pytest.mark.parametrize(("log_self_eval", "expected"), [(0.0, 30.0), (-1e-20, 30.0), (-2000.0, -30.0)])
def test_a_certain_verdict_stays_finite(log_self_eval: float, expected: float) -> None:
    assert Part.VERDICT.of(Evidence(beam("", 0.5), log_self_eval)) == expected
