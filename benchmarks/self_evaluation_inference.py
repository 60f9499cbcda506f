"""P(z_c) of an answer just decoded: `evaluate_decoded` on the decoder's cache.

Against the naive new pass over `[θp] [x] [ŷ] [θs]`, and against the time that the greedy answer itself takes (ours or
`generate`'s, whichever is shorter): a ratio of 8.3 is 12% of it. Prompt lengths count θp's 50 soft tokens.
"""

from collections.abc import Iterator

import torch

from aspire_llm.lm.decoding.beam_search import beam_search
from aspire_llm.lm.self_evaluation import evaluate_decoded, log_self_evaluation
from benchmarks import stage2_beam_search as stage2
from benchmarks.measure import Row, Settings, Times, close, compare, same, say
from benchmarks.models import Subject, prompts, subject

PROMPT, NEW_TOKENS = 650, 16
_PATH = "self_evaluation_inference"


def rows(settings: Settings) -> Iterator[Row]:
    """Both comparisons on each model."""
    for name in settings.models:
        yield from rows_of(name, 3 * settings.rounds)


def rows_of(name: str, rounds: int) -> list[Row]:
    """Both comparisons on one model."""
    setting = f"{name}, prompt {PROMPT}, answer of {NEW_TOKENS} tokens"
    say(f"  {setting}")
    both = subject(name)
    times = _evaluation(both, rounds)
    greedy_s = min(_greedy(both, rounds))
    return [
        Row(_PATH, "naive new pass", setting, times.ours_s, times.peer_s, target=8.0),
        Row(_PATH, "the greedy answer itself", setting, times.ours_s, greedy_s, target=1 / 0.12),
    ]


@torch.no_grad()
def _evaluation(both: Subject, rounds: int) -> Times:
    questions = prompts(both.plain, [PROMPT])
    decoded = beam_search(both.ours, questions, num_beams=1, max_new_tokens=NEW_TOKENS)
    chosen = [decoded.hypotheses[0][0]]
    inputs = both.sequence(questions[0], chosen[0].answer_ids, verdict=True)[None]

    def naive() -> torch.Tensor:
        logits = both.plain(inputs_embeds=inputs, use_cache=False, logits_to_keep=1).logits[:, -1].float()
        return log_self_evaluation(logits, both.verdict_tokens)

    def check(ours: torch.Tensor, theirs: torch.Tensor) -> None:
        close("log P(z_c)", float((ours - theirs).abs().max()), 1e-4)

    return compare(
        lambda: evaluate_decoded(both.ours, decoded, chosen, both.verdict_tokens),
        naive,
        check,
        rounds=rounds,
        device=both.device,
    )


def _greedy(both: Subject, rounds: int) -> tuple[float, float]:
    """Seconds of the greedy answer: ours, and `generate`'s."""
    questions = prompts(both.plain, [PROMPT])
    embeddings = both.sequence(questions[0])[None]

    def ours() -> list[int]:
        decoded = beam_search(both.ours, questions, num_beams=1, max_new_tokens=NEW_TOKENS)
        return list(decoded.hypotheses[0][0].token_ids)

    @torch.no_grad()
    def generate() -> list[int]:
        mask = torch.ones(embeddings.shape[:2], dtype=torch.long, device=both.device)
        config = stage2.generation_config(both, max_new_tokens=NEW_TOKENS)
        output: torch.Tensor = both.plain.generate(
            inputs_embeds=embeddings, attention_mask=mask, generation_config=config
        )
        return list(output[0].tolist())

    times = compare(
        ours, generate, lambda a, b: same("greedy answer", a, b), rounds=max(1, rounds // 2), device=both.device
    )
    return times.ours_s, times.peer_s
