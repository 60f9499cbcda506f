"""Several processes, over torch.distributed."""

import atexit
import os
import signal
import threading
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from datetime import timedelta
from typing import TYPE_CHECKING, Any, NoReturn

from aspire_llm.errors import AspireError, ProcessLostError
from aspire_llm.processes.alone import Item, Processes, Result, Sharding
from aspire_llm.processes.launched import process_count, process_index

if TYPE_CHECKING:
    from torch import Tensor
    from torch.distributed import ProcessGroup

_PATIENCE = timedelta(days=7)  # a process that ends is noticed at once; one that works is waited for
_GOES_ON = "the same command goes on from here, with any number of processes"


class Group(Processes):
    """Several processes, over torch.distributed.

    Attributes:
        failed: Whether this process ends by an error, so that others may be in the midst of something.
    """

    def __init__(self, backend: str = "gloo") -> None:
        import torch.distributed as dist
        from torch.distributed import TCPStore  # type: ignore[attr-defined]

        self.index, self.count = process_index(), process_count()
        self.shares = self.count
        self.failed = self._alone = False
        self._jobs = 0
        if threading.current_thread() is threading.main_thread():
            signal.signal(signal.SIGTERM, _stopped)
        if not dist.is_initialized():
            dist.init_process_group(backend, timeout=_PATIENCE)
            atexit.register(self._leave, backend)
        self._group = dist.new_group(backend="gloo", timeout=_PATIENCE)
        host = os.environ.get("MASTER_ADDR", "localhost")
        if self.is_main:
            self._taken = TCPStore(host, 0, is_master=True, wait_for_workers=False)
        port = self._broadcast(self._taken.port if self.is_main else None)
        if not self.is_main:
            self._taken = TCPStore(host, port, is_master=False)

    def _leave(self, backend: str) -> None:
        """End the threads of the group: with them, the interpreter aborted now and then, when all work was done."""
        import torch.distributed as dist

        if threading.current_thread() is threading.main_thread():
            signal.signal(signal.SIGTERM, signal.SIG_DFL)  # nobody is left to hear of it
        if not (self.failed and "nccl" in backend):  # which waits for processes that may be in the midst of something
            dist.destroy_process_group()

    def fail(self) -> None:
        """This process ends its work by an error, which the program may catch: the others shall not wait for it."""
        import torch.distributed as dist

        if not self.failed:
            self.failed = True
            for group in self._awaited():
                dist.destroy_process_group(group)

    def _awaited(self) -> "list[ProcessGroup]":
        """The groups in which others may wait, as far as they can be left by one process alone."""
        return [self._group]

    def check_whole(self) -> None:
        """That the processes still work together.

        Raises:
            ProcessLostError: This one has failed before.
        """
        if self.failed:
            raise ProcessLostError(f"earlier work of these processes ended by an error; {_GOES_ON}")

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

    def share(
        self, items: Sequence[Item], compute: Callable[[Item], Result], *, main_only: bool = False
    ) -> list[Result]:
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
        for own in self._gather_in_main(found) if main_only else self._gather(found):
            everything |= own
        if self.is_main:
            self._taken.delete_key(key)
        return [everything[place] for place in sorted(everything)]

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

    def _gather_in_main(self, value: Result) -> list[Result]:
        """What all processes give, in the main one; nothing in the others."""
        import torch.distributed as dist

        found: list[Any] | None = [None] * self.count if self.is_main else None
        with _none_lost():
            dist.gather_object(value, found, dst=0, group=self._group)
        return found or []


class Sharded(Group):
    """Several processes that have split one model: all of them compute everything, and the main one writes."""

    def __init__(self, sharding: Sharding) -> None:
        import torch
        import torch.distributed as dist

        backend = "cpu:gloo,cuda:nccl" if torch.cuda.is_available() else "gloo"
        super().__init__(backend)
        self.shares, self.sharding = 1, sharding
        self.weights: ProcessGroup = dist.new_group(backend=backend, timeout=_PATIENCE)
        self._on_gpus = "nccl" in backend  # which waits for the others

    def _awaited(self) -> "list[ProcessGroup]":
        return super()._awaited() + ([] if self._on_gpus else [self.weights])

    def share(
        self, items: Sequence[Item], compute: Callable[[Item], Result], *, main_only: bool = False
    ) -> list[Result]:
        if self.is_main or not main_only:
            return Processes.share(self, items, compute)
        for item in items:
            compute(item)
        return []

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
def none_lost_in_passes() -> Iterator[None]:
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
