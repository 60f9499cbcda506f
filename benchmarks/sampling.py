"""Ten answers drawn for a question: `sample_answers` against `generate(do_sample, num_return_sequences=10)`.

Draws need not be the same; the log-probabilities of what either side drew must be those of a plain pass over it. Prompt
lengths count θp's 50 soft tokens.
"""

from collections.abc import Iterator, Sequence

import torch

from aspire_llm.lm.decoding.sampling import sample_answers
from benchmarks import stage2_beam_search as stage2
from benchmarks.measure import Row, Settings, close, compare, same, say
from benchmarks.models import Subject, left_padded, prompts, subject

PROMPT, SAMPLES = 650, 10
Drawn = list[tuple[tuple[int, ...], tuple[float, ...]]]  # sample → (tokens, their log-probabilities)


def rows(settings: Settings) -> Iterator[Row]:
    """One question a batch."""
    lengths = (16, 32) if settings.full else (16,)
    yield from (row(name, tokens, settings.rounds) for name in settings.models for tokens in lengths)


def row(name: str, new_tokens: int, rounds: int) -> Row:
    """Compare and time one case."""
    setting = f"{name}, prompt {PROMPT}, {SAMPLES} samples of {new_tokens} tokens"
    say(f"  {setting}")
    both = subject(name)

    def check(ours: Drawn, theirs: Drawn) -> None:
        for side, drawn in (("ours", ours), ("the peer", theirs)):
            same(f"samples of {side}", len(drawn), SAMPLES)
            expected = _log_probs(both, [tokens for tokens, _ in drawn])
            distance = max(
                (expected[i] - torch.tensor(own, device=both.device)).abs().max() for i, (_, own) in enumerate(drawn)
            )
            close(f"log-probabilities of the samples of {side}", float(distance), 1e-3)

    times = compare(
        lambda: _ours(both, new_tokens),
        lambda: _peer(both, new_tokens),
        check,
        rounds=rounds,
        device=both.device,
    )
    peer = f"generate(do_sample, num_return_sequences={SAMPLES})"
    return Row("sampling", peer, setting, times.ours_s, times.peer_s, target=4.0)


def _ours(both: Subject, new_tokens: int) -> Drawn:
    questions = prompts(both.plain, [PROMPT])
    decoded = sample_answers(
        both.ours, questions, num_samples=SAMPLES, max_new_tokens=new_tokens, temperature=1.0, seed=0
    )
    return [(h.token_ids, h.token_log_probs) for h in decoded.hypotheses[0]]


@torch.no_grad()
def _peer(both: Subject, new_tokens: int) -> Drawn:
    embeddings = both.sequence(prompts(both.plain, [PROMPT])[0])[None]
    torch.manual_seed(0)
    config = stage2.generation_config(
        both,
        max_new_tokens=new_tokens,
        do_sample=True,
        top_k=0,
        num_return_sequences=SAMPLES,
        return_dict_in_generate=True,
        output_logits=True,
    )
    mask = torch.ones(embeddings.shape[:2], dtype=torch.long, device=both.device)
    output = both.plain.generate(inputs_embeds=embeddings, attention_mask=mask, generation_config=config)
    scores = both.plain.compute_transition_scores(output.sequences, output.logits, normalize_logits=True)
    return [(tuple(ids), tuple(own)) for ids, own in zip(output.sequences.tolist(), scores.tolist(), strict=True)]


@torch.no_grad()
def _log_probs(both: Subject, answers: Sequence[Sequence[int]]) -> list[torch.Tensor]:
    """Of every token of every answer, by one plain pass."""
    question = prompts(both.plain, [PROMPT])[0]
    embeddings, mask, positions = left_padded([both.sequence(question, answer) for answer in answers])
    longest = max(len(answer) for answer in answers)
    logits = both.plain(
        inputs_embeds=embeddings, attention_mask=mask, position_ids=positions, logits_to_keep=longest + 1
    ).logits
    log_probs = torch.log_softmax(logits.float(), dim=-1)
    return [
        log_probs[i, -len(answer) - 1 : -1].gather(-1, both.ids(answer)[:, None])[:, 0]
        for i, answer in enumerate(answers)
    ]
