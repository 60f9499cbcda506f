"""How time and memory grow: stage 2 with the prompt, the beams, the answer and the questions a batch; stage 3 with k.

One setting changes at a time from a prompt of 650 positions, k = 10 and 16 new tokens; memory is measured at both ends
of each table. Only in the full form.
"""

from collections.abc import Iterator
from dataclasses import asdict, replace

from benchmarks import memory
from benchmarks import stage2_beam_search as stage2
from benchmarks import stage3_self_evaluation as stage3
from benchmarks.measure import PEER_ONCE, Row, Settings

_MODEL = "opt-125m"
_CASE = stage2.Case()
_PROMPTS = (100, 200, 400, 800, 1600)
_BEAMS = (2, 5, 10, 20)
_NEW_TOKENS = (4, 8, 16, 32)
_QUESTIONS = (1, 2, 4, 8, 16)
_ANSWERS = (1, 2, 5, 10, 20)


def rows(settings: Settings) -> Iterator[Row]:
    """All tables, the quick ones first; nothing in the short form."""
    if settings.full:
        yield from _decoding("prompt", [replace(_CASE, positions=(positions,)) for positions in _PROMPTS])
        yield from _decoding("beams", [replace(_CASE, num_beams=num_beams) for num_beams in _BEAMS])
        yield from _decoding("answer", [replace(_CASE, new_tokens=new_tokens) for new_tokens in _NEW_TOKENS])
        yield from _verdicts("prompt", [stage3.Case(positions=positions) for positions in _PROMPTS])
        lengths = 2 * stage3.ANSWER_LENGTHS
        yield from _verdicts("answers", [stage3.Case(answers=lengths[: answers + 1]) for answers in _ANSWERS])
        batches = [tuple(stage2.UNEQUAL_PROMPTS[i % 8] for i in range(questions)) for questions in _QUESTIONS]
        yield from _decoding(
            "questions a batch", [replace(_CASE, positions=positions, ends=True) for positions in batches]
        )


def _decoding(table: str, cases: list[stage2.Case]) -> Iterator[Row]:
    for case in cases:
        at_an_end = case in (cases[0], cases[-1])
        used = memory.both_sides(stage2.__name__, _MODEL, asdict(case)) if at_an_end else None
        row = stage2.row(_MODEL, case, rounds=PEER_ONCE)
        yield replace(row, path="growth", memory=used, group=f"growth: stage 2, {table}")


def _verdicts(table: str, cases: list[stage3.Case]) -> Iterator[Row]:
    for case in cases:
        row = stage3.row(_MODEL, case, rounds=PEER_ONCE, with_memory=case in (cases[0], cases[-1]))
        row = row.without_targets()
        yield replace(row, path="growth", group=f"growth: stage 3, {table}")
