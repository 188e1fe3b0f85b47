"""The passes of ``gated_norm.py`` in Triton: the formulas of ``gated.py``, in float32.

Every kernel takes its tensors with their strides. A program computes tiles of ``high`` channels and ``wide`` positions.
"""

import triton
import triton.language as tl


@triton.jit
def sum_values(
    y, sums, channels, positions, s_b, s_c, s_n, split: tl.constexpr, high: tl.constexpr, wide: tl.constexpr
):
    """Y (B, C, N) -> sums (programs, 2, C) of y - k and (y - k)^2 over ``split`` positions.

    With k = y[0, c, 0]: without it the difference of the sums cancels.
    """
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
def statistics(
    y,
    sums,
    mean,
    rstd,
    running_mean,
    running_var,
    channels,
    s_c,
    parts,
    count,
    momentum,
    eps,
    high: tl.constexpr,
    track: tl.constexpr,
):
    """Sums (programs, 2, C) -> mean and 1 / deviation (C,); the running statistics move as batch norm's do."""
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
def write(
    x,
    y,
    mean,
    spread,
    weight,
    bias,
    gate,
    output,
    channels,
    positions,
    x_b,
    x_c,
    x_n,
    y_b,
    y_c,
    y_n,
    o_b,
    o_c,
    o_n,
    gate_step,
    eps,
    high: tl.constexpr,
    wide: tl.constexpr,
    relu: tl.constexpr,
    of_variance: tl.constexpr,
):
    """Features x and y (B, C, N) -> output = x + gate · relu(norm(y))."""
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
def sum_gradients(
    grad,
    y,
    mean,
    rstd,
    weight,
    bias,
    sums,
    channels,
    positions,
    g_b,
    g_c,
    g_n,
    y_b,
    y_c,
    y_n,
    split: tl.constexpr,
    high: tl.constexpr,
    wide: tl.constexpr,
    relu: tl.constexpr,
):
    """Gradient G and y (B, C, N) -> sums (programs, 2, C) of G'·y^ and of G' over ``split`` positions."""
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
def grad_y(
    grad,
    y,
    mean,
    rstd,
    weight,
    bias,
    gate,
    s,
    t,
    output,
    channels,
    positions,
    count,
    g_b,
    g_c,
    g_n,
    y_b,
    y_c,
    y_n,
    o_b,
    o_c,
    o_n,
    gate_step,
    high: tl.constexpr,
    wide: tl.constexpr,
    relu: tl.constexpr,
):
    """Gradient G and y (B, C, N) -> output = gate · weight / deviation · (G' - t / count - y^ · s / count)."""
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
