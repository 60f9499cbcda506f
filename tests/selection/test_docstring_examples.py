"""The examples in the docstrings are true."""

import doctest
from types import ModuleType

import pytest

from aspire_llm.selection import metrics, score


@pytest.mark.parametrize("module", [metrics, score], ids=["metrics", "score"])
def test_examples(module: ModuleType) -> None:
    results = doctest.testmod(module)
    assert results.attempted > 0
    assert results.failed == 0
