"""The linear part of an SNL unit as one function: the same results with fewer passes over memory.

    x -> W_0 Z + W_1 A Z,    Z = W_g x,    A = F^T s(F) / 2,    F = E · d^-1/2
    E = relu(W_theta,phi x),    d = s(E·1)^T E / 2

On a CPU the matrix products of the unit cost 1.4 times those of its 1x1 convolutions; what comes on top are passes over
(2Cs x N) arrays and the arrays themselves. Here theta, phi and g are one product, F replaces E in its place, W_0 and
W_1 are one product of [Z; A Z], and the backward pass works in place. Where N is so small that A is cheaper to form, it
is formed. ``impl`` and the results are those of ``affinities/symmetric.py``: the tests compare the two.

Samples of few positions are packed side by side (``packing.py``), so that weights meet all of them in one product.

At a position with d = 0, F = E (r = 1): every product with it is zero all the same, since d = 0 means that no other
position shares a channel with it.
"""

from collections.abc import Callable, Sequence
from typing import Any, TypeGuard

import torch
from torch import Tensor
from torch.autograd.function import once_differentiable

from specvid.models.blocks.affinities.base import Affinity
from specvid.models.blocks.affinities.symmetric import SymmetricAffinity
from specvid.models.blocks.filters.polynomial import FirstOrder
from specvid.models.blocks.fused_cuda import MergedUnit, merging_pays
from specvid.models.blocks.grid import Grid
from specvid.models.blocks.kernels import kernels_run_on
from specvid.models.blocks.packing import columns, empty_as, empty_side_by_side, mix, outer, side_by_side
from specvid.models.blocks.pointwise import one_product_pays
from specvid.models.blocks.precision import at_least_float32, full_precision
from specvid.models.blocks.unit import Unit

IN_CACHE = 2**18  # elements of a product held at a time: 1 MiB in float32


def fuses(affinity: Affinity, units: Sequence[Unit], grid: Grid) -> TypeGuard[SymmetricAffinity]:
    """Whether a block is one plain SNL unit on a graph of all positions, which this file computes.

    Under ``torch.compile`` and ``torch.export`` it never is: the compiler fuses, from the plain form.

    Args:
        affinity: that of the block.
        units: those of the block.
        grid: the positions of its input.

    Returns:
        Whether :func:`fused_unit` computes it.
    """
    if len(units) != 1 or not isinstance(affinity, SymmetricAffinity) or torch.compiler.is_compiling():
        return False
    (unit,) = units
    plain = isinstance(unit.filter, FirstOrder) and unit.filter.pairs == ((1, 0), (0, 1))
    weights = (affinity.theta, affinity.phi, unit.g, *unit.weights)
    bare = all(weight.bias is None and weight.groups == 1 for weight in weights)
    return plain and bare and grid.is_one_graph


def fused_unit(affinity: SymmetricAffinity, unit: Unit, x_bcn: Tensor, mask_bn: Tensor | None) -> Tensor:
    """W_0 Z + W_1 A Z of a block for which :func:`fuses` is true.

    Args:
        affinity: that of the block.
        unit: its one unit.
        x_bcn: features (B, C, N).
        mask_bn: (B, N) bool; positions outside it are related to nothing.

    Returns:
        (B, C, N), in autocast's precision where autocast is on.
    """
    w_in = torch.cat((affinity.theta.weight, affinity.phi.weight, unit.g.weight)).squeeze(-1)
    w_0, w_1 = (weight.weight.squeeze(-1) for weight in unit.weights)
    if not x_bcn.is_meta and torch.is_autocast_enabled(x_bcn.device.type):
        dtype = torch.get_autocast_dtype(x_bcn.device.type)
        x_bcn, w_in, w_0, w_1 = x_bcn.to(dtype), w_in.to(dtype), w_0.to(dtype), w_1.to(dtype)
    batch, _, positions = x_bcn.shape
    if kernels_run_on(x_bcn) and merging_pays(affinity, positions):
        return MergedUnit.apply(x_bcn, w_in, w_0, w_1, mask_bn)
    dense = affinity.dense_is_cheaper(positions)
    w_out = torch.cat((w_0, w_1), dim=1)
    if one_product_pays(batch, positions, unit.g.out_channels):
        x_bcn = side_by_side(x_bcn)
    learns = torch.is_grad_enabled() and any(it.requires_grad for it in (x_bcn, w_in, w_0, w_1))
    if not learns and not unit.training and not dense:
        cheaper = _cheaper_form(w_0, 2 * affinity.inner, positions)
        if cheaper is not None:
            return cheaper(x_bcn, w_in, w_0, w_1, mask_bn)
    return _SpectralUnit.apply(x_bcn, w_in, w_out, mask_bn, affinity.inner, dense, unit.training)


