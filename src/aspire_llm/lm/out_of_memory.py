"""Where memory runs out, the same is computed in smaller parts, which changes results by rounding alone."""

import logging
from collections.abc import Callable

from aspire_llm.errors import ModelError
from aspire_llm.processes import processes

_logger = logging.getLogger(__name__)


def ran_out(error: RuntimeError) -> bool:
    """Whether an error is that memory ran out."""
    from accelerate.utils.memory import should_reduce_batch_size  # imports torch, which may not be there yet

    return bool(should_reduce_batch_size(error))


def smaller_after(error: RuntimeError, size: int, give_up: Callable[[], bool] = lambda: False) -> int:
    """How many items to compute at once after an error: half as many, where memory ran out.

    To be called where nothing holds on to what was computed: memory is given back.

    Args:
        error: What computing them raised.
        size: How many they were.
        give_up: Gives back memory that is held for speed alone; whether there was any: then as many are tried again.

    Raises:
        RuntimeError: The same, where it is about something else.
        ModelError: There was one item, or the model is split among processes.
    """
    from accelerate.utils.memory import clear_device_cache

    if not ran_out(error):
        raise error
    if processes().sharding:  # the others compute on, and a pass that was cut off cannot be taken up again
        raise ModelError(
            "out of memory, and a model that is split cannot go on with less at once; lower stage2.batch_size and "
            "stageN.tokens_per_pass, shorten contexts, or start more processes"
        ) from None
    if give_up():
        clear_device_cache(garbage_collection=True)
        _logger.warning("out of memory with %d at once: what was kept for later epochs is given back", size)
        return size
    if size == 1:
        raise ModelError(
            "out of memory with one question alone; lower stage2.num_beams or stage3.max_wrong, shorten contexts, or "
            "use a smaller dtype or another device"
        ) from None
    clear_device_cache(garbage_collection=True)
    half = size // 2
    _logger.warning("out of memory with %d at once: %d from here on", size, half)
    return half
