"""AdamW on an adapter's parameters, with the paper's cosine schedule; remembers the best parameters."""

import math
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import torch
from jaxtyping import Float
from torch import Tensor, nn

from aspire_llm.config import TrainingConfig
from aspire_llm.errors import RunDirectoryError
from aspire_llm.lm.tensor_file import read_tensors, write_tensors
from aspire_llm.processes import processes


class AdapterOptimizer:
    """One optimiser step after another.

    Args:
        parameters: What is learned.
        config: Learning rate, its schedule, clipping, weight decay.
    """

    def __init__(self, parameters: Sequence[nn.Parameter], config: TrainingConfig) -> None:
        self._parameters, self._config = list(parameters), config
        self._adamw = torch.optim.AdamW(
            self._parameters, lr=config.learning_rate, weight_decay=config.weight_decay, foreach=False
        )
        self.keep_best()

    def share_gradient(self, loss: Float[Tensor, ""]) -> None:
        """Put the sums over all processes in the place of the gradient and of a loss.

        Where the processes have split the model, each has the whole sum, and all take the main process's.
        """
        if processes().count == 1:
            return
        gradients = []
        for parameter in self._parameters:
            if parameter.grad is None:  # this process had no part in the batch
                parameter.grad = torch.zeros_like(parameter)
            gradients.append(parameter.grad)
        processes().add_up([*gradients, loss])
        processes().agree([*gradients, loss])

    def clip_gradient(self) -> Float[Tensor, ""]:
        """Clip the gradient to `max_grad_norm`; its norm before."""
        return nn.utils.clip_grad_norm_(self._parameters, self._config.max_grad_norm)

    def forget_gradient(self) -> None:
        """As if there had been no backward pass since the last step."""
        self._adamw.zero_grad()

    def step(self, number: int, total: int) -> None:
        """Change the parameters by their gradients, which are then forgotten.

        Args:
            number: Of this step, from 0.
            total: Steps that the schedule spans.
        """
        for group in self._adamw.param_groups:
            group["lr"] = self.learning_rate(number, total)
        self._adamw.step()
        self.forget_gradient()

    def learning_rate(self, number: int, total: int) -> float:
        """Linear warm-up, then half a cosine down to 0."""
        warmup = self._config.warmup_fraction * total
        if number < warmup:
            return self._config.learning_rate * (number + 1) / (warmup + 1)
        part = (number - warmup) / max(1.0, total - warmup)
        return self._config.learning_rate * 0.5 * (1 + math.cos(math.pi * part))

    def keep_best(self) -> None:
        """The parameters as they are now are the best so far."""
        self._best = [parameter.detach().clone() for parameter in self._parameters]

    @torch.no_grad()
    def restore_best(self) -> None:
        """Put the best parameters in place."""
        for parameter, best in zip(self._parameters, self._best, strict=True):
            parameter.copy_(best)

    def save(self, path: Path, progress: Mapping[str, Any]) -> None:
        """Everything that later steps depend on, with the caller's own state (ready for JSON)."""
        tensors: dict[str, Tensor] = {}
        for i, (parameter, best) in enumerate(zip(self._parameters, self._best, strict=True)):
            state = {"parameter": parameter, "best": best, **self._adamw.state[parameter]}
            tensors |= {f"{i}.{name}": tensor for name, tensor in state.items()}
        write_tensors(path, tensors, progress)

    def load(self, path: Path) -> dict[str, Any]:
        """Go on from what `save` wrote; the caller's own state.

        Raises:
            RunDirectoryError: The file is of another adapter.
        """
        tensors, progress = read_tensors(path)
        if len({key.partition(".")[0] for key in tensors}) != len(self._parameters):
            raise RunDirectoryError(f"{path}: belongs to another adapter; remove it, or run with --fresh")
        for i, parameter in enumerate(self._parameters):
            own = {k.partition(".")[2]: v.to(parameter.device) for k, v in tensors.items() if k.startswith(f"{i}.")}
            parameter.data.copy_(own.pop("parameter"))
            self._best[i] = own.pop("best")
            if own:  # it had a gradient
                own["step"] = own["step"].cpu()
                self._adamw.state[parameter] = own
        return progress