class _SpectralUnit(torch.autograd.Function):
    """W_0 Z + W_1 A Z and its gradient, in place where the numbers allow it."""

    @staticmethod
    def forward(
        ctx: Any,
        x: Tensor,
        w_in: Tensor,
        w_out: Tensor,
        mask_bn: Tensor | None,
        inner: int,
        dense: bool,
        training: bool,
    ) -> Tensor:
        rank, value = 2 * inner, w_out.shape[1] // 2
        with full_precision(x):
            rows = empty_as(x, rank + 2 * value)  # [F; Z; A Z]
            mix(w_in, x, out=rows[:, : rank + value])
            factor, signal, both = rows[:, :rank], rows[:, rank : rank + value], rows[:, rank:]
            totals_b1r, root_b1n, connected = _normalise_(factor, mask_bn)
            if dense:
                related = _symmetric_part(torch.bmm(factor[:, :inner].mT, factor[:, inner:]))  # A, (B, N, N)
                torch.bmm(signal, related, out=rows[:, rank + value :])
            else:
                related = _swap(torch.bmm(signal, factor.mT)) * 0.5  # what A Z is in rows of F, (B, D, 2Cs)
                torch.bmm(related, factor, out=rows[:, rank + value :])
            # In training the batch norm that comes next wants each channel in one piece.
            output = (empty_side_by_side if training else empty_as)(x, w_out.shape[0])
            mix(w_out, both, out=output)
        ctx.save_for_backward(x, w_in, w_out, rows, related, totals_b1r, root_b1n, connected)
        ctx.dense = dense
        return output

    @staticmethod
    @once_differentiable
    def backward(ctx: Any, grad: Tensor) -> tuple[Tensor | None, ...]:
        x, w_in, w_out, rows, related, totals_b1r, root_b1n, connected = ctx.saved_tensors
        rank, value = totals_b1r.shape[-1], w_out.shape[1] // 2
        factor, signal, both = rows[:, :rank], rows[:, rank : rank + value], rows[:, rank:]
        with full_precision(x):
            if columns(x) is not None:
                grad = side_by_side(grad)
            inward = empty_as(x, rank + value)  # gradients of [E; Z]
            grad_factor, grad_signal = inward[:, :rank], inward[:, rank:]
            mix(w_out[:, :value].mT, grad, out=grad_signal)
            grad_filtered = mix(w_out[:, value:].mT, grad, out=empty_as(x, value))
            if ctx.dense:
                grad_related = _symmetric_part(torch.bmm(signal.mT, grad_filtered))
                torch.bmm(_swap(factor, dim=1), grad_related, out=grad_factor)
                grad_signal.baddbmm_(grad_filtered, related)
            else:
                grad_related = _swap(torch.bmm(grad_filtered, factor.mT)) * 0.5
                torch.bmm(related.mT, grad_filtered, out=grad_factor)
                grad_factor.baddbmm_(grad_related.mT, signal)
                grad_signal.baddbmm_(grad_related, factor)
            # F = E r(d), d = totals E / 2: dE = r dF + totals^T dd / 2 + 1 dtotals, where E > 0.
            wide_factor, wide_grad = at_least_float32(factor), at_least_float32(grad_factor)
            slope_b1n = _column_products(wide_grad, wide_factor) * -0.5 * connected
            grad_degree_b1n = slope_b1n * root_b1n.square()
            grad_totals_br1 = torch.bmm(wide_factor, (slope_b1n * root_b1n).mT) * 0.5
            left_br2 = torch.cat((totals_b1r.mT * 0.5, _swap(grad_totals_br1, dim=1)), dim=-1)
            right_b2n = torch.cat((grad_degree_b1n, torch.ones_like(grad_degree_b1n)), dim=1)
            wide_grad.mul_(root_b1n).baddbmm_(left_br2, right_b2n)  # in place of grad_factor where that is wide itself
            if wide_grad is not grad_factor:
                grad_factor.copy_(wide_grad)
            torch.ops.aten.threshold_backward.grad_input(grad_factor, factor, 0, grad_input=grad_factor)
            grad_x = mix(w_in.mT, inward, out=torch.empty_like(x)) if ctx.needs_input_grad[0] else None
            grad_w_in = outer(inward, x) if ctx.needs_input_grad[1] else None
            grad_w_out = outer(grad, both) if ctx.needs_input_grad[2] else None
        return grad_x, grad_w_in, grad_w_out, None, None, None, None


