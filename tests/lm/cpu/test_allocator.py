"""Freed memory stays with the process."""

import subprocess
import sys

import pytest

_PROGRAM = """
import resource, statistics, torch
from aspire_llm.lm.cpu.allocator import keep_freed_memory

def faults():
    counts = [resource.getrusage(resource.RUSAGE_SELF).ru_minflt]
    for _ in range(31):
        torch.ones(2**24)  # 64 MiB
        counts.append(resource.getrusage(resource.RUSAGE_SELF).ru_minflt)
    return statistics.median(after - before for before, after in zip(counts, counts[1:]))

without = faults()
print(int(keep_freed_memory()), without, faults())
"""


@pytest.mark.skipif(not sys.platform.startswith("linux"), reason="the page faults of other systems are not counted")
def test_large_blocks_are_mapped_once() -> None:
    output = subprocess.run([sys.executable, "-c", _PROGRAM], capture_output=True, text=True, check=True).stdout
    done, without, with_it = map(float, output.split())
    if not done:
        pytest.skip("malloc is not glibc's")
    # 64 MiB are 32 pages at least, however large pages are; kept blocks are reused once the heap has grown.
    assert without >= 32
    assert with_it == 0
