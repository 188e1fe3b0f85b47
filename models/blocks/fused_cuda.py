"""The linear part of an SNL unit on CUDA: what ``fused.py`` computes, as few large products and few passes.

    x -> [W_1 K | W_0] [F; Z],    [rows; Z] = W_in x,    F = relu(rows) · r,    K = s(Z F^T)

A = F^T s(F) (``kernels/degrees.py``), so W_1 Z A = W_1 K F: the small matrix K (D x 2Cs) goes into the weights, and A Z
is never stored. Products are cuBLAS's. What lies between them took two thirds of the time as separate operations: here
two kernels do it forward and two backward. Samples stay in the memory format of x, channels first or channels last.
"""

from typing import Any

import torch
from torch import Tensor
from torch.autograd.function import once_differentiable

from specvid.models.blocks.affinities.symmetric import SymmetricAffinity
from specvid.models.blocks.packing import empty_as, mix, outer
from specvid.models.blocks.precision import full_precision


def merging_pays(affinity: SymmetricAffinity, positions: int) -> bool:
    """Whether the form of this file is the fastest one: where positions are few, W_1 K takes more than it saves.

    Args:
        affinity: of the unit; its ``impl`` may ask for one form.
        positions: N.

    Returns:
        Whether it is.
    """
    return affinity.impl == "linear" or (affinity.impl == "auto" and positions >= affinity.value)


class MergedUnit(torch.autograd.Function):
    """W_0 Z + W_1 A Z and its gradient: x (B, C, N), [W_theta; W_phi; W_g], W_0, W_1, mask (B, N) -> (B, C, N)."""

    @staticmethod
    def forward(ctx: Any, x: Tensor, w_in: Tensor, w_0: Tensor, w_1: Tensor, mask_bn: Tensor | None) -> Tensor:
        from specvid.models.blocks.kernels.degrees import normalise_

        rank = w_in.shape[0] - w_0.shape[1]
        with full_precision(x):
            rows = mix(w_in, x, out=empty_as(x, w_in.shape[0]))  # [F; Z]
            factor, signal = rows[:, :rank], rows[:, rank:]
            totals_br, root_bn = normalise_(factor, mask_bn)
            related = _swap(torch.bmm(signal, factor.mT))  # K, (B, D, 2Cs)
            weights = x.new_empty(x.shape[0], w_0.shape[0], w_in.shape[0])
            torch.bmm(w_1.expand(x.shape[0], -1, -1), related, out=weights[..., :rank])
            weights[..., rank:] = w_0
            output = torch.bmm(weights, rows, out=empty_as(x, w_0.shape[0]))
        ctx.save_for_backward(x, w_in, w_1, rows, related, weights, totals_br, root_bn)
        return output

    @staticmethod
    @once_differentiable
    def backward(ctx: Any, grad: Tensor) -> tuple[Tensor | None, ...]:
        from specvid.models.blocks.kernels.degrees import normalise_backward_

        x, w_in, w_1, rows, related, weights, totals_br, root_bn = ctx.saved_tensors
        rank = related.shape[-1]
        factor, signal = rows[:, :rank], rows[:, rank:]
        with full_precision(x):
            grad_weights = torch.bmm(grad, rows.mT)
            inward = torch.bmm(weights.mT, grad, out=empty_as(x, rows.shape[1]))  # gradients of [F; Z]
            grad_factor, grad_signal = inward[:, :rank], inward[:, rank:]
            grad_w_0, grad_w_1k = grad_weights[..., rank:].sum(0), grad_weights[..., :rank]
            grad_w_1 = torch.bmm(grad_w_1k, related.mT).sum(0)
            grad_related = _swap(torch.bmm(w_1.mT.expand(x.shape[0], -1, -1), grad_w_1k))
            grad_signal.baddbmm_(grad_related, factor)
            grad_factor.baddbmm_(grad_related.mT, signal)
            normalise_backward_(grad_factor, factor, totals_br, root_bn)
            grad_x = mix(w_in.mT, inward, out=torch.empty_like(x)) if ctx.needs_input_grad[0] else None
            grad_w_in = outer(inward, x) if ctx.needs_input_grad[1] else None
        return grad_x, grad_w_in, grad_w_0, grad_w_1, None


def _swap(x: Tensor) -> Tensor:
    """The two halves of the last dimension, exchanged."""
    return torch.cat(x.chunk(2, dim=-1)[::-1], dim=-1)
