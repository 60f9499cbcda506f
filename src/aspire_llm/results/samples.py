"""Answers to a question as they are stored: stage 2's labelled samples, and what is drawn for other methods."""

from dataclasses import dataclass, replace
from typing import Any

from aspire_llm.correctness import Measure
from aspire_llm.records import DrawnAnswer, LabelledAnswer, Question
from aspire_llm.records.fields import each, field, text
from aspire_llm.results.answers import answer_to_json, labelled_from_json
from aspire_llm.rundir.files import Lines
from aspire_llm.rundir.typed import typed_lines
from aspire_llm.selection import relabelled


@dataclass(frozen=True, slots=True)
class QuestionSamples:
    """The labelled answers of stage 2 to one question, likeliest first."""

    id: str
    answers: tuple[LabelledAnswer, ...]

    def relabelled(self, question: Question, threshold: float, measure: Measure) -> "QuestionSamples":
        """The same answers to their question, by another threshold or another measure."""
        return replace(self, answers=tuple(relabelled(own, question, threshold, measure) for own in self.answers))

    def to_json(self) -> dict[str, Any]:
        """A line of `samples.jsonl`."""
        return {
            "id": self.id,
            "answers": [
                {**answer_to_json(labelled.answer), "rouge_l": labelled.rouge_l, "correct": labelled.correct}
                for labelled in self.answers
            ],
        }

    @classmethod
    def from_json(cls, line: Any) -> "QuestionSamples":
        """The record that `to_json` wrote."""
        return cls(field(line, "id", text), field(line, "answers", each(labelled_from_json)))


@dataclass(frozen=True, slots=True)
class DrawnAnswers:
    """A line of `rival_samples.jsonl`: the answers drawn for one question, and the seconds that it took."""

    id: str
    seconds: float
    samples: tuple[DrawnAnswer, ...]


SAMPLES = Lines(
    "samples.jsonl",
    "answers of stage 2",
    QuestionSamples.to_json,
    QuestionSamples.from_json,
    id_of=lambda own: own.id,
)


def drawn_answers_file(suffix: str) -> Lines[DrawnAnswers]:
    """Where the answers drawn from the tuned model (""), or from the untuned one ("_untuned"), are kept."""
    return typed_lines(f"rival_samples{suffix}.jsonl", "drawn answers", DrawnAnswers, id_of=lambda own: own.id)
