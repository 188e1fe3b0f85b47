"""Softmax attention in O(N) memory: ``scaled_dot_product_attention``, with a backward pass of our own on the CPU.

PyTorch's fused CPU kernel is fast forward, but its backward is slower than the plain N x N form for the wide heads of
nonlocal blocks (one head of C / 2 channels). Ours recomputes the weights of one sample for some rows at a time, in
matrix products that stay in the cache: O(rows·N) memory at any moment. To recompute costs one product in seven, so what
is small enough is saved instead, by the plain form: a bound on memory that does not grow with N. Without gradients the
plain form serves where all weights fit the cache: there the fused kernel is up to a tenth slower.
"""

from typing import Any

import torch
from torch import Tensor
from torch.autograd.function import once_differentiable
from torch.nn import functional as F

WEIGHTS_AT_ONCE = 2**21  # elements of A held at a time where they need not be saved: 8 MiB in float32
WEIGHTS_SAVED = 2**24  # elements of A that are saved from the forward for the backward pass: 64 MiB in float32


def attend(query_bnc: Tensor, key_bmc: Tensor, value_bmd: Tensor, *, scale: float, mask_bm: Tensor | None) -> Tensor:
    """Softmax attention of one head: softmax_j(query_i . key_j · scale) value.

    All three tensors are made contiguous in their last dimension: otherwise the CPU silently takes the N x N path.

    Args:
        query_bnc: (B, N, C).
        key_bmc: (B, M, C).
        value_bmd: (B, M, D).
        scale: factor on the scores.
        mask_bm: (B, M) bool; keys where it is False have weight 0.

    Returns:
        (B, N, D).
    """
    query, key, value = (t.contiguous() for t in (query_bnc, key_bmc, value_bmd))
    differentiated = torch.is_grad_enabled() and any(t.requires_grad for t in (query, key, value))
    if query.is_cpu and not torch.compiler.is_compiling():
        if query.shape[0] * query.shape[1] * key.shape[1] <= (WEIGHTS_SAVED if differentiated else WEIGHTS_AT_ONCE):
            return torch.bmm(_weights(query, key, scale, mask_bm), value)
        if differentiated:
            return _CpuAttention.apply(query, key, value, scale, mask_bm)
    return _fused(query, key, value, scale, mask_bm)


def _weights(query_bnc: Tensor, key_bmc: Tensor, scale: float, mask_bm: Tensor | None) -> Tensor:
    """softmax_j(query_i . key_j · scale), (B, N, M), 0 for masked keys."""
    scores = torch.bmm(query_bnc if scale == 1 else query_bnc * scale, key_bmc.mT)
    if mask_bm is not None:
        scores = scores.masked_fill(~mask_bm.unsqueeze(1), torch.finfo(scores.dtype).min)
    return scores.softmax(-1)


def _fused(query_bnc: Tensor, key_bmc: Tensor, value_bmd: Tensor, scale: float, mask_bm: Tensor | None) -> Tensor:
    """The same by torch's kernel."""
    query, key, value = (t.unsqueeze(1) for t in (query_bnc, key_bmc, value_bmd))  # one head
    mask = None if mask_bm is None else mask_bm[:, None, None]
    return F.scaled_dot_product_attention(query, key, value, attn_mask=mask, scale=scale).squeeze(1)


class _CpuAttention(torch.autograd.Function):
    """torch's kernel forward; backward some rows of A at a time."""

    @staticmethod
    def forward(ctx: Any, query: Tensor, key: Tensor, value: Tensor, scale: float, mask_bm: Tensor | None) -> Tensor:
        output = _fused(query, key, value, scale, mask_bm)
        ctx.save_for_backward(query, key, value, output, mask_bm)
        ctx.scale = scale
        return output

    @staticmethod
    @once_differentiable
    def backward(ctx: Any, grad_bnd: Tensor) -> tuple[Tensor | None, ...]:
        query, key, value, output, mask_bm = ctx.saved_tensors
        # d scores = weights ∘ (grad value^T - row sums of grad ∘ output)
        row_bn1 = (grad_bnd * output).sum(-1, keepdim=True)
        grad_query, grad_key, grad_value = torch.empty_like(query), torch.zeros_like(key), torch.zeros_like(value)
        rows = max(1, WEIGHTS_AT_ONCE // max(1, key.shape[1]))
        for sample in range(query.shape[0]):
            one = slice(sample, sample + 1)
            for start in range(0, query.shape[1], rows):
                part = slice(start, start + rows)
                scaled, grad = query[one, part] * ctx.scale, grad_bnd[one, part]
                weights = _weights(scaled, key[one], 1.0, None if mask_bm is None else mask_bm[one])
                grad_value[one].baddbmm_(weights.mT, grad)
                grad_scores = torch.bmm(grad, value[one].mT).sub_(row_bn1[one, part]).mul_(weights)
                grad_query[one, part] = torch.bmm(grad_scores, key[one]) * ctx.scale
                grad_key[one].baddbmm_(grad_scores.mT, scaled)
        return grad_query, grad_key, grad_value, None, None
