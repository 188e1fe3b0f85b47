"""The end of a unit, x + gate · relu(norm(y)), and its gradient on CUDA, in two passes over memory each way.

In training one pass takes the statistics of y, one writes the result; backward one pass sums G'·y^ and G' per channel,
one writes the gradient of y. In eval mode the statistics are known, and there is one pass. The kernels are in
``gated_norm_kernels.py``; this file launches them.
"""

# Strides are given as *tensor.stride(), of which pyright does not know the number.
# pyright: reportCallIssue=false, reportIndexIssue=false, reportArgumentType=false

from typing import Any

import torch
import triton
from torch import Tensor
from torch.autograd.function import once_differentiable

from specvid.models.blocks.kernels import gated_norm_kernels as kernels


def gated_norm_eval(x_bcn: Tensor, y_bcn: Tensor, norm: torch.nn.BatchNorm1d, gate: Tensor, *, relu: bool) -> Tensor:
    """Compute x + gate · relu(norm(y)) with the running statistics, without a gradient.

    Args:
        x_bcn: features (B, C, N).
        y_bcn: what the unit adds, before its norm, (B, C, N).
        norm: a batch norm of C channels in eval mode.
        gate: (1,) or (C,).
        relu: apply the ReLU.

    Returns:
        (B, C, N), in the memory format of x.
    """
    assert norm.running_mean is not None and norm.running_var is not None
    known = norm.running_mean, norm.running_var, norm.weight, norm.bias
    return _apply(x_bcn, y_bcn, known, gate, relu, eps=norm.eps)


def gated_shift(x_bcn: Tensor, y_bcn: Tensor, bias: Tensor, sign: Tensor, *, relu: bool) -> Tensor:
    """Compute x + sign · relu(y + bias), without a gradient.

    Args:
        x_bcn: features (B, C, N).
        y_bcn: what the unit adds, (B, C, N).
        bias: (C,).
        sign: (1,) or (C,).
        relu: apply the ReLU.

    Returns:
        (B, C, N), in the memory format of x.
    """
    ones = torch.ones_like(bias)
    return _apply(x_bcn, y_bcn, (torch.zeros_like(bias), ones, ones, bias), sign, relu)


class GatedNorm(torch.autograd.Function):
    """x + gate · relu(batch_norm(y)) with the statistics of y, and its gradient."""

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
        batch, channels, positions = y.shape
        sums, grid, part = _sums(y)
        mean, rstd = y.new_empty(channels, dtype=torch.float32), y.new_empty(channels, dtype=torch.float32)
        kernels.sum_values[grid](y, sums, channels, positions, *y.stride(), *part)
        track = running_mean is not None
        running = (running_mean, running_var) if track else (mean, mean)  # not written where there are none
        sizes = channels, y.stride(1), sums.shape[0], batch * positions
        kernels.statistics[triton.cdiv(channels, 32),](y, sums, mean, rstd, *running, *sizes, momentum, eps, 32, track)
        ctx.save_for_backward(y, weight, bias, gate, mean, rstd)
        ctx.relu = relu
        return _apply(x, y, (mean, rstd, weight, bias), gate, relu)

    @staticmethod
    @once_differentiable
    def backward(ctx: Any, grad: Tensor) -> tuple[Tensor | None, ...]:
        y, weight, bias, gate, mean, rstd = ctx.saved_tensors
        batch, channels, positions = y.shape
        known, (sums, grid, part) = (mean, rstd, weight, bias), _sums(y)
        sizes, strides = (channels, positions), (*grad.stride(), *y.stride())
        kernels.sum_gradients[grid](grad, y, *known, sums, *sizes, *strides, *part, ctx.relu)
        s, t = sums.sum(0)  # of G'·y^ and of G'
        grad_y, count = torch.empty_like(y), batch * positions
        tensors, strides = (grad, y, *known, gate, s, t, grad_y), (*strides, *grad_y.stride(), _step(gate))
        kernels.grad_y[_grid(y)](*tensors, *sizes, count, *strides, *_tile(y), ctx.relu)
        grad_gate = weight * s + bias * t
        grad_gate = (grad_gate if _step(gate) else grad_gate.sum(0, keepdim=True)).to(gate.dtype)
        grad_weight, grad_bias = (s * gate).to(weight.dtype), (t * gate).to(bias.dtype)
        return grad, grad_y, grad_weight, grad_bias, grad_gate, None, None, None, None, None


def _tile(y_bcn: Tensor) -> tuple[int, int]:
    """Channels and positions of a tile, long where memory is contiguous."""
    return (8, 512) if y_bcn.stride(2) == 1 else (64, 64)


def _grid(y_bcn: Tensor) -> tuple[int, int, int]:
    """Programs over positions, channels and samples, a tile each."""
    (batch, channels, positions), (high, wide) = y_bcn.shape, _tile(y_bcn)
    return triton.cdiv(positions, wide), triton.cdiv(channels, high), batch


def _step(gate: Tensor) -> int:
    """From the gate of a channel to that of the next one: 0 where one gate serves all."""
    return int(gate.numel() > 1)


def _sums(y_bcn: Tensor) -> tuple[Tensor, tuple[int, int, int], tuple[int, int, int]]:
    """Room for two sums of each channel from each program (programs, 2, C), the grid, and what a program takes."""
    batch, channels, positions = y_bcn.shape
    split, high, wide = (4096, 8, 512) if y_bcn.stride(2) == 1 else (1024, 64, 64)
    parts = triton.cdiv(positions, split)
    sums = y_bcn.new_empty(batch * parts, 2, channels, dtype=torch.float32)
    return sums, (triton.cdiv(channels, high), parts, batch), (split, high, wide)


def _apply(
    x: Tensor, y: Tensor, known: tuple[Tensor, ...], gate: Tensor, relu: bool, eps: float | None = None
) -> Tensor:
    """x + gate · relu(norm(y)); ``known``: mean, 1 / deviation (with ``eps`` the variance), weight and bias."""
    output = torch.empty_like(x)
    tensors, sizes = (x, y, *known, gate, output), y.shape[1:]
    strides = *x.stride(), *y.stride(), *output.stride(), _step(gate)
    kernels.write[_grid(y)](*tensors, *sizes, *strides, eps or 0.0, *_tile(y), relu, eps is not None)
    return output
