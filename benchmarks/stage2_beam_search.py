"""Stage 2, the k likeliest answers of a question: `beam_search` against `generate(num_beams=k)`.

Both decode the same embeddings `[θp] [x]` and return all k sequences with their scores. Sequences must be identical,
and scores within 1e-4 of the peer's or, where its float32 scores are off by more, of a float64 pass's. *prefill* is the
reading of one prompt by a model that has decoded before. Prompt lengths count θp's 50 soft tokens.
"""

import copy
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from typing import Any

import torch
from transformers import GenerationConfig

from aspire_llm.lm.decoding.beam_search import beam_search
from aspire_llm.lm.decoding.hypotheses import Decoded
from benchmarks import machine, memory
from benchmarks.measure import PEER_ONCE, MismatchError, Row, Settings, Times, close, compare, same, say
from benchmarks.models import NEVER, SOMETIMES, Subject, left_padded, prompts, subject

Answers = list[list[tuple[tuple[int, ...], float]]]  # question → hypothesis → (tokens, summed log-probability)

UNEQUAL_PROMPTS = (650, 624, 590, 561, 503, 442, 388, 310)


@dataclass(frozen=True, slots=True)
class Case:
    """What to decode: positions of each prompt, beam width, most tokens, and whether answers end before."""

    positions: Sequence[int] = (650,)
    num_beams: int = 10
    new_tokens: int = 16
    ends: bool = False

    @property
    def terminator(self) -> str:
        return SOMETIMES if self.ends else NEVER

    def __str__(self) -> str:
        questions = f"{len(self.positions)} questions, " if len(self.positions) > 1 else ""
        low, high = min(self.positions), max(self.positions)
        length = f"{high}" if low == high else f"{low}–{high}"
        tokens = f"at most {self.new_tokens}" if self.ends else f"{self.new_tokens}"
        return f"{questions}prompt {length}, k={self.num_beams}, {tokens} new tokens"


def rows(settings: Settings) -> Iterator[Row]:
    """One question a batch, eight of unequal prompts, then what needs little memory."""
    for name in settings.models:
        yield _prefill_row(name, settings)
        yield row(name, Case(new_tokens=16), settings.rounds, target=6.0, limit_target=0.6)
        yield row(name, Case(new_tokens=32), PEER_ONCE, target=5.0, limit_target=0.6)
        yield row(name, Case(positions=UNEQUAL_PROMPTS, ends=True), PEER_ONCE, target=8.0)
        yield from (_small_row(name, case, settings.rounds) for case in (Case(num_beams=2), Case(positions=(100,))))


def row(name: str, case: Case, rounds: int, *, target: float | None = None, limit_target: float | None = None) -> Row:
    """Compare and time one case."""
    say(f"  {name}: {case}")
    both = subject(name, case.terminator)
    lengths: list[list[int]] = []

    def check(ours: Answers, theirs: Answers) -> None:
        check_sequences(ours, theirs)
        try:
            check_scores(ours, theirs)
        except MismatchError as error:  # whose rounding is it?
            check_scores([ours[0][:3]], [exact_scores(both, case, ours[0][:3])])
            say(f"    the peer's {error}; ours are within 1e-04 of float64")
        lengths.extend([len(tokens) for tokens, _ in answers] for answers in ours)

    times = compare(lambda: ours(both, case), lambda: peer(both, case), check, rounds=rounds, device=both.device)
    if case.ends:
        flat = [length for own in lengths for length in own]
        say(f"    answers of {min(flat)}–{max(flat)} tokens, mean {sum(flat) / len(flat):.1f}")
    size = machine.size(both.plain)
    floor = machine.prefill_seconds(size, times.limits, case.positions) + machine.decode_seconds(
        size, times.limits, case.positions, [max(own) for own in lengths], case.num_beams
    )
    return _row(name, f"generate(num_beams={case.num_beams})", str(case), times, floor, target, limit_target)


def _small_row(name: str, case: Case, rounds: int) -> Row:
    """A case whose memory is measured too: what decoding prepares must not outweigh what it shares."""
    given = {"positions": list(case.positions), "num_beams": case.num_beams, "new_tokens": case.new_tokens}
    used = memory.both_sides(__name__, name, given)
    return replace(row(name, case, rounds), memory=used, memory_target=1 / 1.3)


def ours(both: Subject, case: Case) -> Answers:
    """Beam search over a shared prefix."""
    decoded = decode(both, case)
    return [[(h.token_ids, sum(h.token_log_probs)) for h in hypotheses] for hypotheses in decoded.hypotheses]


