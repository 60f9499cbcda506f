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

from collections.abc import Iterator
from contextlib import contextmanager, nullcontext
from functools import cache
from typing import TYPE_CHECKING

from aspire_llm.errors import ConfigError
from aspire_llm.processes.alone import Processes, Sharding
from aspire_llm.processes.launched import process_count, process_index, process_index_here, processes_here
from aspire_llm.processes.together import Group, Sharded, none_lost_in_passes

if TYPE_CHECKING:
    from torch.distributed import ProcessGroup

__all__ = [
    "Processes",
    "Sharding",
    "joined",
    "process_count",
    "process_index",
    "process_index_here",
    "processes",
    "processes_here",
    "weights_group",
]

_group, _sharded = cache(Group), cache(Sharded)
_together = Processes()


def processes() -> Processes:
    """Those that work on the command that runs now: one, but within `joined`."""
    return _together


def weights_group() -> "ProcessGroup":
    """What the weights of a split model travel over, on the devices that hold them."""
    assert isinstance(_together, Sharded)
    return _together.weights


@contextmanager
def joined(sharding: Sharding | None = None) -> Iterator[None]:
    """Within, all processes that the launcher started work together, all of which must come here.

    Elsewhere each works by itself: a program of several processes may have a predictor in each.

    Args:
        sharding: How they split the model among them; None where each has a whole one.

    Raises:
        ConfigError: A model is to be split, and there is one process.
        ProcessLostError: Earlier work of theirs ended by an error that the program has caught.
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
        _together.check_whole()
    try:
        with none_lost_in_passes() if sharding else nullcontext():
            yield
    except BaseException:
        if isinstance(_together, Group):
            _together.fail()
        raise
    finally:
        _together = before
