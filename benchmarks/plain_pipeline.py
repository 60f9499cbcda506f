"""ASPIRE as a user would write it on transformers and peft: the peer of the whole pipeline.

Prompt tuning with `peft` and `Trainer`, answers from `generate`, self-evaluation learned and asked for by full passes.
Nothing of it is careless: no gradient where none is needed, logits at the last position alone, batches sorted by
length, soft tokens before the question in left-padded batches (where peft's own `generate` puts them wrongly).
"""

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch
from peft import PromptTuningConfig, get_peft_model
from torch import Tensor
from transformers import (
    DataCollatorForSeq2Seq,
    GenerationConfig,
    PreTrainedModel,
    PreTrainedTokenizerFast,
    PrinterCallback,
    Trainer,
    TrainingArguments,
    get_cosine_schedule_with_warmup,
)

from aspire_llm.config import RunConfig, TrainingConfig
from aspire_llm.correctness import rouge_l
from aspire_llm.data import render_prompt
from aspire_llm.records import Question
from benchmarks.models import left_padded

Pair = tuple[Sequence[int], Sequence[int]]  # tokens of a prompt, and of an answer with its terminator
Judged = tuple[list[int], list[list[int]], list[list[int]]]  # tokens of a prompt, of correct and of wrong answers


@dataclass(frozen=True, slots=True)
class Answer:
    """A generated answer: tokens without terminator, and the mean log-probability with it."""

    token_ids: tuple[int, ...]
    text: str
    log_likelihood: float


def tune_task(
    model: PreTrainedModel,
    tokenizer: PreTrainedTokenizerFast,
    train: Sequence[Pair],
    validation: Sequence[Pair],
    initial: Tensor,
    config: TrainingConfig,
    directory: Path,
) -> Tensor:
    """Stage 1: θp `[l, d]`, of the lowest validation loss where there is a validation split."""
    tuned = get_peft_model(model, PromptTuningConfig(task_type="CAUSAL_LM", num_virtual_tokens=len(initial)))
    embedding = tuned.prompt_encoder["default"].embedding.weight
    embedding.data.copy_(initial)
    when = "epoch" if validation else "no"
    arguments = TrainingArguments(
        output_dir=str(directory),
        per_device_train_batch_size=config.batch_size,
        per_device_eval_batch_size=config.batch_size,
        num_train_epochs=config.epochs,
        learning_rate=config.learning_rate,
        weight_decay=config.weight_decay,
        max_grad_norm=config.max_grad_norm,
        lr_scheduler_type="cosine",
        warmup_steps=config.warmup_fraction,
        train_sampling_strategy="group_by_length",
        eval_strategy=when,
        save_strategy=when,
        load_best_model_at_end=bool(validation),
        prediction_loss_only=True,
        logging_strategy="no",
        report_to=[],
        disable_tqdm=True,
        use_cpu=initial.device.type == "cpu",
        label_names=["labels"],
    )
    # Right padding: peft's soft tokens then stand right before the question.
    collate = DataCollatorForSeq2Seq(tokenizer, padding=True)
    trainer = Trainer(
        tuned,
        arguments,
        train_dataset=training_lines(train),
        eval_dataset=training_lines(validation) or None,
        data_collator=collate,
    )
    trainer.remove_callback(PrinterCallback)
    trainer.train()
    model.eval()
    return tuned.prompt_encoder["default"].embedding.weight.detach()


def training_lines(pairs: Sequence[Pair]) -> list[dict[str, list[int]]]:
    """What the collator pads: the loss is of the answers' tokens alone."""
    return [
        {
            "input_ids": [*prompt, *answer],
            "attention_mask": [1] * (len(prompt) + len(answer)),
            "labels": [-100] * len(prompt) + [*answer],
        }
        for prompt, answer in pairs
    ]


@torch.no_grad()
def answer(
    model: PreTrainedModel,
    tokenizer: PreTrainedTokenizerFast,
    questions: Sequence[Question],
    theta_p: Tensor,
    config: RunConfig,
) -> list[list[Answer]]:
    """Stage 2, and the answers of prediction: k answers a question, likeliest first."""
    prompts = [tokenizer(render_prompt(question))["input_ids"] for question in questions]
    order = sorted(range(len(prompts)), key=lambda i: len(prompts[i]))
    size, beams = config.stage2.batch_size, config.stage2.num_beams
    generation = GenerationConfig(
        num_beams=beams,
        num_return_sequences=beams,
        max_new_tokens=config.stage2.max_new_tokens,
        length_penalty=config.stage2.length_penalty,
        early_stopping=False,
        eos_token_id=tokenizer.eos_token_id,
        pad_token_id=tokenizer.eos_token_id,
        return_dict_in_generate=True,
        output_scores=True,
    )
    embed = model.get_input_embeddings()
    answers: dict[int, list[Answer]] = {}
    for start in range(0, len(order), size):
        batch = order[start : start + size]
        rows = [torch.cat([theta_p, embed(torch.tensor(prompts[i]))]) for i in batch]
        embeddings, mask, _ = left_padded(rows)
        output = model.generate(inputs_embeds=embeddings, attention_mask=mask, generation_config=generation)
        found = _answers(output, tokenizer, config.stage2.length_penalty)
        answers |= {i: found[j * beams : (j + 1) * beams] for j, i in enumerate(batch)}
    return [answers[i] for i in range(len(questions))]


