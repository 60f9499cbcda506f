"""How time and memory grow: stage 2 with the prompt, the beams, the answer and the questions a batch; stage 3 with k.

One setting changes at a time from a prompt of 650 positions, k = 10 and 16 new tokens. Only in the full form.
"""

from collections.abc import Iterator
from dataclasses import asdict, replace

from benchmarks import memory
from benchmarks import stage2_beam_search as stage2
from benchmarks import stage3_self_evaluation as stage3
from benchmarks.measure import PEER_ONCE, Row, Settings

_MODEL = "opt-125m"
_CASE = stage2.Case()


def rows(settings: Settings) -> list[Row]:
    """All tables; nothing in the short form."""
    if not settings.full:
        return []
    result = []
    for group, case in _decoding_cases():
        used = memory.both_sides(stage2.__name__, _MODEL, asdict(case))
        row = stage2.row(_MODEL, case, rounds=1 if len(case.positions) < 4 else PEER_ONCE)
        result.append(replace(row, path="growth", memory=used, group=group))
    for group, case in _verdict_cases():
        row = stage3.row(_MODEL, case, rounds=PEER_ONCE, with_memory=True)
        result.append(replace(row, path="growth", target=None, limit_target=None, memory_target=None, group=group))
    return result


def _decoding_cases() -> Iterator[tuple[str, stage2.Case]]:
    for positions in (100, 200, 400, 800, 1600):
        yield "growth: stage 2, prompt", replace(_CASE, positions=(positions,))
    for num_beams in (2, 5, 10, 20):
        yield "growth: stage 2, beams", replace(_CASE, num_beams=num_beams)
    for new_tokens in (4, 8, 16, 32):
        yield "growth: stage 2, answer", replace(_CASE, new_tokens=new_tokens)
    for questions in (1, 2, 4, 8, 16):
        positions = tuple(stage2.UNEQUAL_PROMPTS[i % 8] for i in range(questions))
        yield "growth: stage 2, questions a batch", replace(_CASE, positions=positions, ends=True)


def _verdict_cases() -> Iterator[tuple[str, stage3.Case]]:
    for positions in (100, 200, 400, 800, 1600):
        yield "growth: stage 3, prompt", stage3.Case(positions=positions)
    for answers in (1, 2, 5, 10, 20):
        lengths = (*stage3.ANSWER_LENGTHS, *stage3.ANSWER_LENGTHS)[: answers + 1]
        yield "growth: stage 3, answers", stage3.Case(answers=lengths)
