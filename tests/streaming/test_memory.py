"""How much memory files of questions take."""

import random
import tracemalloc
from pathlib import Path

import pyarrow as pa
import pytest
from pyarrow import parquet
from streamed import FORMATS, RUN, rows_of, write

from aspire_llm.answering import predict_file
from aspire_llm.data import QuestionStream
from aspire_llm.data.hash_set import HashSet

HASH = 36  # bytes an id, while the table of hashes grows: 12 when it is full, 24 afterwards, both at once


def test_a_hash_set_knows_what_it_has_met() -> None:
    texts = [f"text {number}" for number in range(5000)]
    met = HashSet()
    assert all(met.add(text) for text in texts)
    assert not any(met.add(text) for text in texts)
    assert met.add("another")
    assert met.add("\udcff")


def peak(source: Path, output: Path) -> int:
    """The most memory, in bytes, that Python's objects take while a file is answered."""
    tracemalloc.start()
    predict_file(RUN, source, output)
    _, most = tracemalloc.get_traced_memory()
    tracemalloc.stop()
    return most


def peaks(tmp_path: Path, suffix: str, few: int, many: int) -> tuple[int, int]:
    sources = [write(tmp_path / f"{count}.{suffix}", rows_of(count)) for count in (few, many)]
    output = tmp_path / "out.jsonl"
    predict_file(RUN, sources[0], output)  # what is imported and kept for good
    return peak(sources[0], output), peak(sources[1], output)


@pytest.mark.parametrize(
    "suffix", [pytest.param(own, marks=() if own == "parquet" else pytest.mark.slow) for own in FORMATS]
)
def test_memory_does_not_grow_with_the_file(tmp_path: Path, suffix: str) -> None:
    few, many = peaks(tmp_path, suffix, 1_000, 6_000)
    assert many - few < HASH * 6_000 + 100_000, (few, many)


@pytest.mark.slow
@pytest.mark.parametrize("suffix", FORMATS)
def test_a_hundred_thousand_rows_take_the_memory_of_ten_thousand(tmp_path: Path, suffix: str) -> None:
    few, many = peaks(tmp_path, suffix, 10_000, 100_000)
    assert many - few < HASH * 100_000 + 100_000, (few, many)


def test_parquet_of_one_row_group_is_not_read_whole(tmp_path: Path) -> None:
    source = tmp_path / "d.parquet"
    rows = [{"id": f"{i}", "question": "a?", "context": random.Random(i).randbytes(1000).hex()} for i in range(12_000)]
    parquet.write_table(pa.Table.from_pylist(rows), source, compression="none")
    del rows
    before, size = pa.total_allocated_bytes(), source.stat().st_size
    assert parquet.ParquetFile(source).num_row_groups == 1
    allocated = [pa.total_allocated_bytes() - before for _ in QuestionStream(source)]
    assert len(allocated) == 12_000
    assert max(allocated) < size / 2


def test_the_bound_on_memory_can_fail(tmp_path: Path) -> None:
    """The questions themselves take far more than it allows."""
    source = write(tmp_path / "in.jsonl", rows_of(5_000))
    tracemalloc.start()
    kept = list(QuestionStream(source))
    taken, _ = tracemalloc.get_traced_memory()
    tracemalloc.stop()
    assert len(kept) == 5_000
    assert taken > 5 * (HASH * 5_000 + 100_000)
