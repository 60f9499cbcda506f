"""The processes that work on one command, where `torchrun` or `accelerate launch` has started several.

All of them run the same code on the same data. They part where batches are computed (`share`) and where gradients are
(`add_up`); whatever is to be done once, writing above all, the main process does while the others wait (`once`). So at
any place of the code all of them see the same files, and nothing that is written depends on how many they are.

Gradients and results are those of adapters and texts, which are small: they travel through main memory (gloo), whatever
device computes them.

Where one model is split among them (`sharding`), nothing is shared out: all compute the same passes together, step by
step, so all of them must take the same turns. What might differ by rounding and decides a turn, they take from the main
process (`agree`).
"""

import os
import signal
import threading
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager, nullcontext
from datetime import timedelta
from functools import cache
from typing import TYPE_CHECKING, Any, Literal, NoReturn, TypeAlias, TypeVar

from aspire_llm.errors import AspireError, ConfigError, ProcessLostError

if TYPE_CHECKING:
    from torch import Tensor
    from torch.distributed import ProcessGroup

Sharding: TypeAlias = Literal["tensor", "fsdp"]
Item = TypeVar("Item")
Result = TypeVar("Result")

_PATIENCE = timedelta(days=7)  # a process that ends is noticed at once; one that works is waited for
_GOES_ON = "the same command goes on from here, with any number of processes"


def process_index() -> int:
    """The number of this process among those that the launcher started, from 0, which is the main one."""
    return int(os.environ["RANK"]) if process_count() > 1 else 0


def process_count() -> int:
    """How many processes the launcher started for this command."""
    return int(os.environ["WORLD_SIZE"]) if "RANK" in os.environ and "WORLD_SIZE" in os.environ else 1


def processes_here() -> int:
    """How many of them share this machine."""
    return int(os.environ.get("LOCAL_WORLD_SIZE", "1")) if process_count() > 1 else 1


def process_index_here() -> int:
    """The number of this process among those that share this machine."""
    return int(os.environ.get("LOCAL_RANK", "0")) if process_count() > 1 else 0


class Processes:
    """One process by itself, and what all commands ask of the processes that work on them.

    Attributes:
        index: The number of this one.
        count: How many there are.
        shares: Among how many of them batches are shared out.
        sharding: How they have split one model among them; None where each has a whole one.
    """

    index, count, shares = 0, 1, 1
    sharding: Sharding | None = None

    @property
    def is_main(self) -> bool:
        """Whether this is the one that writes and speaks."""
        return self.index == 0

    def once(self, work: Callable[[], Result]) -> Result:
        """Have the main process do something while the others wait; what it returns, for all of them.

        Raises:
            ProcessLostError: It failed in the main process, which raises what it failed with.
        """
        return work()

    def wait(self) -> None:
        """Until all processes are here."""

    def share(self, items: Sequence[Item], compute: Callable[[Item], Result]) -> list[Result]:
        """The results of all items in their order, for all processes; each is computed by one that is free.

        Several processes begin with the last items: where these take longest, the short ones fill the gaps in the end.
        """
        return list(map(compute, items))

    def stripe(self, items: Sequence[Item]) -> Sequence[Item]:
        """This process's part of the items."""
        return items

    def gather(self, rows: "Tensor") -> "Tensor":
        """The rows that all processes have, in main memory, in the order of the processes."""
        return rows

    def add_up(self, tensors: "Sequence[Tensor]") -> None:
        """Put the sum over the processes in the place of each tensor."""

    def agree(self, tensors: "Sequence[Tensor]") -> None:
        """Where a model is split, put what the main process has in the place of each tensor."""

    def least(self, number: int) -> int:
        """Where a model is split, the least that any process has of something, for all of them."""
        return number


