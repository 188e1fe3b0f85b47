"""The nonlocal block: a graph filter on the fully connected graph of the N = T·H·W positions of a feature map.

    Y = X + gate · relu(norm( sum_k f_k(A) Z W_k )),   Z = g(X)          X, Y (N x C), Z (N x D), W_k (D x C)

with A the affinity (``affinities/``) and f_k the terms of the filter (``filters/``): every block of the family is one
choice of each (1911.01059, 2108.02451). Inside, signals lie channels first: x (B, C, N). Several units form a stage:
they share A and each has its own g, W_k and norm.

The gate is one number, 0 at the start: the block is exactly the identity, and learns (the gate gets a gradient at once,
the rest as soon as the gate has moved). Zeroing the norm's weight instead, as the published code does under a ReLU,
gives every parameter a gradient of exactly zero for ever.
"""

from collections.abc import Iterable, Iterator, Sequence
from typing import cast

import torch
from torch import Tensor, nn

from specvid.models.blocks.affinities.base import Affinity
from specvid.models.blocks.filters.base import Filter
from specvid.models.blocks.fused import fused_unit, fuses
from specvid.models.blocks.gated import can_gate, gated_norm
from specvid.models.blocks.grid import Grid, check_mode, flat_mask
from specvid.models.blocks.norms import make_norm
from specvid.models.blocks.operators import Operator
from specvid.models.blocks.pointwise import Pointwise
from specvid.models.blocks.precision import full_precision


class Unit(nn.Module):
    """One filter with its weights: x + gate · relu(norm(sum_k f_k(A) g(x) W_k)).

    Args:
        channels: C.
        filter: the terms f_k.
        value: D, the channels of Z = g(x).
        norm: ``batch``, ``group`` (with ``groups`` groups) or ``none``.
        relu: apply a ReLU after the norm.
        gate: its start value.
        project: have weights W_k; without them D = C and the filter has one term.
        bias: g and the W_k have a bias.
        groups: of W_k and of the group norm.
        residual: add x.
    """

    def __init__(
        self,
        channels: int,
        filter: Filter,
        *,
        value: int,
        norm: str = "batch",
        relu: bool = False,
        gate: float = 0.0,
        project: bool = True,
        bias: bool = False,
        groups: int = 1,
        residual: bool = True,
    ) -> None:
        super().__init__()
        if channels % groups or value % groups:
            raise ValueError(
                f"groups={groups} does not divide both the channels {channels} and the inner width {value}; choose a "
                f"common divisor."
            )
        if not project and (value != channels or filter.terms != 1):
            raise ValueError(
                f"project=False needs one term of {channels} channels, not {filter.terms} of {value}; use project=True."
            )
        self.filter = filter
        self.g = Pointwise(channels, value, bias=bias)
        # One bias is enough: the terms are added.
        self.weights: Sequence[Pointwise] = nn.ModuleList(  # type: ignore[assignment]
            Pointwise(value, channels, bias=bias and k == 0, groups=groups)
            for k in range(filter.terms if project else 0)
        )
        self.norm = make_norm(norm, channels, groups)
        self.relu = relu
        self.gate = nn.Parameter(torch.full((1,), float(gate)))
        self.residual = residual

    def forward(self, x_bcn: Tensor, operator: Operator, mask_bn: Tensor | None = None) -> Tensor:
        """(B, C, N) -> (B, C, N); positions outside the mask pass unchanged."""
        terms = self.filter(operator, self.g(x_bcn, token_major=operator.token_major))
        if operator.wide:  # what grows with N would overflow in the weights' product too: in their precision
            with full_precision(x_bcn):
                y_bcn = self.project([term.to(self.gate.dtype) for term in terms])
        else:
            y_bcn = self.project(terms)
        return self.add(x_bcn, y_bcn, mask_bn)

    def add(self, x_bcn: Tensor, y_bcn: Tensor, mask_bn: Tensor | None) -> Tensor:
        """x + gate · relu(norm(y)), all (B, C, N)."""
        if self.residual and mask_bn is None and can_gate(x_bcn, y_bcn, self.norm):
            return gated_norm(x_bcn, y_bcn, cast(nn.BatchNorm1d, self.norm), self.gate, relu=self.relu)
        y_bcn = self.finish(y_bcn, mask_bn)
        gate = self.gate.to(y_bcn.dtype)
        return torch.addcmul(x_bcn, y_bcn, gate) if self.residual else y_bcn * gate

    def project(self, terms: list[Tensor]) -> Tensor:
        """sum_k W_k f_k(A) z: K tensors (B, D, N) -> (B, C, N)."""
        if not len(self.weights):
            return terms[0]
        y_bcn = self.weights[0](terms[0])
        for weight, term in zip(self.weights[1:], terms[1:], strict=True):
            y_bcn = accumulate(y_bcn, weight, term)
        return y_bcn

    def finish(self, y_bcn: Tensor, mask_bn: Tensor | None) -> Tensor:
        """relu(norm(y)): (B, C, N) -> (B, C, N), 0 outside the mask, which the statistics of training do not see."""
        if isinstance(self.norm, nn.SyncBatchNorm):  # what nn.SyncBatchNorm.convert_sync_batchnorm makes of ours
            if mask_bn is not None and self.training:
                raise ValueError(
                    "SyncBatchNorm counts positions outside the mask in its statistics: train with masks without "
                    "--sync-bn, or with norm='group' or norm='none' in the block."
                )
            y_bcn = self.norm(y_bcn) if mask_bn is None else self.norm(y_bcn) * mask_bn.unsqueeze(1)
        else:
            y_bcn = self.norm(y_bcn, mask_bn)
        return y_bcn.relu() if self.relu else y_bcn


