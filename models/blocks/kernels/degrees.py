"""Degrees and normalisation of the symmetric affinity: E -> F and back, in Triton.

    E = relu(rows),   t = s(E·1),   q = t^T E,   r = q^-1/2 (0 where q = 0),   F = E · r          E, F (B, 2Cs, N)

q is twice the degree of ``affinities/symmetric.py``, so that A = F^T s(F) without the factor 1/2. With G the gradient
of F, S_n = sum over channels of G·F and v = -S r / 2, the gradient of E where E > 0 (elsewhere 0) is

    dE = r·G + t^T (v r) + s(F v^T)

Sums are taken in float32 and in a fixed order: the same input gives the same bits.
"""

# Strides are given as *tensor.stride(), of which pyright does not know the number.
# pyright: reportCallIssue=false, reportIndexIssue=false, reportArgumentType=false

import torch
import triton
import triton.language as tl
from torch import Tensor


def normalise_(rows_brn: Tensor, mask_bn: Tensor | None) -> tuple[Tensor, Tensor]:
    """Turn the products of theta and phi into F, in place.

    Args:
        rows_brn: W_theta,phi x (B, 2Cs, N), written over with F.
        mask_bn: (B, N) bool; F is 0 outside of it.

    Returns:
        t (B, 2Cs) and r (B, N), float32.
    """
    batch, rank, positions = rows_brn.shape
    masked, mask = mask_bn is not None, rows_brn if mask_bn is None else mask_bn.contiguous()
    channels_first = rows_brn.stride(2) == 1
    split, high, wide, warps = (2048, 16, 256, 4) if channels_first else (1024, 64, 128, 8)
    sizes, splits = (rank, positions), triton.cdiv(positions, split)
    partial = rows_brn.new_empty(batch, splits, rank, dtype=torch.float32)
    totals_br = rows_brn.new_empty(batch, rank, dtype=torch.float32)
    root_bn = rows_brn.new_empty(batch, positions, dtype=torch.float32)
    _sum_rows[triton.cdiv(rank, high), splits, batch](
        rows_brn, mask, partial, *sizes, *rows_brn.stride(), split, high, wide, masked, num_warps=warps
    )
    high, wide = (256, 64) if channels_first else (256, 16)
    _normalise[triton.cdiv(positions, wide), batch](
        rows_brn, mask, partial, totals_br, root_bn, *sizes, splits, *rows_brn.stride(), high, wide, masked, num_warps=8
    )
    return totals_br, root_bn


def normalise_backward_(grad_brn: Tensor, factor_brn: Tensor, totals_br: Tensor, root_bn: Tensor) -> None:
    """Turn the gradient of F into that of W_theta,phi x, in place.

    Args:
        grad_brn: G (B, 2Cs, N), written over.
        factor_brn: F, with strides of its own.
        totals_br: t, from :func:`normalise_`.
        root_bn: r, from :func:`normalise_`.
    """
    batch, rank, positions = factor_brn.shape
    channels_first = factor_brn.stride(2) == 1
    sizes = rank, positions, *factor_brn.stride(), *grad_brn.stride()
    high, wide, warps = (256, 32, 8) if channels_first else (512, 8, 4)
    tiles = triton.cdiv(positions, wide)
    slope_bn, partial = torch.empty_like(root_bn), totals_br.new_empty(batch, tiles, rank)
    _slopes[tiles, batch](grad_brn, factor_brn, root_bn, slope_bn, partial, *sizes, high, wide, num_warps=warps)
    grad_totals_br = partial.sum(1)
    high, wide, warps = (16, 256, 8) if channels_first else (256, 16, 4)
    _unnormalise[triton.cdiv(positions, wide), triton.cdiv(rank, high), batch](
        grad_brn, factor_brn, root_bn, slope_bn, totals_br, grad_totals_br, *sizes, high, wide, num_warps=warps
    )


@triton.jit
def _sum_rows(
    rows,
    mask,
    partial,
    rank,
    positions,
    s_b,
    s_r,
    s_n,
    split: tl.constexpr,
    high: tl.constexpr,
    wide: tl.constexpr,
    masked: tl.constexpr,
):
    """Sums of relu(rows) over ``split`` positions: partial (B, splits, rank)."""
    r, part, b = tl.program_id(0) * high + tl.arange(0, high), tl.program_id(1), tl.program_id(2)
    rows += b.to(tl.int64) * s_b
    total = tl.zeros((high, wide), tl.float32)
    for start in range(0, split, wide):
        n = part * split + start + tl.arange(0, wide)
        inside = (r[:, None] < rank) & (n[None, :] < positions)
        tile = tl.load(rows + r[:, None] * s_r + n[None, :] * s_n, mask=inside, other=0.0).to(tl.float32)
        if masked:
            valid = tl.load(mask + b * positions + n, mask=n < positions, other=0)
            tile = tl.where(valid[None, :] != 0, tile, 0.0)
        total += tl.maximum(tile, 0.0)
    tl.store(partial + (b * tl.num_programs(1) + part) * rank + r, tl.sum(total, 1), mask=r < rank)