def _cheaper_form(w_0: Tensor, rank: int, positions: int) -> Callable[..., Tensor] | None:
    """The form that takes the fewest multiplications where no gradient is wanted; None: that of ``_SpectralUnit``.

    In C^2 N, with D = Cs = k C, these are 5 k + 4 k^2, ``_merged`` 6 k + 2 k^2 and ``_without_signal`` 6 k + 1, and
    what does not grow with N. (The first also stores A Z, which the others never do: a twentieth on the products that
    make and read it.)
    """
    c, d, r, n = w_0.shape[0], w_0.shape[1], rank, positions
    costs: dict[Callable[..., Tensor] | None, float] = {
        _merged: n * (2 * c * r + 2 * c * d + r * d) + c * d * r,
        _without_signal: n * (3 * c * r + c * c) + c * d * (c + 2 * r),
        None: n * (c * r + c * d + r * d + 1.05 * d * (2 * c + r)),
    }
    return min(costs, key=lambda form: costs[form])


def _merged(x: Tensor, w_in: Tensor, w_0: Tensor, w_1: Tensor, mask_bn: Tensor | None) -> Tensor:
    """W_0 Z + W_1 A Z without a gradient, with K, which makes A Z of F, in the weights."""
    batch, rank = x.shape[0], w_in.shape[0] - w_0.shape[1]
    with full_precision(x):
        rows = mix(w_in, x, out=empty_as(x, w_in.shape[0]))  # [F; Z]
        factor, signal = rows[:, :rank], rows[:, rank:]
        _normalise_(factor, mask_bn)
        related = _swap(torch.bmm(signal, factor.mT)) * 0.5  # K, (B, D, 2Cs)
        weights = torch.cat((w_1 @ related, w_0.expand(batch, -1, -1)), dim=2)
        return torch.bmm(weights, rows, out=empty_as(x, w_0.shape[0]))


def _without_signal(x: Tensor, w_in: Tensor, w_0: Tensor, w_1: Tensor, mask_bn: Tensor | None) -> Tensor:
    """W_0 Z + W_1 A Z without a gradient as W_0 W_g x + W_1 (W_g x F^T) F: Z is never computed."""
    rank = w_in.shape[0] - w_0.shape[1]
    w_factor, w_g = w_in[:rank], w_in[rank:]
    with full_precision(x):
        factor = mix(w_factor, x, out=empty_as(x, rank))
        _normalise_(factor, mask_bn)
        related = _swap(w_g @ torch.bmm(x, factor.mT)) * 0.5  # K, (B, D, 2Cs)
        output = mix(w_0 @ w_g, x, out=empty_as(x, w_0.shape[0]))
        return output.baddbmm_(w_1 @ related, factor)


def _normalise_(factor: Tensor, mask_bn: Tensor | None) -> tuple[Tensor, Tensor, Tensor]:
    """E -> F in place: relu, mask, and each column over the root of its degree.

    Args:
        factor: (B, 2Cs, N), overwritten.
        mask_bn: (B, N) bool.

    Returns:
        s(E 1) (B, 1, 2Cs), the factors on columns (B, 1, N), and where a column is related to anything (B, 1, N).
    """
    factor.relu_()
    if mask_bn is not None:
        factor.mul_(mask_bn.unsqueeze(1))
    wide = at_least_float32(factor)
    totals_b1r = _swap(wide.sum(-1)).unsqueeze(1)
    degree_b1n = torch.bmm(totals_b1r, wide) * 0.5
    connected = degree_b1n > 0
    root_b1n = torch.where(connected, torch.where(connected, degree_b1n, 1.0).rsqrt(), 1.0)
    if wide is factor:
        factor.mul_(root_b1n)
    else:
        factor.copy_(wide * root_b1n)
    return totals_b1r, root_b1n, connected


def _symmetric_part(a_bnn: Tensor) -> Tensor:
    """(A + A^T) / 2."""
    return (a_bnn + a_bnn.mT).mul_(0.5)


def _column_products(a_brn: Tensor, b_brn: Tensor) -> Tensor:
    """sum_r a·b: two (B, R, N) -> (B, 1, N), on a CPU some rows at a time, so that no product leaves the cache."""
    batch, rows, positions = a_brn.shape
    at_once = max(1, IN_CACHE // max(1, batch * positions)) if a_brn.is_cpu else rows
    total_b1n = a_brn.new_zeros(batch, 1, positions)
    for start in range(0, rows, at_once):
        part = slice(start, start + at_once)
        total_b1n += (a_brn[:, part] * b_brn[:, part]).sum(1, keepdim=True)
    return total_b1n


def _swap(x: Tensor, *, dim: int = -1) -> Tensor:
    """The two halves of a dimension, exchanged."""
    return torch.cat(x.chunk(2, dim=dim)[::-1], dim=dim)
