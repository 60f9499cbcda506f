"""Trains tokenizer and language model of the demonstration: ``python -m scripts.demo_model.train --output DIR``.

A Llama of some three million parameters reads the encyclopedia of `world.py` once. Muon updates the matrices of the
layers, AdamW the embeddings and norms. The weights stay in float32; the products run in bfloat16 where asked
(``--bfloat16``), which doubles the speed of processors with instructions for it and is slower on others.
"""

import argparse
import itertools
import json
import math
import time
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import torch
from safetensors.torch import load_file, save_file
from tokenizers import Tokenizer, decoders, models, pre_tokenizers, trainers
from transformers import LlamaConfig, LlamaForCausalLM, PreTrainedTokenizerFast

from aspire_llm.demo import DEMO_SEED
from aspire_llm.demo.world import World, build_world
from scripts.demo_model.documents import VERDICTS, training_documents

END_OF_TEXT = "<|endoftext|>"
PADDING = "<|pad|>"
WINDOW = 512  # positions
TOKENIZER_DOCUMENTS = 50_000
ENCODING_BATCH = 4096  # documents


@dataclass(frozen=True, slots=True)
class TrainingOptions:
    """What the command line sets.

    Attributes:
        output: Folder for the model and the tokenizer.
        tokens: Tokens to train on, each seen once.
        vocabulary_size: Entries of the tokenizer, the special ones included.
        layers: Transformer layers.
        rows: Sequences a step.
        row_length: Tokens a sequence.
        muon_learning_rate: Peak learning rate of the layers' matrices.
        adamw_learning_rate: Peak learning rate of everything else.
        warmup: Steps over which the learning rates rise.
        threads: Processor threads.
        seed: Seed of the weights and of the stream of documents; the world has its own, `DEMO_SEED`.
        bfloat16: Whether matrix products run in bfloat16.
    """

    output: Path
    tokens: int = 12_000_000
    vocabulary_size: int = 2048
    layers: int = 6
    rows: int = 8
    row_length: int = WINDOW
    muon_learning_rate: float = 0.02
    adamw_learning_rate: float = 4e-3
    warmup: int = 40
    threads: int = 2
    seed: int = 1
    bfloat16: bool = False

    @property
    def steps(self) -> int:
        return max(1, self.tokens // (self.rows * self.row_length))


def train_tokenizer(world: World, seed: int, vocabulary_size: int) -> PreTrainedTokenizerFast:
    """A byte-level BPE tokenizer in which " correct" and " wrong" are single tokens."""
    tokenizer = Tokenizer(models.BPE())
    tokenizer.pre_tokenizer = pre_tokenizers.ByteLevel(add_prefix_space=False)
    tokenizer.decoder = decoders.ByteLevel()
    trainer = trainers.BpeTrainer(
        vocab_size=vocabulary_size,
        special_tokens=[END_OF_TEXT, PADDING],
        initial_alphabet=pre_tokenizers.ByteLevel.alphabet(),
        show_progress=False,
    )
    documents = itertools.islice(training_documents(world, seed), TOKENIZER_DOCUMENTS)
    tokenizer.train_from_iterator(documents, trainer)
    for verdict in VERDICTS.values():
        if len(tokenizer.encode(f" {verdict}").ids) != 1:
            raise ValueError(f"' {verdict}' is not a single token: raise the vocabulary size of {vocabulary_size}")
    return PreTrainedTokenizerFast(
        tokenizer_object=tokenizer,
        eos_token=END_OF_TEXT,
        pad_token=PADDING,
        model_max_length=WINDOW,
        clean_up_tokenization_spaces=False,
    )


def packed_rows(documents: Iterator[str], tokenizer: PreTrainedTokenizerFast, length: int) -> Iterator[list[int]]:
    """Rows of `length` tokens, each a run of documents that end with the end-of-text token.

    A row begins with a document, as every prompt does later; what does not fit of its last document is dropped.
    """
    row: list[int] = []
    while True:
        batch = list(itertools.islice(documents, ENCODING_BATCH))
        for token_ids in tokenizer(batch, add_special_tokens=False).input_ids:
            row += [*token_ids, tokenizer.eos_token_id]
            if len(row) >= length:
                yield row[:length]
                row = []


def build_model(options: TrainingOptions, tokenizer: PreTrainedTokenizerFast) -> LlamaForCausalLM:
    """A freshly initialised Llama with grouped queries and tied embeddings."""
    torch.manual_seed(options.seed)
    config = LlamaConfig(
        vocab_size=len(tokenizer),
        hidden_size=192,
        intermediate_size=512,
        num_hidden_layers=options.layers,
        num_attention_heads=6,
        num_key_value_heads=3,
        max_position_embeddings=WINDOW,
        tie_word_embeddings=True,
        bos_token_id=None,
        eos_token_id=tokenizer.eos_token_id,
        pad_token_id=tokenizer.pad_token_id,
        dtype="float32",
    )
    return LlamaForCausalLM(config)


def build_optimizers(model: LlamaForCausalLM, options: TrainingOptions) -> list[torch.optim.Optimizer]:
    """Muon for the matrices of the layers, AdamW for the embeddings and the norms."""
    parameters = list(model.named_parameters())
    matrices = [p for name, p in parameters if p.ndim == 2 and "embed" not in name]
    others = [p for name, p in parameters if p.ndim != 2 or "embed" in name]
    return [
        torch.optim.Muon(matrices, lr=options.muon_learning_rate, weight_decay=0.0, momentum=0.95),
        torch.optim.AdamW(others, lr=options.adamw_learning_rate, betas=(0.9, 0.95), weight_decay=0.0),
    ]


def learning_rate_factor(step: int, options: TrainingOptions) -> float:
    """Linear warm-up, then a cosine from 1 to 0 at the last step."""
    if step < options.warmup:
        return (step + 1) / options.warmup
    progress = (step - options.warmup) / max(1, options.steps - options.warmup)
    return 0.5 * (1 + math.cos(math.pi * progress))


def train(model: LlamaForCausalLM, rows: Iterator[list[int]], options: TrainingOptions) -> float:
    """Trains in place; returns the mean loss of the last hundred steps in nats a token."""
    optimizers = build_optimizers(model, options)
    schedules = [
        torch.optim.lr_scheduler.LambdaLR(optimizer, lambda step: learning_rate_factor(step, options))
        for optimizer in optimizers
    ]
    losses: list[float] = []
    start = time.monotonic()
    model.train()
    for step in range(1, options.steps + 1):
        batch = torch.tensor(list(itertools.islice(rows, options.rows)))  # (rows, row_length)
        with torch.autocast("cpu", torch.bfloat16, enabled=options.bfloat16):
            loss = model(input_ids=batch, labels=batch).loss
        loss.backward()
        torch.nn.utils.clip_grad_norm_(model.parameters(), 1.0)
        for optimizer, schedule in zip(optimizers, schedules, strict=True):
            optimizer.step()
            schedule.step()
            optimizer.zero_grad()
        losses.append(loss.item())
        if step % 50 == 0 or step == options.steps:
            recent = losses[-50:]
            seconds = time.monotonic() - start
            print(f"step {step}/{options.steps}  loss {sum(recent) / len(recent):.4f}  {seconds:.0f} s", flush=True)
    return sum(losses[-100:]) / len(losses[-100:])


def save(model: LlamaForCausalLM, tokenizer: PreTrainedTokenizerFast, output: Path) -> None:
    """Writes the folder; the weights are stored in float16 and load as float32, the dtype in ``config.json``."""
    model.save_pretrained(output)
    tokenizer.save_pretrained(output)
    weights = output / "model.safetensors"
    halved = {name: tensor.half() for name, tensor in load_file(weights).items()}
    save_file(halved, weights, metadata={"format": "pt"})


def parse_options() -> TrainingOptions:
    """The options of the command line."""
    defaults = TrainingOptions(output=Path())
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("--output", type=Path, required=True, help="folder for the model and the tokenizer")
    for name in ("tokens", "vocabulary_size", "layers", "rows", "row_length", "warmup", "threads", "seed"):
        parser.add_argument(f"--{name.replace('_', '-')}", type=int, default=getattr(defaults, name))
    for name in ("muon_learning_rate", "adamw_learning_rate"):
        parser.add_argument(f"--{name.replace('_', '-')}", type=float, default=getattr(defaults, name))
    parser.add_argument("--bfloat16", action="store_true", help="run the matrix products in bfloat16")
    return TrainingOptions(**vars(parser.parse_args()))


def main() -> None:
    """Trains and saves."""
    options = parse_options()
    torch.set_num_threads(options.threads)
    world = build_world(DEMO_SEED)
    tokenizer = train_tokenizer(world, options.seed, options.vocabulary_size)
    model = build_model(options, tokenizer)
    print(f"{sum(p.numel() for p in model.parameters()):,} parameters, {options.steps} steps", flush=True)
    start = time.monotonic()
    rows = packed_rows(training_documents(world, options.seed), tokenizer, options.row_length)
    loss = train(model, rows, options)
    save(model, tokenizer, options.output)
    summary = {"final_loss": round(loss, 4), "steps": options.steps, "seconds": round(time.monotonic() - start)}
    print(json.dumps(summary))


if __name__ == "__main__":
    main()
