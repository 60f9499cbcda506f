"""How fast this machine is right now, and the least time that it needs for a job.

The limit counts what cannot be avoided: each prompt position once, each decode step's weights read once, the keys and
values of a question read once a step for all its beams, and the backward pass through θs's rows alone.
"""

import platform
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from importlib.metadata import version
from pathlib import Path
from statistics import median
from typing import Any

import torch
from torch import nn
from transformers import PreTrainedModel
from transformers.pytorch_utils import Conv1D

_FLOAT_BYTES = 4


@dataclass(frozen=True, slots=True)
class Limits:
    """Speed of the machine: float32 multiply-adds (counted as two) and bytes read, a second."""

    flops: float
    read_bytes: float

    @classmethod
    def median(cls, probes: Sequence["Limits"]) -> "Limits":
        """What the machine gave while something was measured, each speed for itself."""
        return cls(median(probe.flops for probe in probes), median(probe.read_bytes for probe in probes))

    def better(self, other: "Limits") -> "Limits":
        """The faster of two probes, each speed for itself: what a neighbour slowed down is no limit."""
        return Limits(max(self.flops, other.flops), max(self.read_bytes, other.read_bytes))


@dataclass(frozen=True, slots=True)
class Size:
    """What a model's work depends on.

    Attributes:
        weights: Numbers in the linear layers, the output matrix aside.
        head: Numbers in the output matrix.
        query_width: Of all heads together, summed over layers.
        cache_width: Numbers that the cache holds a position, keys and values of all layers.
        layers: How many.
        width: Of the hidden states.
    """

    weights: int
    head: int
    query_width: int
    cache_width: int
    layers: int
    width: int

    @property
    def prefix_weights(self) -> float:
        """Numbers in the linear layers that keys and values depend on: of the last layer, just their own."""
        return self.weights * (1 - 1 / self.layers) + self.width * self.cache_width / self.layers


def wait() -> None:
    """Until a GPU, where there is one, has done what it was told to."""
    if torch.cuda.is_available():
        torch.cuda.synchronize()


@torch.no_grad()
def probe(device: torch.device) -> Limits:
    """Best of a few runs of the fastest large product there is, and of a sum over more memory than caches hold."""
    size, numbers = (2048, 64 * 2**20) if device.type == "cpu" else (8192, 512 * 2**20)
    left, right = (torch.randn(size, size, device=device) for _ in range(2))
    large = torch.randn(numbers, device=device)
    products = [lambda: left @ right]
    if (
        device.type == "cpu" and torch.backends.mkldnn.is_available()
    ):  # faster by half or more where `@` is not oneDNN's
        packed = torch.ops.mkldnn._reorder_linear_weight(right, None)
        products.append(lambda: torch.ops.mkldnn._linear_pointwise(left, packed, None, "none", [], ""))
    return Limits(
        flops=2 * size**3 / min(_best(product) for product in products),
        read_bytes=large.nbytes / _best(large.sum),
    )


def size(model: PreTrainedModel) -> Size:
    """The sizes of a model."""
    config = model.config.get_text_config()
    head = model.get_output_embeddings()
    layers = [m for m in model.modules() if isinstance(m, nn.Linear | Conv1D) and m is not head]
    head_width = getattr(config, "head_dim", None) or config.hidden_size // config.num_attention_heads
    cache_heads = getattr(config, "num_key_value_heads", None) or config.num_attention_heads
    return Size(
        weights=sum(layer.weight.numel() for layer in layers),
        head=head.weight.numel(),
        query_width=config.num_attention_heads * head_width * config.num_hidden_layers,
        cache_width=2 * cache_heads * head_width * config.num_hidden_layers,
        layers=config.num_hidden_layers,
        width=config.hidden_size,
    )


def prefill_seconds(size: Size, limits: Limits, positions: Sequence[int]) -> float:
    """Read prompts once, logits at their ends."""
    # Causal attention: half of the T² pairs, two products of query width each.
    flops = sum(2 * size.weights * n + 2 * n * n * size.query_width for n in positions)
    return (flops + 2 * size.head * len(positions)) / limits.flops


def decode_seconds(size: Size, limits: Limits, positions: Sequence[int], steps: Sequence[int], beams: int) -> float:
    """Decode answers after prompts that are in the cache: the first token of each comes from the prompt's logits.

    Args:
        size: Of the model.
        limits: Of the machine.
        positions: Of each question's prompt.
        steps: Tokens until each question is settled.
        beams: Rows a question.
    """
    total = 0.0
    for step in range(1, max(steps)):
        contexts = [n + step for n, own in zip(positions, steps, strict=True) if own > step]
        rows = beams * len(contexts)
        flops = 2 * rows * (size.weights + size.head) + 4 * beams * sum(contexts) * size.query_width
        read = _FLOAT_BYTES * (size.weights + size.head + sum(contexts) * size.cache_width)
        total += max(flops / limits.flops, read / limits.read_bytes)
    return total


def verdict_step_seconds(size: Size, limits: Limits, prompt: int, answers: Sequence[int], soft_tokens: int) -> float:
    """One question of stage 3: prompt and answers until their keys and values are known, θs's rows both ways."""
    reading = size.query_width * (1 - 1 / size.layers)
    prefix = 2 * size.prefix_weights * (prompt + sum(answers))
    # Causal attention over the prompt is half of its pairs; every answer token attends to all of it.
    prefix += 2 * prompt * prompt * reading + 4 * sum(answers) * prompt * reading
    rows = soft_tokens * len(answers)
    # Backward with respect to the inputs costs what forward costs: no weight has a gradient.
    verdicts = 2 * (2 * size.weights * rows + 4 * rows * prompt * size.query_width)
    return (prefix + verdicts + 4 * size.head * len(answers)) / limits.flops


def describe(device: torch.device) -> dict[str, Any]:
    """What results depend on, ready for JSON."""
    packages = ("aspire-llm", "torch", "transformers", "peft", "accelerate", "tokenizers")
    return {
        "date": datetime.now(UTC).strftime("%Y-%m-%d %H:%M UTC"),
        "processor": torch.cuda.get_device_name(device) if device.type == "cuda" else _processor(),
        "system": f"{platform.system()} {platform.machine()}",
        "threads": torch.get_num_threads(),
        "versions": {"python": platform.python_version()} | {package: version(package) for package in packages},
    }


def _processor() -> str:
    """Its name and vector instructions, where the system tells."""
    information = Path("/proc/cpuinfo")
    if not information.is_file():
        return platform.processor()
    text = information.read_text(encoding="utf-8")
    fields = dict(line.split(":", 1) for line in text.split("\n\n")[0].splitlines() if ":" in line)
    return next((value.strip() for key, value in fields.items() if key.strip() == "model name"), platform.machine())


def _best(job: Callable[[], object], runs: int = 5) -> float:
    job()
    times = []
    for _ in range(runs):
        wait()
        started = time.perf_counter()
        job()
        wait()
        times.append(time.perf_counter() - started)
    return min(times)
