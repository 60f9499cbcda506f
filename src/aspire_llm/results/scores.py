"""What a method says of every answer, and what that costs."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from aspire_llm.records import Answers
from aspire_llm.rundir.files import Document


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

    def to_json(self) -> dict[str, float]:
        """Its part of `costs.json` and of a file of scores."""
        return {"seconds": self.seconds, "generated_tokens": self.generated_tokens, "relative": self.relative}

    @classmethod
    def from_json(cls, content: Mapping[str, Any]) -> "Cost":
        """The record that `to_json` wrote."""
        return cls(float(content["seconds"]), float(content["generated_tokens"]), float(content["relative"]))


@dataclass(frozen=True, slots=True)
class StoredScores:
    """The scores of one method.

    Attributes:
        method: Its name, with the suffix of the untuned model's answers where it scores those.
        answers: Whose answers it scores.
        source: Where the method was published.
        ids: Of the questions, in the order of the scores.
        scores: One finite number per answer; higher = more confident.
        cost: None where answering was not timed.
    """

    method: str
    answers: Answers
    source: str
    ids: tuple[str, ...]
    scores: tuple[float, ...]
    cost: Cost | None

    def to_json(self) -> dict[str, Any]:
        """The content of `scores/METHOD.json`."""
        return {
            "method": self.method,
            "answers": str(self.answers),
            "source": self.source,
            "ids": self.ids,
            "scores": self.scores,
            "cost": None if self.cost is None else self.cost.to_json(),
        }

    @classmethod
    def from_json(cls, content: Mapping[str, Any]) -> "StoredScores":
        """The record that `to_json` wrote."""
        ids, scores = tuple(content["ids"]), tuple(map(float, content["scores"]))
        if len(ids) != len(scores):
            raise ValueError(f"{len(ids)} questions but {len(scores)} scores")
        return cls(
            method=content["method"],
            answers=Answers(content["answers"]),
            source=content["source"],
            ids=ids,
            scores=scores,
            cost=_cost(content["cost"]),
        )


def scores_file(method: str) -> Document[StoredScores]:
    """Where the scores of a method are kept."""
    return Document(f"scores/{method}.json", "scores of a method", StoredScores.to_json, StoredScores.from_json)


def _cost(content: Mapping[str, Any] | None) -> Cost | None:
    return None if content is None else Cost.from_json(content)


# Apart from the metrics, because two runs give the same metrics and never the same times.
COSTS: Document[dict[str, Cost | None]] = Document(
    "costs.json",
    "costs by method",
    lambda costs: {name: None if cost is None else cost.to_json() for name, cost in costs.items()},
    lambda content: {name: _cost(cost) for name, cost in content.items()},
)
