"""Attention in O(N) memory: its result and its own backward pass against the definition."""

import pytest
import torch

from specvid.models.blocks import attention
from specvid.models.blocks.attention import attend


def definition(query, key, value, scale, mask):
    scores = torch.einsum("bnc,bmc->bnm", query, key) * scale
    if mask is not None:
        scores = scores.masked_fill(~mask[:, None], -torch.inf)
    return torch.einsum("bnm,bmd->bnd", scores.softmax(-1), value)


@pytest.mark.parametrize("masked", [False, True])
@pytest.mark.parametrize(("saved", "at_once"), [(0, 1), (0, 20), (0, 10**6), (10**6, 1)])
def test_equals_the_definition(masked: bool, saved: int, at_once: int, monkeypatch: pytest.MonkeyPatch) -> None:
    """Few rows at a time, all at once, or with the weights saved; more queries than keys."""
    monkeypatch.setattr(attention, "WEIGHTS_SAVED", saved)
    monkeypatch.setattr(attention, "WEIGHTS_AT_ONCE", at_once)
    torch.manual_seed(0)
    shapes = ((2, 9, 4), (2, 7, 4), (2, 7, 5))
    mask = torch.tensor([[True] * 7, [True, False, True, True, False, False, True]]) if masked else None
    results = []
    for function in (definition, lambda q, k, v, s, m: attend(q, k, v, scale=s, mask_bm=m)):
        torch.manual_seed(1)
        leaves = [torch.randn(shape, dtype=torch.float64, requires_grad=True) for shape in shapes]
        result = function(*leaves, 0.6, mask)
        result.backward(torch.randn(result.shape, dtype=torch.float64))
        results.append([result, *(leaf.grad for leaf in leaves)])
    for expected, found in zip(*results, strict=True):
        torch.testing.assert_close(found, expected, rtol=1e-12, atol=1e-12)


def test_rows_are_recomputed_only_where_keeping_them_would_take_too_much(monkeypatch: pytest.MonkeyPatch) -> None:
    query = torch.randn(2, 8, 4, requires_grad=True)
    for saved, name in ((2 * 8 * 8, "BmmBackward0"), (2 * 8 * 8 - 1, "_CpuAttentionBackward")):
        monkeypatch.setattr(attention, "WEIGHTS_SAVED", saved)
        assert attend(query, query, query, scale=1.0, mask_bm=None).grad_fn.name() == name


def test_without_gradients_the_kernel_runs_where_the_weights_leave_the_cache(monkeypatch: pytest.MonkeyPatch) -> None:
    query = torch.randn(2, 8, 4, dtype=torch.float64)
    expected = definition(query, query, query, 1.0, None)
    calls: list[int] = []
    fused = attention._fused
    monkeypatch.setattr(attention, "_fused", lambda *args: calls.append(1) or fused(*args))
    for at_once, kernel in ((2 * 8 * 8, 0), (2 * 8 * 8 - 1, 1)):
        monkeypatch.setattr(attention, "WEIGHTS_AT_ONCE", at_once)
        torch.testing.assert_close(attend(query, query, query, scale=1.0, mask_bm=None), expected)
        assert len(calls) == kernel


def test_the_kernel_gets_features_that_lie_together(monkeypatch: pytest.MonkeyPatch) -> None:
    """Handed transposed ones, the CPU kernel forms N x N without a word."""
    kernel, seen = torch.nn.functional.scaled_dot_product_attention, []

    def watched(*tensors, **options):
        seen.extend(tensor.is_contiguous() for tensor in tensors)
        return kernel(*tensors, **options)

    monkeypatch.setattr(torch.nn.functional, "scaled_dot_product_attention", watched)
    monkeypatch.setattr(attention, "WEIGHTS_SAVED", 0)
    features = torch.randn(2, 4, 64, requires_grad=True).mT  # (B, N, C) seen in channels-first memory
    attend(features, features, features, scale=1.0, mask_bm=None)
    assert seen == [True] * 3