def decode(both: Subject, case: Case) -> Decoded:
    """The same, with the cache that it leaves."""
    questions = prompts(both.plain, case.positions)
    return beam_search(both.ours, questions, num_beams=case.num_beams, max_new_tokens=case.new_tokens)


@torch.no_grad()
def peer(both: Subject, case: Case) -> Answers:
    """transformers' beam search over left-padded embeddings."""
    questions = prompts(both.plain, case.positions)
    embeddings, mask, _ = left_padded([both.sequence(prompt) for prompt in questions])
    output = both.plain.generate(
        inputs_embeds=embeddings,
        attention_mask=mask,
        generation_config=generation_config(
            both,
            num_beams=case.num_beams,
            num_return_sequences=case.num_beams,
            max_new_tokens=case.new_tokens,
            length_penalty=0.0,
            early_stopping=False,
            return_dict_in_generate=True,
            output_scores=True,  # without it there are no scores of the sequences
        ),
    )
    lengths = (output.beam_indices >= 0).sum(-1).tolist()
    sequences = [tuple(row[:n]) for row, n in zip(output.sequences.tolist(), lengths, strict=True)]
    flat = list(zip(sequences, output.sequences_scores.tolist(), strict=True))
    return [flat[i : i + case.num_beams] for i in range(0, len(flat), case.num_beams)]


def generation_config(both: Subject, **settings: Any) -> GenerationConfig:
    """What `generate` is asked for, with the subject's terminator."""
    return GenerationConfig(eos_token_id=both.terminator, pad_token_id=both.terminator, **settings)


def check_sequences(ours: Answers, theirs: Answers) -> None:
    """Identical sequences."""
    same("questions", len(ours), len(theirs))
    for i, (own, their) in enumerate(zip(ours, theirs, strict=True)):
        same(f"sequences of question {i}", [tokens for tokens, _ in own], [tokens for tokens, _ in their])


def check_scores(ours: Answers, theirs: Answers) -> None:
    """Scores within 1e-4."""
    for i, (own, their) in enumerate(zip(ours, theirs, strict=True)):
        close(f"scores of question {i}", max(abs(a - b) for (_, a), (_, b) in zip(own, their, strict=True)), 1e-4)


@torch.no_grad()
def exact_scores(both: Subject, case: Case, answers: list[tuple[tuple[int, ...], float]]) -> list[Any]:
    """The summed log-probabilities of answers to the first question by plain passes in float64."""
    exact = copy.deepcopy(both.plain).double()
    prompt = both.sequence(prompts(both.plain, case.positions)[0]).double()
    embed = exact.get_input_embeddings()
    found = []
    for tokens, _ in answers:
        inputs = torch.cat([prompt, embed(both.ids(tokens))])[None]
        logits = exact(inputs_embeds=inputs, use_cache=False, logits_to_keep=len(tokens) + 1).logits[0, :-1]
        log_probs = torch.log_softmax(logits, dim=-1).gather(-1, both.ids(tokens)[:, None])
        found.append((tokens, float(log_probs.sum())))
    return found


def run_once(side: str, name: str, **case: Any) -> None:
    """One side of a case, for measuring memory."""
    built = Case(**case)
    (ours if side == "ours" else peer)(subject(name, built.terminator, both=side == "peer"), built)


def _prefill_row(name: str, settings: Settings) -> Row:
    say(f"  {name}: prefill")
    both = subject(name)
    questions = prompts(both.plain, [650])

    @torch.no_grad()
    def plain() -> torch.Tensor:
        embeddings = both.sequence(questions[0])[None]
        return both.plain(inputs_embeds=embeddings, use_cache=True, logits_to_keep=1).logits[:, -1]

    def check(ours: torch.Tensor, theirs: torch.Tensor) -> None:
        close("logits after the prompt", float((ours - theirs).abs().max()), 1e-3)

    decode(both, Case(new_tokens=2))
    times = compare(lambda: both.ours.read(questions)[2], plain, check, rounds=5 * settings.rounds, device=both.device)
    floor = machine.prefill_seconds(machine.size(both.plain), times.limits, [650])
    return _row(name, "model(inputs_embeds)", "prefill, prompt 650", times, floor, None, 0.8)


def _row(
    name: str, peer: str, setting: str, times: Times, floor: float, target: float | None, limit_target: float | None
) -> Row:
    return Row(
        "stage2_beam_search",
        peer,
        f"{name}, {setting}",
        times.ours_s,
        times.peer_s,
        target=target,
        floor_s=floor,
        limit_target=limit_target,
    )
