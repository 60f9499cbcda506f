"""A few answers of a run that a person can judge, picked by rule rather than by hand."""

from collections.abc import Sequence

from aspire_llm.records import Prediction
from aspire_llm.report.wording import shortened

_LONGEST = 70  # characters of a question or an answer


def sample_answers(predictions: Sequence[Prediction]) -> str:
    """At most five answers in lines: two sure and right, two withheld and wrong, and the surest wrong one.

    Of the right answers that are given, the surest and the one in the middle; of the wrong ones that are withheld, the
    least sure and the one in the middle; of the wrong ones that are given, the surest, because it is the costliest.
    """
    ranked = sorted(
        (own for own in predictions if own.correct is not None),
        key=lambda own: (-own.scored.selection_score, own.question.id),
    )
    right = [own for own in ranked if own.correct and not own.abstained]
    wrong = [own for own in ranked if not own.correct and own.abstained]
    costly = [own for own in ranked if not own.correct and not own.abstained]
    picked = [*right[:1], *_middle(right[1:]), *_middle(wrong[:-1]), *wrong[-1:], *costly[:1]]
    return "\n".join(map(_line, picked))


def _middle(ranked: Sequence[Prediction]) -> Sequence[Prediction]:
    place = len(ranked) // 2
    return ranked[place : place + 1]


def _line(own: Prediction) -> str:
    decision = "withheld" if own.abstained else "answered"
    verdict = "right" if own.correct else "wrong"
    confidence = "" if own.confidence is None else f", confidence {own.confidence:.2f}"
    texts = own.question.question, own.sampled.text
    question, answer = (shortened(" ".join(text.split()), _LONGEST) for text in texts)  # in one line
    expected = "" if own.correct or not own.question.references else f" (it is {own.question.references[0]})"
    return f"  {decision}, {verdict}{confidence}: {question} → {answer or '(empty answer)'}{expected}"
