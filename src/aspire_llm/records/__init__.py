"""The typed records that pass from one part to the next. All are frozen; none is a dict.

`Question` → `SampledAnswer` → `LabelledAnswer` → `ScoredAnswer` → `Prediction`.
Higher selection scores always mean more confident.
"""

from aspire_llm.records.answers import DrawnAnswer, Evidence, LabelledAnswer, MethodScores, SampledAnswer, ScoredAnswer
from aspire_llm.records.outcomes import (
    ABSTENTION,
    Mark,
    PassedOver,
    Prediction,
    Reason,
    Unanswered,
    Unread,
    UntunedAnswer,
)
from aspire_llm.records.questions import Answers, Question, Split

__all__ = [
    "ABSTENTION",
    "Answers",
    "DrawnAnswer",
    "Evidence",
    "LabelledAnswer",
    "Mark",
    "MethodScores",
    "PassedOver",
    "Prediction",
    "Question",
    "Reason",
    "SampledAnswer",
    "ScoredAnswer",
    "Split",
    "Unanswered",
    "Unread",
    "UntunedAnswer",
]
