"""The end of a unit, x + gate · relu(norm(y)), in Triton: the formulas of ``gated.py`` in two passes each way.

In training one pass takes the statistics of y, one writes the result; backward one pass sums G'·y^ and G' per channel,
one writes the gradient of y. In eval mode the statistics are known, and there is one pass.
"""

# Strides are given as *tensor.stride(), of which pyright does not know the number.
# pyright: reportCallIssue=false, reportIndexIssue=false, reportArgumentType=false

from typing import Any

import torch
import triton
import triton.language as tl
from torch import Tensor
from torch.autograd.function import once_differentiable


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
    return _apply(x_bcn, y_bcn, *known, gate, relu, eps=norm.eps)


class GatedNorm(torch.autograd.Function):
    """x + gate · relu(batch_norm(y)) with the statistics of y, and its gradient."""

    @staticmethod
    def forward(
        ctx: Any, x: Tensor, y: Tensor, weight: Tensor, bias: Tensor, gate: Tensor,
        running_mean: Tensor | None, running_var: Tensor | None, momentum: float, eps: float, relu: bool,
    ) -> Tensor:  # fmt: skip
        batch, channels, positions = y.shape
        sums, grid, part = _sums(y)
        mean, rstd = y.new_empty(channels, dtype=torch.float32), y.new_empty(channels, dtype=torch.float32)
        _sum_values[grid](y, sums, channels, positions, *y.stride(), *part)
        _statistics[triton.cdiv(channels, 32),](
            y, sums, mean, rstd,
            mean if running_mean is None else running_mean, mean if running_var is None else running_var,
            channels, y.stride(1), sums.shape[0], batch * positions, momentum, eps, 32, running_mean is not None,
        )  # fmt: skip
        ctx.save_for_backward(y, weight, bias, gate, mean, rstd)
        ctx.relu = relu
        return _apply(x, y, mean, rstd, weight, bias, gate, relu)

    @staticmethod
    @once_differentiable
    def backward(ctx: Any, grad: Tensor) -> tuple[Tensor | None, ...]:
        y, weight, bias, gate, mean, rstd = ctx.saved_tensors
        batch, channels, positions = y.shape
        known, (sums, grid, part) = (mean, rstd, weight, bias), _sums(y)
        _sum_gradients[grid](grad, y, *known, sums, channels, positions, *grad.stride(), *y.stride(), *part, ctx.relu)
        s, t = sums.sum(0)  # of G'·y^ and of G'
        grad_y, tile = torch.empty_like(y), _tile(y)
        _grad_y[triton.cdiv(positions, tile[1]), triton.cdiv(channels, tile[0]), batch](
            grad, y, *known, gate, s, t, grad_y, channels, positions, batch * positions,
            *grad.stride(), *y.stride(), *grad_y.stride(), _step(gate), *tile, ctx.relu,
        )  # fmt: skip
        grad_gate = weight * s + bias * t
        grad_gate = (grad_gate if _step(gate) else grad_gate.sum(0, keepdim=True)).to(gate.dtype)
        grad_weight, grad_bias = (s * gate).to(weight.dtype), (t * gate).to(bias.dtype)
        return grad, grad_y, grad_weight, grad_bias, grad_gate, None, None, None, None, None


def _tile(y_bcn: Tensor) -> tuple[int, int]:
    """Channels and positions of a tile, long where memory is contiguous."""
    return (8, 512) if y_bcn.stride(2) == 1 else (64, 64)


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
    x: Tensor, y: Tensor, mean: Tensor, spread: Tensor, weight: Tensor, bias: Tensor, gate: Tensor, relu: bool,
    eps: float | None = None,
) -> Tensor:  # fmt: skip
    """x + gate · relu(norm(y)); ``spread`` is 1 / deviation, or with ``eps`` the variance."""
    batch, channels, positions = y.shape
    tile, output = _tile(y), torch.empty_like(x)
    _write[triton.cdiv(positions, tile[1]), triton.cdiv(channels, tile[0]), batch](
        x, y, mean, spread, weight, bias, gate, output, channels, positions,
        *x.stride(), *y.stride(), *output.stride(), _step(gate), eps or 0.0, *tile, relu, eps is not None,
    )  # fmt: skip
    return output


