"""Chooses the answers that the report shows in full: those that teach most about the selection score."""

from collections.abc import Sequence
from dataclasses import dataclass

from aspire_llm.report.run_results import AnswerRow

NUM_EXAMPLES = 20


@dataclass(frozen=True, slots=True)
class ExampleGroup:
    """A few answers under one heading."""

    title: str
    explanation: str
    rows: tuple[AnswerRow, ...]


def choose_examples(rows: Sequence[AnswerRow], count: int = NUM_EXAMPLES) -> list[ExampleGroup]:
    """Half the surest wrong answers, half the wrong ones that abstention caught; none stands twice.

    Where the run withheld too few wrong answers, the wrong ones with the lowest scores, which abstention would take out
    first, fill the second half.
    """
    wrong = [row for row in rows if row.correct is False and row.selection_score is not None]
    by_score = sorted(wrong, key=lambda row: (row.selection_score or 0.0, row.id))
    half = (count + 1) // 2
    # Where fewer than `count` answers are wrong, the two halves share them instead of overlapping.
    given = [row for row in by_score if not row.abstained]
    surest = tuple(reversed(given[-min(half, (len(wrong) + 1) // 2) :]))
    rest = [row for row in by_score if row not in surest]
    lowest = tuple(sorted(rest, key=lambda row: not row.abstained)[: count - len(surest)])
    withheld = sum(row.abstained for row in lowest)
    return [
        ExampleGroup(
            "The surest wrong answers",
            "Wrong, and yet with the highest selection scores of all wrong answers that were given: what gets through.",
            surest,
        ),
        ExampleGroup(
            "Wrong answers that abstention caught" if withheld else "Wrong answers that abstention would catch first",
            "Wrong with the lowest selection scores: "
            + ("the system said “I don’t know” instead." if withheld == len(lowest) else _partly(withheld)),
            lowest,
        ),
    ]


def _partly(withheld: int) -> str:
    if not withheld:
        return "a threshold takes these out before any other. This run gave every answer."
    return f"{withheld} of them were withheld; a threshold would take the others out next."
