"""Naive slow references, independent of the prefix cache."""

import inspect
from collections.abc import Sequence

import pytest
import torch
from torch import Tensor
from transformers import AutoModelForCausalLM, GenerationConfig, PreTrainedModel

from aspire_llm.lm.adapted_model import AdaptedModel
from aspire_llm.lm.adapters import SoftPrompt
from aspire_llm.lm.decoding.beam_search import beam_search
from aspire_llm.lm.decoding.hypotheses import Decoded
from aspire_llm.lm.model import Backbone
from aspire_llm.lm.self_evaluation import evaluate_decoded
from aspire_llm.lm.tokenization import EncodedPrompt, Encoder
from aspire_llm.records import Question
from aspire_llm.stages.stage1_task_tuning import TaskExample, task_loss
from aspire_llm.stages.stage3_self_evaluation import VerdictExample, verdict_loss

_PAIR = (7, 11)
_TEXTS = ["Where?", "Where was the old piano built, and is it correct that it was never played?", "Who built it?"]
_CONTEXT = "The old piano was built in a small town by the sea, long before the war."


def encoder_of(backbone: Backbone) -> Encoder:
    return Encoder(backbone, max_answer_tokens=32, soft_tokens=10)


def soft_prompt(backbone: Backbone, *, length: int = 5, seed: int = 1) -> SoftPrompt:
    return SoftPrompt.initialise(backbone, length, seed)


def adapted(backbone: Backbone) -> AdaptedModel:
    """With a θp and a θs of unequal lengths."""
    return AdaptedModel(backbone, soft_prompt(backbone, seed=1), soft_prompt(backbone, length=4, seed=2))


def prompts_of(backbone: Backbone, texts: Sequence[str], context: str | None = None) -> list[EncodedPrompt]:
    questions = [Question(str(i), text, context=context) for i, text in enumerate(texts)]
    return [encoder_of(backbone).prompt(question) for question in questions]


def set_terminator(model: AdaptedModel, prompts: Sequence[EncodedPrompt]) -> None:
    """A token that beams choose, so that some hypotheses end and others do not."""
    rows = beam_search(model, prompts, num_beams=4, max_new_tokens=6).hypotheses
    tokens = [token for row in rows for h in row for token in h.token_ids[2:]]
    model.backbone.eos_token_id = max(sorted(set(tokens)), key=tokens.count)


def sequence_embeddings(
    model: AdaptedModel, prompt: EncodedPrompt, answer: Sequence[int] = (), *, verdict: bool = False
) -> Tensor:
    """`[θp] [x] [ŷ] [θs]` of one question, `[1, T, d]`, put together by hand."""
    parts = [model.task.soft_tokens(), model.backbone.embed(_ids(model, prompt.token_ids))]
    if answer:
        parts.append(model.backbone.embed(_ids(model, answer)))
    if verdict:
        parts.append(model.self_evaluation.soft_tokens())
    return torch.cat(parts)[None].to(model.backbone.dtype)


def _ids(model: AdaptedModel, token_ids: Sequence[int]) -> Tensor:
    return torch.tensor(token_ids, device=model.backbone.device)


def full_forward(model: AdaptedModel, embeddings: Tensor) -> Tensor:
    """Logits of one unpadded sequence, `[T, V]`, by a plain causal forward of the model."""
    positions = torch.arange(embeddings.shape[1], device=embeddings.device)[None]
    return model.backbone.model(inputs_embeds=embeddings, position_ids=positions, use_cache=False).logits[0]


def left_padded(model: AdaptedModel, prompts: Sequence[EncodedPrompt]) -> tuple[Tensor, Tensor]:
    """`[padding] [θp] [x]` of several questions, `[B, T, d]`, and the 2-D mask."""
    rows = [sequence_embeddings(model, prompt)[0].detach() for prompt in prompts]
    longest = max(len(row) for row in rows)
    padded = [torch.cat([row.new_full((longest - len(row), row.shape[1]), 0.5), row]) for row in rows]
    mask = torch.tensor([[0] * (longest - len(row)) + [1] * len(row) for row in rows], device=rows[0].device)
    return torch.stack(padded), mask


