"""What the launcher says of the processes that it started."""

import os


def process_index() -> int:
    """The number of this process among those that the launcher started, from 0, which is the main one."""
    return int(os.environ["RANK"]) if process_count() > 1 else 0


def process_count() -> int:
    """How many processes the launcher started for this command."""
    return int(os.environ["WORLD_SIZE"]) if "RANK" in os.environ and "WORLD_SIZE" in os.environ else 1


def processes_here() -> int:
    """How many of them share this machine: all, where the launcher does not say, so that memory is enough."""
    return int(os.environ.get("LOCAL_WORLD_SIZE", process_count())) if process_count() > 1 else 1


def process_index_here() -> int:
    """The number of this process among those that share this machine."""
    return int(os.environ.get("LOCAL_RANK", process_index() % processes_here())) if process_count() > 1 else 0
