"""Which answers are shown to people, by hand."""

from aspire_llm.records import Evidence, Prediction, Question, SampledAnswer, ScoredAnswer
from aspire_llm.report import sample_answers


def prediction(number: int, *, correct: bool | None, abstained: bool, text: str = "Oslo") -> Prediction:
    scored = ScoredAnswer(Evidence(SampledAnswer(text, (1,), -1.0, 1)), -float(number))
    question = Question(str(number), f"Question {number}?", ("Paris",))
    return Prediction(question, scored, 1 - number / 100, abstained, correct=correct)


def test_five_are_picked_by_rule() -> None:
    given = [prediction(i, correct=i % 3 != 0, abstained=i >= 20) for i in range(40)]
    assert sample_answers(given[::-1]).splitlines() == [
        "  answered, right, confidence 0.99: Question 1? → Oslo",
        "  answered, right, confidence 0.89: Question 11? → Oslo",
        "  withheld, wrong, confidence 0.70: Question 30? → Oslo (it is Paris)",
        "  withheld, wrong, confidence 0.61: Question 39? → Oslo (it is Paris)",
        "  answered, wrong, confidence 1.00: Question 0? → Oslo (it is Paris)",
    ]


def test_what_there_is_not_is_left_out() -> None:
    assert sample_answers([prediction(0, correct=None, abstained=False)]) == ""
    one = sample_answers([prediction(0, correct=False, abstained=True, text="\n")])
    assert one == "  withheld, wrong, confidence 1.00: Question 0? → (empty answer) (it is Paris)"


def test_an_answer_stays_in_its_line() -> None:
    shown = sample_answers([prediction(0, correct=True, abstained=False, text="one\ntwo" + "x" * 200)])
    assert len(shown.splitlines()) == 1
    assert "one twoxx" in shown
    assert shown.endswith("…")
