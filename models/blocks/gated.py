"""The end of a unit in training as one function: x + gate · relu(batch_norm(y)), with fewer passes backward.

With y^ = (y - mean) / deviation, n = weight · y^ + bias and G the gradient of the result, batch norm's own backward
pass gives, from G' = G where n > 0 and 0 elsewhere (G' = G without a ReLU), s = sum G'·y^ and t = sum G' per channel.
So the gradient of the gate needs no pass of its own,

    d gate = sum G · relu(n) = sum G' · n = sum over channels of weight · s + bias · t     (of each, if gates are C),

nor does the factor ``gate`` on all other gradients: it goes into the weight that the pass multiplies with. Channels are
taken some at a time, all samples as one, which copies nothing where samples are packed side by side (``packing.py``).
"""

from collections.abc import Iterator
from typing import Any

import torch
from torch import Tensor
from torch.autograd.function import once_differentiable

from specvid.models.blocks.kernels import kernels_run_on
from specvid.models.blocks.norms import Shift
from specvid.models.blocks.packing import apart, as_one

IN_CACHE = 2**19  # elements of each tensor in a block of channels: 2 MiB in float32


def gated_norm(x_bcn: Tensor, y_bcn: Tensor, norm: torch.nn.BatchNorm1d, gate: Tensor, *, relu: bool) -> Tensor:
    """Compute x + gate · relu(norm(y)) with the statistics of y; the running ones are updated as batch norm does.

    Args:
        x_bcn: features (B, C, N).
        y_bcn: what the unit adds, before its norm, (B, C, N).
        norm: a batch norm of C channels for which :func:`can_gate` is true.
        gate: (1,) or (C,).
        relu: apply the ReLU.

    Returns:
        (B, C, N).
    """
    if not norm.training:
        from specvid.models.blocks.kernels.gated_norm import gated_norm_eval

        return gated_norm_eval(x_bcn, y_bcn, norm, gate, relu=relu)
    momentum = norm.momentum
    if norm.track_running_stats and norm.num_batches_tracked is not None:
        norm.num_batches_tracked.add_(1)
        if momentum is None:  # the plain mean of all batches
            momentum = 1.0 / float(norm.num_batches_tracked)
    function: type[torch.autograd.Function] = _GatedNorm
    if kernels_run_on(x_bcn, y_bcn):
        from specvid.models.blocks.kernels.gated_norm import GatedNorm

        function = GatedNorm
    return function.apply(
        x_bcn, y_bcn, norm.weight, norm.bias, gate, norm.running_mean, norm.running_var, momentum or 0.0, norm.eps, relu
    )


def can_gate(x_bcn: Tensor, y_bcn: Tensor, norm: torch.nn.Module, gate: Tensor) -> bool:
    """Whether :func:`gated_norm` computes this: a batch norm, on a CPU in training and in one precision, on CUDA where
    ``kernels`` run, in eval mode without a gradient.

    Args:
        x_bcn: features (B, C, N).
        y_bcn: what the unit adds, before its norm, (B, C, N).
        norm: any norm.
        gate: (1,) or (C,).

    Returns:
        Whether it does.
    """
    if not isinstance(norm, torch.nn.BatchNorm1d) or not norm.affine or torch.compiler.is_compiling():
        return False
    if not norm.training:
        learns = torch.is_grad_enabled() and any(it.requires_grad for it in (x_bcn, y_bcn, norm.weight, gate))
        return norm.running_mean is not None and not learns and kernels_run_on(x_bcn, y_bcn)
    if y_bcn.numel() <= y_bcn.shape[1]:  # batch norm raises its own error
        return False
    on_cpu = x_bcn.is_cpu and x_bcn.dtype == y_bcn.dtype == norm.weight.dtype and torch.is_grad_enabled()
    return on_cpu or kernels_run_on(x_bcn, y_bcn)


def can_shift(x_bcn: Tensor, y_bcn: Tensor, norm: torch.nn.Module) -> bool:
    """Whether :func:`gated_shift_` computes this: the norm is folded, nothing wants a gradient, in one precision.

    Args:
        x_bcn: features (B, C, N).
        y_bcn: what the unit adds, (B, C, N).
        norm: any norm.

    Returns:
        Whether it does.
    """
    learns = torch.is_grad_enabled() and (x_bcn.requires_grad or y_bcn.requires_grad)
    return isinstance(norm, Shift) and not learns and x_bcn.dtype == y_bcn.dtype and not torch.compiler.is_compiling()


