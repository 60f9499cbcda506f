"""What a method says of every answer, and what that costs."""

from dataclasses import dataclass

from aspire_llm.records import Answers
from aspire_llm.rundir.files import Document
from aspire_llm.rundir.typed import typed_document


@dataclass(frozen=True, slots=True)
class Cost:
    """What scoring one question takes beyond answering it once.

    Attributes:
        seconds: Of computing.
        generated_tokens: Of further answers.
        relative: All that is spent on a question over what answering it once takes; 1 = nothing more.
    """

    seconds: float
    generated_tokens: float
    relative: float


@dataclass(frozen=True, slots=True)
class StoredScores:
    """The content of `scores/METHOD.json`: the scores of one method.

    Attributes:
        method: Its name, with the suffix of the untuned model's answers where it scores those.
        answers: Whose answers it scores.
        source: Where the method was published.
        ids: Of the questions, in the order of the scores.
        scores: One finite number per answer; higher = more confident.
        cost: None where answering was not timed.
        asked: Digest of the other model that the scores come from; None where there is none.
    """

    method: str
    answers: Answers
    source: str
    ids: tuple[str, ...]
    scores: tuple[float, ...]
    cost: Cost | None
    asked: str | None = None

    def __post_init__(self) -> None:
        if len(self.ids) != len(self.scores):
            raise ValueError(f"{len(self.ids)} questions but {len(self.scores)} scores")


def scores_file(method: str) -> Document[StoredScores]:
    """Where the scores of a method are kept."""
    return typed_document(f"scores/{method}.json", "scores of a method", StoredScores)


# Apart from the metrics, because two runs give the same metrics and never the same times.
COSTS: Document[dict[str, Cost | None]] = typed_document("costs.json", "costs by method", dict[str, Cost | None])