@triton.jit
def _sum_values(
    y, sums, channels, positions, s_b, s_c, s_n, split: tl.constexpr, high: tl.constexpr, wide: tl.constexpr
):
    """Sums of y - k and (y - k)^2 over ``split`` positions, k = y[0, c, 0]: without it their difference cancels."""
    c, part, b = tl.program_id(0) * high + tl.arange(0, high), tl.program_id(1), tl.program_id(2)
    shift = tl.load(y + c * s_c, mask=c < channels, other=0.0).to(tl.float32)
    y += b.to(tl.int64) * s_b
    first, second = tl.zeros((high, wide), tl.float32), tl.zeros((high, wide), tl.float32)
    for start in range(0, split, wide):
        n = part * split + start + tl.arange(0, wide)
        inside = (c[:, None] < channels) & (n[None, :] < positions)
        value = tl.load(y + c[:, None] * s_c + n[None, :] * s_n, mask=inside, other=0.0).to(tl.float32)
        value = tl.where(inside, value - shift[:, None], 0.0)
        first += value
        second += value * value
    at = sums + (b * tl.num_programs(1) + part) * 2 * channels + c
    tl.store(at, tl.sum(first, 1), mask=c < channels)
    tl.store(at + channels, tl.sum(second, 1), mask=c < channels)


@triton.jit
def _statistics(
    y, sums, mean, rstd, running_mean, running_var, channels, s_c, parts, count, momentum, eps,
    high: tl.constexpr, track: tl.constexpr,
):  # fmt: skip
    """Mean and 1 / deviation of each channel; the running statistics move as batch norm's do."""
    c = tl.program_id(0) * high + tl.arange(0, high)
    first, second = tl.zeros((high,), tl.float32), tl.zeros((high,), tl.float32)
    for start in range(0, parts, 32):
        part = start + tl.arange(0, 32)[:, None]
        inside = (part < parts) & (c[None, :] < channels)
        at = sums + part * 2 * channels + c[None, :]
        first += tl.sum(tl.load(at, mask=inside, other=0.0), 0)
        second += tl.sum(tl.load(at + channels, mask=inside, other=0.0), 0)
    first /= count
    average = first + tl.load(y + c * s_c, mask=c < channels, other=0.0).to(tl.float32)
    variance = tl.maximum(second / count - first * first, 0.0)
    tl.store(mean + c, average, mask=c < channels)
    tl.store(rstd + c, tl.rsqrt(variance + eps), mask=c < channels)
    if track:
        old = tl.load(running_mean + c, mask=c < channels, other=0.0).to(tl.float32)
        new = old + momentum * (average - old)
        tl.store(running_mean + c, new.to(running_mean.dtype.element_ty), mask=c < channels)
        old = tl.load(running_var + c, mask=c < channels, other=0.0).to(tl.float32)
        new = old + momentum * (variance * (count / (count - 1.0)) - old)
        tl.store(running_var + c, new.to(running_var.dtype.element_ty), mask=c < channels)


@triton.jit
def _write(
    x, y, mean, spread, weight, bias, gate, output, channels, positions,
    x_b, x_c, x_n, y_b, y_c, y_n, o_b, o_c, o_n, gate_step, eps,
    high: tl.constexpr, wide: tl.constexpr, relu: tl.constexpr, of_variance: tl.constexpr,
):  # fmt: skip
    """x + gate · relu(norm(y))."""
    b = tl.program_id(2).to(tl.int64)
    n, c = tl.program_id(0) * wide + tl.arange(0, wide), tl.program_id(1) * high + tl.arange(0, high)
    inside = (c[:, None] < channels) & (n[None, :] < positions)
    scale = tl.load(spread + c, mask=c < channels, other=0.0).to(tl.float32)
    if of_variance:
        scale = tl.rsqrt(scale + eps)
    scale *= tl.load(weight + c, mask=c < channels, other=0.0)
    shift = tl.load(bias + c, mask=c < channels, other=0.0) - tl.load(mean + c, mask=c < channels, other=0.0) * scale
    value = tl.load(y + b * y_b + c[:, None] * y_c + n[None, :] * y_n, mask=inside, other=0.0).to(tl.float32)
    value = value * scale[:, None] + shift[:, None]
    if relu:
        value = tl.maximum(value, 0.0)
    value *= tl.load(gate + c * gate_step, mask=c < channels, other=0.0).to(tl.float32)[:, None]
    value += tl.load(x + b * x_b + c[:, None] * x_c + n[None, :] * x_n, mask=inside, other=0.0)
    at = output + b * o_b + c[:, None] * o_c + n[None, :] * o_n
    tl.store(at, value.to(output.dtype.element_ty), mask=inside)