@triton.jit
def _normalise(
    rows,
    mask,
    partial,
    totals,
    root,
    rank,
    positions,
    splits,
    s_b,
    s_r,
    s_n,
    high: tl.constexpr,
    wide: tl.constexpr,
    masked: tl.constexpr,
):
    """Degrees of ``wide`` positions, then F in place of rows, which the cache still holds."""
    tile, b = tl.program_id(0), tl.program_id(1)
    n = tile * wide + tl.arange(0, wide)
    rows += b.to(tl.int64) * s_b
    degree = tl.zeros((wide,), tl.float32)
    for start in range(0, rank, high):
        r = start + tl.arange(0, high)
        other = tl.where(r < rank // 2, r + rank // 2, r - rank // 2)
        total = tl.zeros((high,), tl.float32)
        for part in range(splits):
            total += tl.load(partial + (b * splits + part) * rank + other, mask=r < rank, other=0.0)
        if tile == 0:
            tl.store(totals + b * rank + r, total, mask=r < rank)
        inside = (r[:, None] < rank) & (n[None, :] < positions)
        value = tl.load(rows + r[:, None] * s_r + n[None, :] * s_n, mask=inside, other=0.0).to(tl.float32)
        degree += tl.sum(tl.maximum(value, 0.0) * total[:, None], 0)
    if masked:
        valid = tl.load(mask + b * positions + n, mask=n < positions, other=0)
        degree = tl.where(valid != 0, degree, 0.0)
    scale = tl.where(degree > 0, tl.rsqrt(tl.where(degree > 0, degree, 1.0)), 0.0)
    tl.store(root + b * positions + n, scale, mask=n < positions)
    for start in range(0, rank, high):
        r = start + tl.arange(0, high)
        inside = (r[:, None] < rank) & (n[None, :] < positions)
        at = rows + r[:, None] * s_r + n[None, :] * s_n
        value = tl.maximum(tl.load(at, mask=inside, other=0.0).to(tl.float32), 0.0) * scale[None, :]
        tl.store(at, value.to(rows.dtype.element_ty), mask=inside)


@triton.jit
def _slopes(
    grad,
    factor,
    root,
    slope,
    partial,
    rank,
    positions,
    f_b,
    f_r,
    f_n,
    g_b,
    g_r,
    g_n,
    high: tl.constexpr,
    wide: tl.constexpr,
):
    """v of ``wide`` positions, and what they add to F v^T: partial (B, tiles, rank)."""
    tile, b = tl.program_id(0), tl.program_id(1)
    n = tile * wide + tl.arange(0, wide)
    grad += b.to(tl.int64) * g_b
    factor += b.to(tl.int64) * f_b
    total = tl.zeros((wide,), tl.float32)
    for start in range(0, rank, high):
        r = start + tl.arange(0, high)
        inside = (r[:, None] < rank) & (n[None, :] < positions)
        g = tl.load(grad + r[:, None] * g_r + n[None, :] * g_n, mask=inside, other=0.0).to(tl.float32)
        f = tl.load(factor + r[:, None] * f_r + n[None, :] * f_n, mask=inside, other=0.0).to(tl.float32)
        total += tl.sum(g * f, 0)
    v = -0.5 * total * tl.load(root + b * positions + n, mask=n < positions, other=0.0)
    tl.store(slope + b * positions + n, v, mask=n < positions)
    for start in range(0, rank, high):
        r = start + tl.arange(0, high)
        inside = (r[:, None] < rank) & (n[None, :] < positions)
        f = tl.load(factor + r[:, None] * f_r + n[None, :] * f_n, mask=inside, other=0.0).to(tl.float32)
        part = tl.sum(f * v[None, :], 1)
        tl.store(partial + (b * tl.num_programs(0) + tile) * rank + r, part, mask=r < rank)


@triton.jit
def _unnormalise(
    grad,
    factor,
    root,
    slope,
    totals,
    grad_totals,
    rank,
    positions,
    f_b,
    f_r,
    f_n,
    g_b,
    g_r,
    g_n,
    high: tl.constexpr,
    wide: tl.constexpr,
):
    """dE in place of G."""
    b = tl.program_id(2)
    n, r = tl.program_id(0) * wide + tl.arange(0, wide), tl.program_id(1) * high + tl.arange(0, high)
    other = tl.where(r < rank // 2, r + rank // 2, r - rank // 2)
    inside = (r[:, None] < rank) & (n[None, :] < positions)
    grad += b.to(tl.int64) * g_b
    factor += b.to(tl.int64) * f_b
    scale = tl.load(root + b * positions + n, mask=n < positions, other=0.0)
    v = tl.load(slope + b * positions + n, mask=n < positions, other=0.0)
    total = tl.load(totals + b * rank + r, mask=r < rank, other=0.0)
    grad_total = tl.load(grad_totals + b * rank + other, mask=r < rank, other=0.0)
    at = grad + r[:, None] * g_r + n[None, :] * g_n
    g = tl.load(at, mask=inside, other=0.0).to(tl.float32)
    f = tl.load(factor + r[:, None] * f_r + n[None, :] * f_n, mask=inside, other=0.0)
    g = g * scale[None, :] + total[:, None] * (v * scale)[None, :] + grad_total[:, None]
    tl.store(at, tl.where(f > 0, g, 0.0).to(grad.dtype.element_ty), mask=inside)