def _answers(output: Any, tokenizer: PreTrainedTokenizerFast, length_penalty: float) -> list[Answer]:
    lengths = (output.beam_indices >= 0).sum(-1).tolist()
    found = []
    for ids, length, score in zip(output.sequences.tolist(), lengths, output.sequences_scores.tolist(), strict=True):
        own = ids[:length]
        if own[-1] == tokenizer.eos_token_id:
            own = own[:-1]
        text = tokenizer.decode(own, skip_special_tokens=True).strip()
        found.append(Answer(tuple(own), text, score * length**length_penalty / length))
    return found


def judge(
    tokenizer: PreTrainedTokenizerFast, questions: Sequence[Question], answers: list[list[Answer]], config: RunConfig
) -> list[Judged]:
    """Label the answers and choose those to learn from: the reference and k_c correct ones, k_w wrong ones."""
    judged = []
    for question, found in zip(questions, answers, strict=True):
        reference = question.references[0]
        seen = {reference}
        correct, wrong = [tokenizer(reference)["input_ids"]], []
        for one in found:
            if one.text in seen:
                continue
            is_correct = rouge_l(one.text, question.references) > config.correctness.train_threshold
            if is_correct and len(correct) <= config.stage3.max_correct:
                correct.append(list(one.token_ids))
            elif not is_correct and len(wrong) < config.stage3.max_wrong:
                wrong.append(list(one.token_ids))
            else:
                continue
            seen.add(one.text)
        judged.append((tokenizer(render_prompt(question))["input_ids"], correct, wrong or [[]]))
    return judged


def learn_self_evaluation(
    model: PreTrainedModel,
    verdict_tokens: tuple[int, int],
    train: Sequence[Judged],
    validation: Sequence[Judged],
    theta_p: Tensor,
    initial: Tensor,
    config: TrainingConfig,
) -> Tensor:
    """Stage 3: θs `[l, d]`, of the lowest validation loss; gradients accumulate question by question."""
    theta_s = torch.nn.Parameter(initial.clone())
    optimizer = torch.optim.AdamW([theta_s], lr=config.learning_rate, weight_decay=config.weight_decay)
    steps = config.epochs * -(-len(train) // config.batch_size)
    schedule = get_cosine_schedule_with_warmup(optimizer, int(config.warmup_fraction * steps), steps)
    best, best_loss = theta_s.detach().clone(), float("inf")
    generator = torch.Generator().manual_seed(0)
    for _ in range(config.epochs):
        for indices in torch.randperm(len(train), generator=generator).split(config.batch_size):
            for i in indices.tolist():
                loss = verdict_loss(model, verdict_tokens, train[i], theta_p, theta_s) / len(indices)
                torch.autograd.backward(loss)
            torch.nn.utils.clip_grad_norm_([theta_s], config.max_grad_norm)
            optimizer.step()
            schedule.step()
            optimizer.zero_grad()
        with torch.no_grad():
            losses = [verdict_loss(model, verdict_tokens, one, theta_p, theta_s) for one in validation]
        if (mean := float(torch.stack(losses).mean())) < best_loss:
            best, best_loss = theta_s.detach().clone(), mean
    return best


def verdict_loss(
    model: PreTrainedModel, verdict_tokens: tuple[int, int], judged: Judged, theta_p: Tensor, theta_s: Tensor
) -> Tensor:
    """Of one question, its answers as a batch."""
    prompt, correct, wrong = judged
    log_probs = torch.log_softmax(_verdicts(model, [(prompt, ids) for ids in correct + wrong], theta_p, theta_s), -1)
    split = len(correct)
    return -log_probs[:split, verdict_tokens[0]].mean() - log_probs[split:, verdict_tokens[1]].mean()


@torch.no_grad()
def self_evaluate(
    model: PreTrainedModel, verdict_tokens: tuple[int, int], pairs: Sequence[Pair], theta_p: Tensor, theta_s: Tensor
) -> Tensor:
    """log P(z_c) of each pair of a prompt and an answer, by a new pass over all of it."""
    logits = _verdicts(model, pairs, theta_p, theta_s)
    return torch.log_softmax(logits[:, list(verdict_tokens)], dim=-1)[:, 0]


def _verdicts(model: PreTrainedModel, pairs: Sequence[Pair], theta_p: Tensor, theta_s: Tensor) -> Tensor:
    embed = model.get_input_embeddings()
    rows = [torch.cat([theta_p, embed(torch.tensor([*prompt, *ids])), theta_s]) for prompt, ids in pairs]
    embeddings, mask, positions = left_padded(rows)
    output = model(
        inputs_embeds=embeddings, attention_mask=mask, position_ids=positions, use_cache=False, logits_to_keep=1
    )
    return output.logits[:, -1].float()
