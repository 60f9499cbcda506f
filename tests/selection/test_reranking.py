"""Which beam is answered with, by hand, and that all that is decided is about that one."""

from dataclasses import replace

import pytest

from aspire_llm.errors import ModelError
from aspire_llm.records import Evidence, Mark, Question, SampledAnswer
from aspire_llm.selection import AspireScore, DecisionRule, FusedScore, Infeasible, Part
from aspire_llm.selection.reranking import reranked

BEAMS = tuple(SampledAnswer(text, (1,), score, 1) for text, score in (("Oslo", -0.5), ("Bergen", -0.9), ("Rome", -1.5)))
QUESTION = Question("q", "Capital?", ("Bergen",))


def fused(states: float) -> FusedScore:
    """The likelihood, and the states as many times."""
    return FusedScore((Part.MEAN, Part.STATES), (0.0, 0.0), (1.0, 1.0), (1.0, states), 0.0, num_items=100)


def evidence(*beam_states: float) -> Evidence:
    return Evidence(BEAMS[0], log_self_eval=-0.1, states=beam_states[0], beams=BEAMS, beam_states=beam_states)


def rule(candidates: int, threshold: float = 0.7) -> DecisionRule:
    return DecisionRule(fused(1.0), 0.0, threshold, Infeasible("none yet"), candidates=candidates)


def test_the_score_chooses_among_the_candidates() -> None:
    own = evidence(0.0, 1.0, 9.0)
    assert reranked(own, fused(1.0), 1) is own
    assert reranked(own, fused(1.0), 2).answer == BEAMS[1]  # −0.9 + 1.0 > −0.5
    assert reranked(own, fused(1.0), 2).states == 1.0
    assert reranked(own, fused(1.0), 2).log_self_eval is None  # the verdict was on another answer
    assert reranked(own, fused(1.0), 3).answer == BEAMS[2]
    assert reranked(own, fused(0.1), 3) is own  # what does not change stays as it is, with its verdict


def test_of_equals_the_likelier_stays() -> None:
    assert reranked(evidence(0.0, 0.4, 1.0), fused(1.0), 3).answer == BEAMS[0]


def test_beams_whose_states_were_not_stored_are_refused() -> None:
    own = replace(evidence(0.0, 1.0, 9.0), beam_states=())
    with pytest.raises(ModelError, match=r"set score\.candidates to 1"):
        reranked(own, fused(1.0), 2)
    likelihood = AspireScore(0.0)
    assert reranked(own, likelihood, 2) is own  # it does without them


def test_all_that_is_decided_is_about_the_answer_given() -> None:
    given = rule(2).decide(QUESTION, evidence(0.0, 1.0, 9.0), 0.0)
    assert (given.text, given.correct, given.rouge_l) == ("Bergen", True, 1.0)
    assert given.scored.selection_score == pytest.approx(0.1)
    assert given.scored.evidence.self_eval is None
    likeliest = given.likeliest
    assert (likeliest.sampled.text, likeliest.correct, likeliest.rouge_l) == ("Oslo", False, 0.0)
    assert likeliest.scored.selection_score == -0.5
    assert likeliest.scored.evidence.log_self_eval == -0.1
    assert likeliest.confidence is None  # nothing was decided about it


def test_deciding_again_begins_with_the_likeliest() -> None:
    plain = rule(1).decide(QUESTION, evidence(0.0, 1.0, 9.0), 0.0, novelty=0.5)
    two = rule(2).decide_again(plain)
    assert rule(2).decide_again(two) == two
    assert rule(3).decide_again(two).text == "Rome"
    assert rule(1).decide_again(two) == plain
    assert two.novelty == 0.5
    assert rule(2, threshold=1.0).decide_again(two).correct is False


def test_a_mark_counts_where_it_is_about_the_answer_given() -> None:
    unknown = rule(2).decide(Question("q", "?"), evidence(0.0, 1.0, 9.0), None)
    assert (unknown.correct, unknown.rouge_l) == (None, None)
    of_given, of_likeliest = (rule(2).marked(unknown, Mark(text, True)) for text in ("bergen", "Oslo"))
    assert (of_given.correct, of_given.likeliest.correct) == (True, None)
    assert (of_likeliest.correct, of_likeliest.likeliest.correct) == (None, True)