def accumulate(y_bcn: Tensor, weight: nn.Module, term_bdn: Tensor) -> Tensor:
    """y + W term, in one product where W is not grouped."""
    if not isinstance(weight, Pointwise) or weight.groups > 1 or y_bcn.dtype != term_bdn.dtype:
        return y_bcn + weight(term_bdn)
    return torch.baddbmm(y_bcn, weight.weight.squeeze(-1).expand(y_bcn.shape[0], -1, -1), term_bdn)


class NonlocalBlock(nn.Module):
    """A stage of units that share one affinity, on (B, C, *dims) features.

    Args:
        channels: C.
        affinity: how positions are related.
        filters: one filter per unit.
        dims: 1 (T), 2 (H, W) or 3 (T, H, W).
        mode: which positions form a graph: ``st``, ``s`` or ``t`` (see ``grid.py``).
        recurrence: run the whole stage this often, with A computed anew from its own output (criss-cross attention
            does so).
        unit_options: what every :class:`Unit` is made with.
    """

    def __init__(
        self,
        channels: int,
        affinity: Affinity,
        filters: Iterable[Filter],
        *,
        dims: int = 3,
        mode: str = "st",
        recurrence: int = 1,
        unit_options: dict | None = None,
    ) -> None:
        super().__init__()
        check_mode(mode, dims)
        if recurrence < 1:
            raise ValueError(f"recurrence={recurrence} is not possible: the block runs at least once.")
        if affinity.sub_sample and (dims == 1 or mode == "t"):
            raise ValueError(
                f"sub_sample=True pools keys over space, which graphs of dims={dims}, mode={mode!r} do not have; use "
                f"sub_sample=False."
            )
        self.channels = channels
        self.dims = dims
        self.mode = mode
        self.recurrence = recurrence
        self.affinity = affinity
        self.units: Sequence[Unit] = nn.ModuleList(  # type: ignore[assignment]
            Unit(channels, filter, **(unit_options or {})) for filter in filters
        )
        for unit in self.units:
            if unit.filter.needs_symmetric and not affinity.symmetric:
                raise ValueError(
                    f"filter {type(unit.filter).__name__} needs a symmetric normalised affinity, which "
                    f"{type(affinity).__name__} is not; "
                    "use the symmetric one, or a Chebyshev filter."
                )

    def forward(self, x: Tensor, mask: Tensor | None = None) -> Tensor:
        """(B, C, *dims) -> the same shape.

        Args:
            x: features.
            mask: (B, T) or (B, *dims) bool, True where a position is valid. In eval mode valid positions come out as
                if the others did not
                exist; the others pass unchanged.

        Raises:
            ValueError: the number of dimensions or channels is not the block's, or the mask does not fit.
        """
        self._check(x)
        x_bcn, mask_bn = x.flatten(2), flat_mask(mask, x)
        grid = Grid(tuple(x.shape[2:]), self.mode)
        for _ in range(self.recurrence):
            if fuses(self, grid):
                x_bcn = self.units[0].add(x_bcn, fused_unit(self, x_bcn, mask_bn), mask_bn)
                continue
            operator = self.affinity(x_bcn, grid, mask_bn)
            for unit in self.units:
                x_bcn = unit(x_bcn, operator, mask_bn)
        return x_bcn.reshape(x.shape)

    def _check(self, x: Tensor) -> None:
        if x.dim() != self.dims + 2 or x.shape[1] != self.channels:
            names = {1: "T", 2: "H, W", 3: "T, H, W"}[self.dims]
            raise ValueError(
                f"input has shape {tuple(x.shape)}, but this block was made for dims={self.dims} and {self.channels} "
                f"channels: (B, {self.channels}, "
                f"{names}). Make the block with the dims and channels of its place."
            )

    def operator(self, x: Tensor, mask: Tensor | None = None) -> Operator:
        """The affinity of features (B, C, *dims) as an operator: ``apply``, ``rows``, ``dense``, ``spectrum``."""
        self._check(x)
        return self.affinity(x.flatten(2), Grid(tuple(x.shape[2:]), self.mode), flat_mask(mask, x))

    def affinity_rows(self, x: Tensor, positions: Tensor, mask: Tensor | None = None) -> Tensor:
        """What some positions attend to: rows of A without forming A.

        Args:
            x: features (B, C, *dims).
            positions: (P,) int64 flat indices within a graph (``st``: t·H·W + h·W + w).
            mask: as in :meth:`forward`.

        Returns:
            (B', P, n) with B' graphs of n positions; B' = B and n = N for mode ``st``. With ``sub_sample`` n is the
            number of pooled positions. For ``cgnl``, which relates channels too, positions are vertices c·N + n of a
            group: (B', groups, P, c·n).
        """
        return self.operator(x, mask).rows(positions)

    def spectrum(self, x: Tensor, mask: Tensor | None = None) -> Tensor:
        """Eigenvalues of A for features (B, C, *dims), largest first: (B', R) float64 (complex where A is not
        symmetric).

        Exact in time linear in N where A has low rank R (the other N - R are 0); otherwise O(N^3).
        """
        return self.operator(x, mask).spectrum()

    @torch.no_grad()
    def response(self, eigenvalues: Tensor | None = None) -> tuple[Tensor, Tensor]:
        """What the learned filters do to each frequency of the graph.

        Args:
            eigenvalues: a of A (L,); default 65 of them, from 1 (smooth over the graph) to -1. The Laplacian's
                frequency is 1 - a.

        Returns:
            eigenvalues (L,), and the gain of every unit at each of them (units, L): the Frobenius norm of sum_k f_k(a)
            W_k.
        """
        if eigenvalues is None:
            eigenvalues = torch.linspace(1, -1, 65)
        gains = []
        for unit in self.units:
            terms_kl = unit.filter.response(eigenvalues.to(unit.gate.device))
            if not len(unit.weights):
                gains.append(terms_kl[0].abs())
                continue
            weights_kcd = torch.stack([weight.weight.squeeze(-1) for weight in unit.weights])
            gains.append(torch.linalg.matrix_norm(torch.einsum("kl,kcd->lcd", terms_kl.to(weights_kcd), weights_kcd)))
        return eigenvalues, torch.stack(gains)

    def stream(self, chunks: Iterable[Tensor]) -> Iterator[Tensor]:
        """The block on a clip too long for memory, given as chunks along time: equal to the whole in eval mode (see
        ``streaming.py``)."""
        from specvid.models.blocks.streaming import stream

        return stream(self, chunks)

    def extra_repr(self) -> str:
        """Shape of the block, for ``repr``."""
        return f"channels={self.channels}, dims={self.dims}, mode={self.mode!r}" + (
            f", recurrence={self.recurrence}" * (self.recurrence > 1)
        )
