"""Which beam is answered with, by hand."""

from aspire_llm.records import Evidence, Prediction, Question, SampledAnswer, ScoredAnswer
from aspire_llm.selection import AspireScore, FusedScore, Part
from evidence.reranking import reranked, reranked_correct

BEAMS = tuple(SampledAnswer(text, (1,), score, 1) for text, score in (("Oslo", -0.5), ("Bergen", -0.9), ("Rome", -1.5)))


def fused(states: float) -> FusedScore:
    """The likelihood, and the states as many times."""
    return FusedScore((Part.MEAN, Part.STATES), (0.0, 0.0), (1.0, 1.0), (1.0, states), 0.0, num_items=100)


def evidence(*beam_states: float) -> Evidence:
    return Evidence(BEAMS[0], log_self_eval=-0.1, states=beam_states[0], beams=BEAMS, beam_states=beam_states)


def test_the_score_chooses_among_the_candidates() -> None:
    own = evidence(0.0, 1.0, 9.0)
    assert reranked(own, fused(1.0), 2).answer == BEAMS[1]  # −0.9 + 1.0 > −0.5
    assert reranked(own, fused(1.0), 2).states == 1.0
    assert reranked(own, fused(1.0), 2).log_self_eval is None  # the verdict was on another answer
    assert reranked(own, fused(1.0), 3).answer == BEAMS[2]
    assert reranked(own, fused(0.1), 3) is own  # what does not change stays as it is, with its verdict


def test_of_equals_the_likelier_stays() -> None:
    assert reranked(evidence(0.0, 0.4, 1.0), fused(1.0), 3).answer == BEAMS[0]


def test_answers_are_judged_anew_where_they_change() -> None:
    question = Question("q", "Capital?", ("Bergen",))
    predictions = [
        Prediction(question, ScoredAnswer(evidence(0.0, states, 0.0), 0.0), None, False, "", 0.0, False)
        for states in (1.0, 0.0)
    ]
    assert reranked_correct(predictions, fused(1.0), 2, 0.7) == [True, False]


def test_the_verdict_is_known_of_one_answer_alone() -> None:
    assert reranked_correct([], AspireScore(0.25), 2, 0.7) is None