def text_model(model: PreTrainedModel) -> PreTrainedModel:
    """The model; of one that reads images, whose `generate` takes no embeddings, the same weights as one of text."""
    if "inputs_embeds" in inspect.signature(model.prepare_inputs_for_generation).parameters:
        return model
    twin = AutoModelForCausalLM.from_config(model.config.get_text_config())
    twin.model, twin.lm_head = model.get_decoder(), model.get_output_embeddings()
    return twin.eval()


def generate(model: AdaptedModel, prompts, *, num_beams, max_new_tokens, length_penalty):
    """The reference: transformers' own beam search on left-padded embeddings."""
    embeddings, mask = left_padded(model, prompts)
    output = text_model(model.backbone.model).generate(
        inputs_embeds=embeddings,
        attention_mask=mask,
        generation_config=GenerationConfig(
            num_beams=num_beams,
            num_return_sequences=num_beams,
            max_new_tokens=max_new_tokens,
            length_penalty=length_penalty,
            early_stopping=False,
            do_sample=False,
            eos_token_id=list(model.terminators),
            pad_token_id=model.backbone.tokenizer.pad_token_id,
            return_dict_in_generate=True,
            output_scores=True,
        ),
    )
    lengths = (output.beam_indices >= 0).sum(-1).tolist()
    sequences = [tuple(row[:length]) for row, length in zip(output.sequences.tolist(), lengths, strict=True)]
    scores = output.sequences_scores.tolist()
    return [
        list(zip(sequences[i : i + num_beams], scores[i : i + num_beams], strict=True))
        for i in range(0, len(sequences), num_beams)
    ]


def beams_equal_generate(model: AdaptedModel, prompts: Sequence[EncodedPrompt]) -> Decoded:
    """Hold four beams of ten tokens against `generate`; what was decoded."""
    decoded = beam_search(model, prompts, num_beams=4, max_new_tokens=10)
    theirs = generate(model, prompts, num_beams=4, max_new_tokens=10, length_penalty=0.0)
    assert any(h.terminated for row in decoded.hypotheses for h in row)
    for ours, expected in zip(decoded.hypotheses, theirs, strict=True):
        assert [h.token_ids for h in ours] == [sequence for sequence, _ in expected]
        assert [sum(h.token_log_probs) for h in ours] == pytest.approx([score for _, score in expected], abs=1e-4)
    return decoded


def count_passes(monkeypatch: pytest.MonkeyPatch) -> list[tuple[int, int]]:
    """Batch and rows of every pass from now on."""
    passes: list[tuple[int, int]] = []
    forward = Backbone.forward

    def counted(self, embeddings, **kwargs):
        passes.append(tuple(embeddings.shape[:2]))
        return forward(self, embeddings, **kwargs)

    monkeypatch.setattr(Backbone, "forward", counted)
    return passes


def everything(backbone: Backbone) -> tuple[list[tuple[int, ...]], list[Tensor]]:
    """The answers, then their log-probabilities, verdicts, and losses and gradients of stages 1 and 3."""
    model, prompts = adapted(backbone), prompts_of(backbone, _TEXTS, _CONTEXT)
    decoded = beam_search(model, prompts, num_beams=4, max_new_tokens=8)
    hypotheses = [h for own in decoded.hypotheses for h in own]
    verdicts = evaluate_decoded(model, decoded, [own[0] for own in decoded.hypotheses], _PAIR)
    task = task_loss(model, [TaskExample(prompt, (5, 6, 0)) for prompt in prompts])
    verdict = verdict_loss(model, _PAIR, [VerdictExample(prompts[1], ((5, 6),), ((5, 8, 9), ()))])
    gradients = (
        torch.autograd.grad(loss.sum(), adapter.parameters())[0]
        for loss, adapter in ((task, model.task), (verdict, model.self_evaluation))
    )
    log_probs = torch.tensor([log_prob for h in hypotheses for log_prob in h.token_log_probs])
    return [h.token_ids for h in hypotheses], [log_probs, verdicts, task.detach(), verdict.detach(), *gradients]
