"""Attention in parts, by kernel and by products, against one softmax written out; gradients against autograd's."""

import pytest
import torch
from torch import Tensor

from aspire_llm.lm.cpu import attention_kernels
from aspire_llm.lm.cpu.attention_kernels import attend, merge, query_backward

HEADS, WIDTH = 3, 8


def drawn(rows: int, seed: int, *, batch: int = 2) -> Tensor:
    """As models give them: heads side by side in memory."""
    generator = torch.Generator().manual_seed(seed)
    return torch.randn(batch, rows, HEADS, WIDTH, generator=generator).transpose(1, 2)


def plain(query: Tensor, key: Tensor, value: Tensor, mask: Tensor, scale: float) -> tuple[Tensor, Tensor]:
    scores = query.double() @ key.double().transpose(-1, -2) * scale + mask.double()
    return scores.softmax(-1) @ value.double(), scores.logsumexp(-1)


def padding_mask(keys: int) -> Tensor:
    """The second question's last third is padding."""
    mask = torch.zeros(2, 1, 1, keys)
    mask[1, ..., 2 * keys // 3 :] = torch.finfo(torch.float32).min
    return mask


@pytest.fixture(params=["products", "kernel"])
def _way(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> None:
    pairs = 1 if request.param == "products" else 10**9
    monkeypatch.setattr(attention_kernels, "_WORTH_PRODUCTS", pairs)
    monkeypatch.setattr(attention_kernels, "_WORTH_PRODUCTS_BACKWARD", pairs)


@pytest.mark.usefixtures("_way")
@pytest.mark.parametrize("padded", [False, True])
@pytest.mark.parametrize("scale", [None, 0.7])
def test_attend_and_its_query_gradient(padded: bool, scale: float | None) -> None:
    query, key, value, weights = drawn(30, 0), drawn(20, 1), drawn(20, 2), drawn(30, 3)
    mask = padding_mask(20).expand(-1, -1, 30, -1) if padded else None
    factor = WIDTH**-0.5 if scale is None else scale
    learned = query.clone().requires_grad_()
    expected, expected_lse = plain(learned, key, value, torch.zeros(()) if mask is None else mask, factor)
    (expected * weights).sum().backward()
    output, lse = attend(query, key, value, mask=mask, scale=scale)
    torch.testing.assert_close(output, expected.float(), atol=1e-5, rtol=1e-5)
    torch.testing.assert_close(lse, expected_lse.float(), atol=1e-5, rtol=1e-5)
    gradient = query_backward(weights, query, key, value, (output, lse), mask=mask, scale=scale)
    torch.testing.assert_close(gradient, learned.grad, atol=1e-5, rtol=1e-5)


def test_the_largest_score_may_be_far_from_the_others() -> None:
    # Scores 100, 0 and −100: the probabilities of the last two vanish in float32, the log-sum-exp is 100.
    query, key = torch.tensor([[[[100.0]]]]), torch.tensor([[[[1.0], [0.0], [-1.0]]]])
    value = torch.tensor([[[[3.0], [5.0], [7.0]]]])
    output, lse = attend(query.expand(-1, -1, 2**16, -1), key, value, scale=1.0)
    assert output[0, 0, 0, 0] == 3.0
    assert lse[0, 0, 0] == 100.0


def test_parts_merge_to_one_softmax() -> None:
    query, key, value = drawn(5, 0), drawn(12, 1), drawn(12, 2)
    parts = [attend(query, key[:, :, own], value[:, :, own], scale=None) for own in (slice(7), slice(7, 12))]
    for ours, expected in zip(merge(*parts), plain(query, key, value, torch.zeros(()), WIDTH**-0.5), strict=True):
        torch.testing.assert_close(ours, expected.float(), atol=1e-6, rtol=1e-5)
