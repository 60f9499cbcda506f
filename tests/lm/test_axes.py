"""Axes of tensors are checked at every call while tests run."""

import pytest
import torch
from jaxtyping import TypeCheckError

from aspire_llm.lm.likelihood import mean_per_answer


def test_unequal_axes_are_refused() -> None:
    questions = torch.tensor([0, 0, 1])
    assert mean_per_answer(torch.tensor([-1.0, -3.0, -5.0]), questions, 2).tolist() == [-2.0, -5.0]
    with pytest.raises(TypeCheckError, match="mean_per_answer"):
        mean_per_answer(torch.zeros(4), questions, 2)
