"""Wording: what an interval allows to be said, and no more."""

import pytest
from report.by_hand import difference, figures

from aspire_llm.report import wording
from aspire_llm.selection import Difference

PAIR = "aspire - perplexity"


@pytest.mark.parametrize(
    ("estimate", "ci", "direction", "sentence"),
    [
        (
            0.018,
            (0.004, 0.032),
            "better",
            "ASPIRE separates right from wrong answers better than perplexity: "
            "+1.8 points of AUROC, 95% interval +0.4 to +3.2.",
        ),
        (
            -0.02,
            (-0.031, -0.004),
            "worse",
            "ASPIRE separates right from wrong answers worse than perplexity: "
            "−2.0 points of AUROC, 95% interval −3.1 to −0.4.",
        ),
        (
            0.018,
            (-0.004, 0.032),
            "unclear",
            "This run shows no difference between ASPIRE and perplexity: "
            "+1.8 points of AUROC, 95% interval −0.4 to +3.2, which includes zero.",
        ),
        (
            0.01,
            None,
            "unclear",
            "ASPIRE differs from perplexity by +1.0 points of AUROC; no interval says how surely.",
        ),
        (None, None, "unclear", "ASPIRE and perplexity cannot be compared by AUROC: it is undefined."),
    ],
)
def test_verdicts(estimate: float | None, ci: tuple[float, float] | None, direction: str, sentence: str) -> None:
    assert wording.direction(difference(estimate, ci)) == direction
    assert wording.difference_verdict(PAIR, difference(estimate, ci)) == sentence


def test_an_interval_that_touches_zero_shows_nothing() -> None:
    assert wording.direction(difference(0.01, (0.0, 0.02))) == "unclear"
    assert wording.direction(difference(-0.01, (-0.02, 0.0))) == "unclear"


def test_auacc_remark() -> None:
    assert wording.auacc_remark(difference(0.02, (0.01, 0.03))) == (
        "In AUACC the difference is +2.0 points, 95% interval +1.0 to +3.0."
    )
    assert wording.auacc_remark(difference(0.02, (-0.01, 0.03))).endswith("which includes zero.")
    assert wording.auacc_remark(difference(0.02)) == "In AUACC the difference is +2.0 points."
    assert wording.auacc_remark(difference(None)) == ""


def test_the_tally_counts_what_the_intervals_show() -> None:
    def auroc(low: float, high: float) -> dict[str, Difference]:
        return {"auroc": difference((low + high) / 2, (low, high))}

    differences = {
        "aspire - a": auroc(0.1, 0.2),
        "aspire - b": auroc(-0.1, 0.2),
        "aspire - c": auroc(0.01, 0.2),
        "aspire - d": auroc(-0.2, -0.1),
        "aspire - e": {"auroc": difference(None)},
    }
    assert wording.tally(differences) == (
        "Against 5 other methods on the same answers ASPIRE is ahead of 2, behind 1, and not to be told apart from 2 "
        "(intervals not adjusted for their number)."
    )
    assert wording.tally({"aspire - a": auroc(0.1, 0.2)}) == ""


def test_method_names_in_sentences() -> None:
    names = ["Self-evaluation alone", "ASPIRE", "P(True)", "x"]
    assert [wording.in_sentence(name) for name in names] == ["self-evaluation alone", "ASPIRE", "P(True)", "x"]


def test_intervals_and_durations() -> None:
    assert wording.interval((-0.1, 0.25)) == "[−10.0, 25.0]"
    assert wording.signed_interval((-0.0049, 0.25)) == "−0.5 to +25.0"
    assert [wording.duration(s) for s in (0.0, 0.0012, 0.0123, 0.4604, 1.24, 17.6)] == [
        "",
        "+1.2 ms",
        "+12 ms",
        "+460 ms",
        "+1.2 s",
        "+18 s",
    ]


def test_methods_without_auroc_share_their_reason() -> None:
    methods = {
        "sar": figures("all wrong"),
        "aspire": figures(0.5),
        "p_true": figures("no"),
        "mine": figures("all wrong"),
    }
    assert wording.undefined_notes(methods) == [
        "AUROC of SAR; mine is undefined: all wrong.",
        "AUROC of P(True) is undefined: no.",
    ]


def test_settings_by_dotted_key() -> None:
    assert wording.flat({"a": {"b": [0.25, None], "c": {}}, "d": "x"}) == {"a.b": [0.25, None], "d": "x"}
    shown = [wording.value_text(value) for value in ([0.25, None], 1 / 3, True, "a, b", 7)]
    assert shown == ["0.25, –", "0.333333", "True", "a, b", "7"]


def test_long_texts_are_cut() -> None:
    assert wording.shortened("abcdef", 6) == "abcdef"
    assert wording.shortened("abc defg", 5) == "abc…"