def gated_shift_(x_bcn: Tensor, y_bcn: Tensor, bias: Tensor, sign: Tensor, *, relu: bool) -> Tensor:
    """Compute x + sign · relu(y + bias), in place of y: the end of a folded unit.

    Args:
        x_bcn: features (B, C, N).
        y_bcn: what the unit adds (B, C, N), overwritten.
        bias: (C,).
        sign: (1,) or (C,).
        relu: apply the ReLU.

    Returns:
        (B, C, N).
    """
    if kernels_run_on(x_bcn, y_bcn):
        from specvid.models.blocks.kernels.gated_norm import gated_shift

        return gated_shift(x_bcn, y_bcn, bias, sign, relu=relu)
    output = y_bcn if x_bcn.stride() == y_bcn.stride() else torch.empty_like(x_bcn)
    bias, sign = bias.to(y_bcn.dtype), sign.to(y_bcn.dtype)
    for part in _blocks(y_bcn):
        y_part = y_bcn[:, part].add_(bias[part, None])
        y_part = y_part.relu_() if relu else y_part
        torch.addcmul(x_bcn[:, part], y_part, _column(sign, part), out=output[:, part])
    return output


class _GatedNorm(torch.autograd.Function):
    """x + gate · relu(batch_norm(y)) and its gradient, some channels at a time."""

    @staticmethod
    def forward(
        ctx: Any,
        x: Tensor,
        y: Tensor,
        weight: Tensor,
        bias: Tensor,
        gate: Tensor,
        running_mean: Tensor | None,
        running_var: Tensor | None,
        momentum: float,
        eps: float,
        relu: bool,
    ) -> Tensor:
        output, mean, rstd = torch.empty_like(x), torch.empty_like(weight), torch.empty_like(weight)
        for part in _blocks(y):
            running_mean_c, running_var_c = (None if it is None else it[part] for it in (running_mean, running_var))
            normed, mean[part], rstd[part] = torch.native_batch_norm(
                as_one(y[:, part]), weight[part], bias[part], running_mean_c, running_var_c, True, momentum, eps
            )
            normed = apart(normed.relu_() if relu else normed, y)
            torch.addcmul(x[:, part], normed, _column(gate, part), out=output[:, part])
        ctx.save_for_backward(y, weight, bias, gate, mean, rstd)
        ctx.eps, ctx.relu = eps, relu
        return output

    @staticmethod
    @once_differentiable
    def backward(ctx: Any, grad: Tensor) -> tuple[Tensor | None, ...]:
        y, weight, bias, gate, mean, rstd = ctx.saved_tensors
        grad_y, grad_weight, grad_bias = torch.empty_like(y), torch.empty_like(weight), torch.empty_like(bias)
        for part in _blocks(y):
            y_part = as_one(y[:, part])
            if ctx.relu:
                scale_c1 = (rstd * weight)[part, None]
                through = torch.addcmul((bias[part] - mean[part] * scale_c1[:, 0])[:, None], y_part, scale_c1)  # n
                masked = apart(through, y)
                torch.ops.aten.threshold_backward.grad_input(grad[:, part], masked, 0, grad_input=masked)
            else:
                through = as_one(grad[:, part])
            part_of_grad_y, grad_weight[part], grad_bias[part] = torch.ops.aten.native_batch_norm_backward(
                through, y_part, (weight * gate)[part], None, None, mean[part], rstd[part], True, ctx.eps, [True] * 3
            )
            grad_y[:, part] = apart(part_of_grad_y, y)
        grad_gate = weight * grad_weight + bias * grad_bias
        if gate.numel() == 1:
            grad_gate = grad_gate.sum().reshape(gate.shape)
        return grad, grad_y, grad_weight * gate, grad_bias * gate, grad_gate, None, None, None, None, None


def _column(gate: Tensor, part: slice) -> Tensor:
    """The gates of some channels, for (B, C, N): (1,) as it is, or (part, 1)."""
    return gate if gate.numel() == 1 else gate[part, None]


def _blocks(y_bcn: Tensor) -> Iterator[slice]:
    """Channels, some at a time: what is computed of them stays in the cache until it is used."""
    at_once = max(1, IN_CACHE * y_bcn.shape[1] // max(1, y_bcn.numel()))
    return (slice(start, start + at_once) for start in range(0, y_bcn.shape[1], at_once))