class _Group(Processes):
    """Several processes, over torch.distributed."""

    def __init__(self, backend: str = "gloo") -> None:
        import torch.distributed as dist
        from torch.distributed import TCPStore  # type: ignore[attr-defined]

        self.index, self.count = process_index(), process_count()
        self.shares = self.count
        self._alone = False
        self._jobs = 0
        if threading.current_thread() is threading.main_thread():
            signal.signal(signal.SIGTERM, _stopped)
        if not dist.is_initialized():
            dist.init_process_group(backend, timeout=_PATIENCE)
        self._group = dist.new_group(backend="gloo", timeout=_PATIENCE)
        host = os.environ.get("MASTER_ADDR", "localhost")
        if self.is_main:
            self._taken = TCPStore(host, 0, is_master=True, wait_for_workers=False)
        port = self._broadcast(self._taken.port if self.is_main else None)
        if not self.is_main:
            self._taken = TCPStore(host, port, is_master=False)

    def once(self, work: Callable[[], Result]) -> Result:
        if self._alone:
            return work()
        self.wait()  # until nobody reads any more what is about to change
        if not self.is_main:
            done, result = self._broadcast(None)
            if not done:
                raise ProcessLostError(f"the main process failed; {_GOES_ON}")
            return result  # type: ignore[no-any-return]
        done, result = False, None
        self._alone = True
        try:
            result = work()
            done = True
        finally:
            self._alone = False
            self._broadcast((done, result))
        return result

    def share(self, items: Sequence[Item], compute: Callable[[Item], Result]) -> list[Result]:
        if self._alone:
            return super().share(items, compute)
        self._jobs += 1
        key, mine, found = f"job {self._jobs}", self.index, dict[int, Result]()
        while mine < len(items):
            place = len(items) - 1 - mine
            found[place] = compute(items[place])
            with _none_lost():
                mine = self.count - 1 + self._taken.add(key, 1)
        everything: dict[int, Result] = {}
        for own in self._gather(found):
            everything |= own
        if self.is_main:
            self._taken.delete_key(key)
        return [everything[place] for place in range(len(items))]

    def stripe(self, items: Sequence[Item]) -> Sequence[Item]:
        return items if self._alone else items[self.index :: self.count]

    def gather(self, rows: "Tensor") -> "Tensor":
        import torch

        return rows if self._alone else torch.cat(self._gather(rows))

    def add_up(self, tensors: "Sequence[Tensor]") -> None:
        import torch
        import torch.distributed as dist

        if self._alone:
            return
        flat = torch.cat([tensor.detach().cpu().flatten() for tensor in tensors])
        with _none_lost():
            dist.all_reduce(flat, group=self._group)
        for tensor, total in zip(tensors, torch.split(flat, [tensor.numel() for tensor in tensors]), strict=True):
            tensor.copy_(total.view_as(tensor))

    def wait(self) -> None:
        """Until all processes are here."""
        import torch.distributed as dist

        if not self._alone:
            with _none_lost():
                dist.barrier(group=self._group)

    def _broadcast(self, value: Any) -> Any:
        """What the main process gives."""
        import torch.distributed as dist

        box = [value]
        with _none_lost():
            dist.broadcast_object_list(box, src=0, group=self._group)
        return box[0]

    def _gather(self, value: Result) -> list[Result]:
        """What all processes give."""
        import torch.distributed as dist

        found: list[Any] = [None] * self.count
        with _none_lost():
            dist.all_gather_object(found, value, group=self._group)
        return found


class _Sharded(_Group):
    """Several processes that have split one model: all of them compute everything, and the main one writes."""

    def __init__(self, sharding: Sharding) -> None:
        import torch
        import torch.distributed as dist

        backend = "cpu:gloo,cuda:nccl" if torch.cuda.is_available() else "gloo"
        super().__init__(backend)
        self.shares, self.sharding = 1, sharding
        self.weights: ProcessGroup = dist.new_group(backend=backend, timeout=_PATIENCE)

    def share(self, items: Sequence[Item], compute: Callable[[Item], Result]) -> list[Result]:
        return Processes.share(self, items, compute)

    def stripe(self, items: Sequence[Item]) -> Sequence[Item]:
        return items

    def gather(self, rows: "Tensor") -> "Tensor":
        return rows

    def add_up(self, tensors: "Sequence[Tensor]") -> None:
        pass

    def agree(self, tensors: "Sequence[Tensor]") -> None:
        import torch.distributed as dist

        assert not self._alone, "a split model computes with all processes, never within `once`"
        with _none_lost():
            for tensor in tensors:
                sent = tensor.detach().contiguous()
                dist.broadcast(sent, src=0, group=self.weights)
                if sent.data_ptr() != tensor.data_ptr():
                    tensor.copy_(sent)

    def least(self, number: int) -> int:
        return min(self._gather(number))


@contextmanager
def _none_lost() -> Iterator[None]:
    """Within, that another process has ended is one clear line."""
    try:
        yield
    except AspireError:
        raise
    except RuntimeError as error:  # of connections that closed
        raise ProcessLostError(f"another process of this command has ended; {_GOES_ON}") from error


@contextmanager
def _none_lost_in_passes() -> Iterator[None]:
    """As `_none_lost`, around all that a split model computes, whose other errors stay what they are."""
    try:
        yield
    except AspireError:
        raise
    except RuntimeError as error:
        if not any(transport in str(error) for transport in ("gloo", "NCCL", "Connection closed", "Connection reset")):
            raise
        raise ProcessLostError(f"another process of this command has ended; {_GOES_ON}") from error


def _stopped(_number: int, _frame: object) -> NoReturn:
    raise ProcessLostError(f"stopped from outside, as when another process of this command has ended; {_GOES_ON}")


_group = cache(_Group)
_sharded = cache(_Sharded)
_together = Processes()


def processes() -> Processes:
    """Those that work on the command that runs now: one, but within `joined`."""
    return _together


def weights_group() -> "ProcessGroup":
    """What the weights of a split model travel over, on the devices that hold them."""
    assert isinstance(_together, _Sharded)
    return _together.weights


@contextmanager
def joined(sharding: Sharding | None = None) -> Iterator[None]:
    """Within, all processes that the launcher started work together, all of which must come here.

    Elsewhere each works by itself: a program of several processes may have a predictor in each.

    Args:
        sharding: How they split the model among them; None where each has a whole one.

    Raises:
        ConfigError: A model is to be split, and there is one process.
    """
    global _together
    if sharding and process_count() == 1:
        raise ConfigError(
            f"sharding: {sharding} needs several processes; start with torchrun --nproc-per-node N -m aspire_llm …, or "
            "set sharding to null (aspire-llm run … --set sharding=null)"
        )
    before = _together
    if process_count() > 1:
        _together = _sharded(sharding) if sharding else _group()
    try:
        with _none_lost_in_passes() if sharding else nullcontext():
            yield
    finally:
        _together = before