@triton.jit
def _sum_gradients(
    grad, y, mean, rstd, weight, bias, sums, channels, positions, g_b, g_c, g_n, y_b, y_c, y_n,
    split: tl.constexpr, high: tl.constexpr, wide: tl.constexpr, relu: tl.constexpr,
):  # fmt: skip
    """Sums of G'·y^ and of G' over ``split`` positions."""
    c, part, b = tl.program_id(0) * high + tl.arange(0, high), tl.program_id(1), tl.program_id(2)
    centre = tl.load(mean + c, mask=c < channels, other=0.0)[:, None]
    scale = tl.load(rstd + c, mask=c < channels, other=0.0)[:, None]
    w = tl.load(weight + c, mask=c < channels, other=0.0).to(tl.float32)[:, None]
    shift = tl.load(bias + c, mask=c < channels, other=0.0).to(tl.float32)[:, None]
    grad += b.to(tl.int64) * g_b
    y += b.to(tl.int64) * y_b
    first, second = tl.zeros((high, wide), tl.float32), tl.zeros((high, wide), tl.float32)
    for start in range(0, split, wide):
        n = part * split + start + tl.arange(0, wide)
        inside = (c[:, None] < channels) & (n[None, :] < positions)
        through = tl.load(grad + c[:, None] * g_c + n[None, :] * g_n, mask=inside, other=0.0).to(tl.float32)
        value = tl.load(y + c[:, None] * y_c + n[None, :] * y_n, mask=inside, other=0.0).to(tl.float32)
        value = (value - centre) * scale
        if relu:
            through = tl.where(value * w + shift > 0, through, 0.0)
        first += through * value
        second += through
    at = sums + (b * tl.num_programs(1) + part) * 2 * channels + c
    tl.store(at, tl.sum(first, 1), mask=c < channels)
    tl.store(at + channels, tl.sum(second, 1), mask=c < channels)


@triton.jit
def _grad_y(
    grad, y, mean, rstd, weight, bias, gate, s, t, output, channels, positions, count,
    g_b, g_c, g_n, y_b, y_c, y_n, o_b, o_c, o_n, gate_step,
    high: tl.constexpr, wide: tl.constexpr, relu: tl.constexpr,
):  # fmt: skip
    """gate · weight / deviation · (G' - t / count - y^ · s / count)."""
    b = tl.program_id(2).to(tl.int64)
    n, c = tl.program_id(0) * wide + tl.arange(0, wide), tl.program_id(1) * high + tl.arange(0, high)
    inside = (c[:, None] < channels) & (n[None, :] < positions)
    centre = tl.load(mean + c, mask=c < channels, other=0.0)[:, None]
    scale = tl.load(rstd + c, mask=c < channels, other=0.0)[:, None]
    w = tl.load(weight + c, mask=c < channels, other=0.0).to(tl.float32)[:, None]
    shift = tl.load(bias + c, mask=c < channels, other=0.0).to(tl.float32)[:, None]
    of_product = tl.load(s + c, mask=c < channels, other=0.0)[:, None] / count
    of_gradient = tl.load(t + c, mask=c < channels, other=0.0)[:, None] / count
    through = tl.load(grad + b * g_b + c[:, None] * g_c + n[None, :] * g_n, mask=inside, other=0.0).to(tl.float32)
    value = tl.load(y + b * y_b + c[:, None] * y_c + n[None, :] * y_n, mask=inside, other=0.0).to(tl.float32)
    value = (value - centre) * scale
    if relu:
        through = tl.where(value * w + shift > 0, through, 0.0)
    factor = w * scale * tl.load(gate + c * gate_step, mask=c < channels, other=0.0).to(tl.float32)[:, None]
    result = (through - of_gradient - value * of_product) * factor
    at = output + b * o_b + c[:, None] * o_c + n[None, :] * o_n
    tl.store(at, result.to(output.dtype.element_ty), mask=inside)
