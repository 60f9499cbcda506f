"""Where memory runs out, the same is computed in smaller parts, which changes results by rounding alone."""

import logging

from aspire_llm.errors import ModelError
from aspire_llm.processes import processes

_logger = logging.getLogger(__name__)


def smaller_after(error: RuntimeError, size: int) -> int:
    """How many items to compute at once after an error: half as many, where memory ran out.

    To be called where nothing holds on to what was computed: memory is given back.

    Args:
        error: What computing them raised.
        size: How many they were.

    Raises:
        RuntimeError: The same, where it is about something else.
        ModelError: There was one item, or the model is split among processes.
    """
    from accelerate.utils.memory import (  # imports torch, which may not be there yet
        clear_device_cache,
        should_reduce_batch_size,
    )

    if not should_reduce_batch_size(error):
        raise error
    if processes().sharding:  # the others compute on, and a pass that was cut off cannot be taken up again
        raise ModelError(
            "out of memory, and a model that is split cannot go on with less at once; lower stage2.batch_size and "
            "stageN.tokens_per_pass, shorten contexts, or start more processes"
        ) from None
    if size == 1:
        raise ModelError(
            "out of memory with one question alone; lower stage2.num_beams or stage3.max_wrong, shorten contexts, or "
            "use a smaller dtype or another device"
        ) from None
    clear_device_cache(garbage_collection=True)
    half = size // 2
    _logger.warning("out of memory with %d at once: %d from here on", size, half)
    return half
