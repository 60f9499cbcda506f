"""The one training loop of stages 1 and 3: AdamW, warm-up + cosine, clipping, early stopping, a checkpoint an epoch."""

import json
import math
import time
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Generic, TypeVar

import torch
from safetensors import safe_open
from safetensors.torch import save_file
from torch import Tensor, nn

from aspire_llm.config import TrainingConfig
from aspire_llm.errors import RunDirectoryError
from aspire_llm.progress import progress

Example = TypeVar("Example")


class TrainingLoop(Generic[Example]):
    """Minimise a mean loss over examples with respect to an adapter's parameters.

    Killed at any moment, the loop goes on from the last whole epoch and ends with the parameters of an uninterrupted
    one: the order of the data depends on the seed and the epoch alone.

    Args:
        title: What progress and log call the stage.
        parameters: What is learned.
        loss: Mean loss of a batch of examples, differentiable with respect to `parameters`.
        config: Epochs, batch size, schedule.
        seed: Of the data order.
        checkpoint: File of the state after each epoch; removed by `finish`.
        log: Takes one event an epoch.
    """

    def __init__(
        self,
        title: str,
        parameters: Sequence[nn.Parameter],
        loss: Callable[[Sequence[Example]], Tensor],
        config: TrainingConfig,
        *,
        seed: int,
        checkpoint: Path,
        log: Callable[..., None],
    ) -> None:
        self._title, self._loss, self._config, self._seed = title, loss, config, seed
        self._parameters = list(parameters)
        self._checkpoint, self._log = checkpoint, log
        self._optimizer = torch.optim.AdamW(
            self._parameters, lr=config.learning_rate, weight_decay=config.weight_decay, foreach=False
        )
        self._best = [parameter.detach().clone() for parameter in self._parameters]
        self._best_loss, self._best_epoch, self._epoch = math.inf, 0, 0

    def fit(self, train: Sequence[Example], validation: Sequence[Example]) -> float:
        """Train, leave the parameters of the lowest validation loss in place, and return that loss."""
        self._resume()
        steps = math.ceil(len(train) / self._config.batch_size)
        with progress(self._title, self._config.epochs * steps, done=self._epoch * steps) as bar:
            while self._epoch < self._config.epochs and self._epoch - self._best_epoch < self._config.patience:
                started = time.monotonic()
                training_loss = self._train_epoch(train, steps, bar.update)
                validation_loss = self._mean_loss(validation)
                self._epoch += 1
                if validation_loss < self._best_loss:
                    self._best_loss, self._best_epoch = validation_loss, self._epoch
                    self._best = [parameter.detach().clone() for parameter in self._parameters]
                self._save()
                self._log(
                    stage=self._title,
                    epoch=self._epoch,
                    train_loss=training_loss,
                    validation_loss=validation_loss,
                    seconds=round(time.monotonic() - started, 3),
                )
        with torch.no_grad():
            for parameter, best in zip(self._parameters, self._best, strict=True):
                parameter.copy_(best)
        return self._best_loss

    def finish(self) -> None:
        """Remove the checkpoint, once the result is saved elsewhere."""
        self._checkpoint.unlink(missing_ok=True)

    def _train_epoch(self, train: Sequence[Example], steps: int, update: Callable[[int, str], None]) -> float:
        generator = torch.Generator().manual_seed(hash((self._seed, self._epoch)) % 2**31)
        order = torch.randperm(len(train), generator=generator).tolist()
        total = 0.0
        for index in range(steps):
            batch = [train[i] for i in order[index * self._config.batch_size : (index + 1) * self._config.batch_size]]
            self._set_learning_rate(self._epoch * steps + index, self._config.epochs * steps)
            loss = self._loss(batch)
            torch.autograd.backward(loss)
            nn.utils.clip_grad_norm_(self._parameters, self._config.max_grad_norm, error_if_nonfinite=True)
            self._optimizer.step()
            self._optimizer.zero_grad()
            total += loss.item() * len(batch)
            update(1, f"epoch {self._epoch + 1} loss {loss.item():.3f}")
        return total / len(train)

    @torch.no_grad()
    def _mean_loss(self, examples: Sequence[Example]) -> float:
        size = self._config.batch_size
        batches = [examples[start : start + size] for start in range(0, len(examples), size)]
        return sum(self._loss(batch).item() * len(batch) for batch in batches) / len(examples)

    def _set_learning_rate(self, step: int, total: int) -> None:
        """Linear warm-up, then half a cosine down to 0."""
        warmup = self._config.warmup_fraction * total
        if step < warmup:
            factor = (step + 1) / (warmup + 1)
        else:
            factor = 0.5 * (1 + math.cos(math.pi * (step - warmup) / max(1.0, total - warmup)))
        for group in self._optimizer.param_groups:
            group["lr"] = self._config.learning_rate * factor

    def _save(self) -> None:
        tensors: dict[str, Tensor] = {}
        for i, (parameter, best) in enumerate(zip(self._parameters, self._best, strict=True)):
            tensors |= {f"{i}.parameter": parameter.detach(), f"{i}.best": best}
            tensors |= {f"{i}.{name}": value for name, value in self._optimizer.state[parameter].items()}
        state = json.dumps({"epoch": self._epoch, "best_epoch": self._best_epoch, "best_loss": self._best_loss})
        temporary = self._checkpoint.with_suffix(".tmp")
        save_file({k: v.cpu().contiguous() for k, v in tensors.items()}, temporary, metadata={"state": state})
        temporary.replace(self._checkpoint)

    def _resume(self) -> None:
        if not self._checkpoint.is_file():
            return
        with safe_open(self._checkpoint, framework="pt") as file:
            state = json.loads(file.metadata()["state"])
            tensors = {key: file.get_tensor(key) for key in file.keys()}  # noqa: SIM118 (not a mapping)
        if len({key.partition(".")[0] for key in tensors}) != len(self._parameters):
            raise RunDirectoryError(f"{self._checkpoint}: belongs to another adapter; remove it, or run with --fresh")
        for i, parameter in enumerate(self._parameters):
            own = {k.partition(".")[2]: v.to(parameter.device) for k, v in tensors.items() if k.startswith(f"{i}.")}
            parameter.data.copy_(own.pop("parameter"))
            self._best[i] = own.pop("best")
            own["step"] = own["step"].cpu()
            self._optimizer.state[parameter] = own
        self._epoch, self._best_epoch = state["epoch"], state["best_epoch"]
        self._best_loss = state["best_loss"]
