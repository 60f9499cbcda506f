"""The one training loop of stages 1 and 3: batches of like length, early stopping, one checkpoint per epoch."""

import math
import time
from collections.abc import Callable, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Generic, TypeVar

import torch
from jaxtyping import Float
from torch import Tensor, nn

from aspire_llm.config import TrainingConfig
from aspire_llm.errors import ModelError
from aspire_llm.lm.adapter_optimizer import AdapterOptimizer
from aspire_llm.lm.batching import Batch, parts_of, training_batches
from aspire_llm.lm.out_of_memory import smaller_after
from aspire_llm.processes import processes
from aspire_llm.progress import progress
from aspire_llm.rundir.writing import remove

Example = TypeVar("Example")

_WITHOUT_GRADIENT = 4  # times as many examples fit into a pass whose activations are not kept


@dataclass(slots=True)
class _Progress:
    epoch: int = 0
    best_epoch: int = 0
    best_loss: float = math.inf


class TrainingLoop(Generic[Example]):
    """Minimise a mean loss over examples with respect to an adapter's parameters.

    Killed at any moment, the loop goes on from the last whole epoch and ends with the parameters of an uninterrupted
    one: the order of the data depends on the seed and the epoch alone. Examples of like length share a batch for all
    epochs; the order of the batches is drawn anew for each. A batch goes through the model in as many passes as the
    token budget asks for, which changes no gradient; in more where memory runs out. Several processes take a part of
    each batch, add up their gradients and take the same steps.

    Args:
        title: What progress and log call the stage.
        parameters: What is learned.
        loss: Loss of each of n examples, differentiable with respect to `parameters`.
        length: Positions that an example takes in a pass.
        config: Epochs, batch size, schedule.
        seed: Of the data order.
        checkpoint: File of the state after each epoch; removed by `finish`.
        log: Takes one event per epoch, again in place of what it took of an epoch that is trained again.
        give_up: Where memory runs out, gives back what is held for speed alone; whether there was any.
    """

    def __init__(
        self,
        title: str,
        parameters: Sequence[nn.Parameter],
        loss: Callable[[Sequence[Example]], Float[Tensor, " examples"]],
        length: Callable[[Example], int],
        config: TrainingConfig,
        *,
        seed: int,
        checkpoint: Path,
        log: Callable[..., None],
        give_up: Callable[[], bool] = lambda: False,
    ) -> None:
        self._title, self._loss, self._length = title, loss, length
        self._config, self._seed = config, seed
        self._checkpoint, self._log, self._give_up = checkpoint, log, give_up
        self._optimizer, self._at = AdapterOptimizer(parameters, config), _Progress()
        self._most = _WITHOUT_GRADIENT * config.batch_size  # examples per pass; fewer once memory has run out

    def fit(self, train: Sequence[Example], validation: Sequence[Example]) -> float:
        """Train, leave the parameters of the lowest validation loss in place, and return that loss.

        Raises:
            ModelError: A loss or gradient is not finite.
            RunDirectoryError: The checkpoint is of another adapter.
        """
        if self._checkpoint.is_file():
            self._at = _Progress(**self._optimizer.load(self._checkpoint))
        config, at = self._config, self._at
        batches, held_out = (
            training_batches(examples, self._length, most, config.tokens_per_pass, seed=self._seed)
            for examples, most in ((train, config.batch_size), (validation, _WITHOUT_GRADIENT * config.batch_size))
        )
        with progress(self._title, config.epochs * len(batches), done=at.epoch * len(batches)) as bar:
            while at.epoch < config.epochs and at.epoch - at.best_epoch < config.patience:
                started = time.monotonic()
                losses = {"train_loss": self._train_epoch(batches, bar.update), "validation_loss": self._mean(held_out)}
                at.epoch += 1
                if losses["validation_loss"] < at.best_loss:
                    at.best_loss, at.best_epoch = losses["validation_loss"], at.epoch
                    self._optimizer.keep_best()
                seconds = round(time.monotonic() - started, 3)
                # Before the checkpoint: killed in between, the epoch is trained and taken down again.
                self._log(stage=self._title, epoch=at.epoch, **losses, seconds=seconds)
                self._optimizer.save(self._checkpoint, asdict(at))
        self._optimizer.restore_best()
        return at.best_loss

    def finish(self) -> None:
        """Remove the checkpoint, once the result is saved elsewhere."""
        remove(self._checkpoint)

    def _train_epoch(self, batches: Sequence[Batch[Example]], update: Callable[[int, str], None]) -> float:
        epoch, steps = self._at.epoch, len(batches)
        generator = torch.Generator().manual_seed(hash((self._seed, epoch)) % 2**31)
        losses: list[Tensor] = []
        for step, index in enumerate(torch.randperm(steps, generator=generator).tolist()):
            batch = batches[index]
            own = self._backward(batch)
            total = sum((loss.sum() for loss in own), torch.zeros(()))
            self._optimizer.share_gradient(total)
            mean = self._finite(float(total) / batch.size, float(self._optimizer.clip_gradient()))
            self._optimizer.step(epoch * steps + step, self._config.epochs * steps)
            losses += own
            update(1, f"epoch {epoch + 1} loss {mean:.3f}")
        return _mean(losses)

    def _backward(self, batch: Batch[Example]) -> list[Tensor]:
        """The losses of this process's part of a batch, whose share of the gradient is in the parameters then."""

        def loss(part: Sequence[Example]) -> Tensor:
            own = self._loss(part)
            torch.autograd.backward(own.sum() / batch.size)
            return own.detach()

        return self._by_passes(batch, loss)

    @torch.no_grad()
    def _mean(self, batches: Sequence[Batch[Example]]) -> float:
        return self._finite(_mean([own for batch in batches for own in self._by_passes(batch, self._loss)]))

    def _by_passes(self, batch: Batch[Example], loss: Callable[[Sequence[Example]], Tensor]) -> list[Tensor]:
        """The losses of this process's part of a batch, in more passes from where memory runs out on."""
        while True:
            parts = parts_of(batch.passes, self._most)
            try:
                return [loss(part) for part in parts]
            except RuntimeError as error:  # half of the batch's gradient may be there
                self._optimizer.forget_gradient()
                self._most = smaller_after(error, len(parts[0]), self._give_up)

    def _finite(self, loss: float, gradient_norm: float = 0.0) -> float:
        if math.isfinite(loss + gradient_norm):
            return loss
        raise ModelError(
            f"{self._title}: the loss or its gradient is not finite (epoch {self._at.epoch + 1}); lower the learning "
            "rate, or use dtype float32 or bfloat16"
        )


def _mean(losses: Sequence[Tensor]) -> float:
    """Of the losses of all processes."""
    own = torch.cat(list(losses)).cpu() if losses else torch.zeros(0)  # where no part of a batch was this process's
    return float(processes().gather(own).mean())
