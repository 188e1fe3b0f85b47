"""The nonlocal block: a graph filter on the fully connected graph of the N = T·H·W positions of a feature map.

    Y = X + gate · relu(norm( sum_k f_k(A) Z W_k )),   Z = g(X)          X, Y (N x C), Z (N x D), W_k (D x C)

with A the affinity (``affinities/``) and f_k the terms of the filter (``filters/``): every block of the family is one
choice of each (1911.01059, 2108.02451). Inside, signals lie channels first: x (B, C, N). Several units (``unit.py``)
form a stage: they share A, and each has its own g, W_k, norm and gate.
"""

from collections.abc import Iterable, Iterator, Sequence
from typing import Any

import torch
from torch import Tensor, nn

from specvid.models.blocks.affinities.base import Affinity
from specvid.models.blocks.filters.base import Filter
from specvid.models.blocks.fused import fused_unit, fuses
from specvid.models.blocks.grid import Grid, check_features, check_mode, flat_mask
from specvid.models.blocks.operators import Operator
from specvid.models.blocks.streaming import Sums, check_chunks, check_factored, run_in_passes, streamed_operator
from specvid.models.blocks.unit import Unit


class NonlocalBlock(nn.Module):
    """A stage of units that share one affinity, on (B, C, *dims) features.

    Args:
        channels: C.
        affinity: how positions are related.
        filters: one filter per unit.
        dims: 1 (T), 2 (H, W) or 3 (T, H, W).
        mode: which positions form a graph: ``st``, ``s`` or ``t`` (``grid.py``).
        recurrence: how often the stage runs, with A computed anew from its own output (criss-cross attention does so).
        unit_options: what every :class:`Unit` is made with.

    Raises:
        ValueError: the mode does not fit the dims, ``recurrence`` is below 1, or the affinity has no such filter.
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
        unit_options: dict[str, Any] | None = None,
    ) -> None:
        super().__init__()
        check_mode(mode, dims)
        if recurrence < 1:
            raise ValueError(f"recurrence={recurrence} is not possible: the block runs at least once.")
        if affinity.sub_sample and (dims == 1 or mode == "t"):
            raise ValueError(
                f"sub_sample=True pools keys over space, which graphs of dims={dims}, mode={mode!r} do not have; use "
                "sub_sample=False."
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
                    f"{type(affinity).__name__} is not; use the symmetric one, or a Chebyshev filter."
                )

    def forward(self, x: Tensor, mask: Tensor | None = None) -> Tensor:
        """Run the block.

        Args:
            x: features (B, C, *dims).
            mask: (B, T) or (B, *dims) bool, True where a position is valid. In eval mode valid positions come out as if
                the others did not exist; the others pass unchanged.

        Returns:
            (B, C, *dims).

        Raises:
            ValueError: the number of dimensions or channels is not the block's, or the mask does not fit.
        """
        check_features(x, self.channels, self.dims)
        x_bcn, mask_bn = x.flatten(2), flat_mask(mask, x)
        grid = Grid(tuple(x.shape[2:]), self.mode)
        for _ in range(self.recurrence):
            if fuses(self.affinity, self.units, grid):
                y_bcn = fused_unit(self.affinity, self.units[0], x_bcn, mask_bn)
                x_bcn = self.units[0].add(x_bcn, y_bcn, mask_bn)
                continue
            operator = self.affinity(x_bcn, grid, mask_bn)
            for unit in self.units:
                x_bcn = unit(x_bcn, operator, mask_bn)
        return x_bcn.reshape(x.shape)

    @torch.no_grad()
    def stream(self, chunks: Iterable[Tensor]) -> Iterator[Tensor]:
        """Run the block on a clip that is too long for memory, in chunks along time (``streaming.py``).

        Args:
            chunks: (B, C, T_i, H, W), or (B, C, T_i); iterated several times, so a list, or an object whose
                ``__iter__`` opens the source anew.

        Yields:
            The output of each chunk. Together they equal the block's output on the complete clip.

        Raises:
            ValueError: the block is in training mode, ``chunks`` can be read only once, a group norm looks at the
                complete clip, or graphs span several chunks and the affinity is not a sum of fixed size (a softmax over
                pairs needs every key, a criss-cross complete lines).
        """
        check_chunks(chunks, self.units, training=self.training)
        if self.mode == "s" and self.dims == 3:  # graphs are single frames
            yield from map(self, chunks)
            return
        affinity = check_factored(self.affinity)

        def forward(chunk: Tensor, sums: Sums) -> Tensor:
            grid, x_bcn = Grid(tuple(chunk.shape[2:]), self.mode), chunk.flatten(2)
            for _ in range(self.recurrence):
                operator = streamed_operator(affinity, x_bcn, grid, sums)
                for unit in self.units:
                    x_bcn = unit(x_bcn, operator, None)
            return x_bcn.reshape(chunk.shape)

        yield from run_in_passes(forward, chunks)

    def operator(self, x: Tensor, mask: Tensor | None = None) -> Operator:
        """The affinity of given features.

        Args:
            x: features (B, C, *dims).
            mask: as in :meth:`forward`.

        Returns:
            A as a linear operator, with ``apply``, ``rows``, ``dense`` and ``spectrum``.
        """
        check_features(x, self.channels, self.dims)
        return self.affinity(x.flatten(2), Grid(tuple(x.shape[2:]), self.mode), flat_mask(mask, x))

    def affinity_rows(self, x: Tensor, positions: Tensor, mask: Tensor | None = None) -> Tensor:
        """What some positions attend to: rows of A, without forming A.

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
        """The eigenvalues of A, largest first.

        They are exact, and take time linear in N where A has low rank R (the other N - R are 0), else O(N^3).

        Args:
            x: features (B, C, *dims).
            mask: as in :meth:`forward`.

        Returns:
            (B', R) float64, complex where A is not symmetric.
        """
        return self.operator(x, mask).spectrum()

    @torch.no_grad()
    def response(self, eigenvalues: Tensor | None = None) -> tuple[Tensor, Tensor]:
        """What the learned filters do to each frequency of the graph.

        Args:
            eigenvalues: a of A (L,); default 65 of them, from 1 (smooth over the graph) to -1. The Laplacian's
                frequency is 1 - a.

        Returns:
            eigenvalues (L,), and the gain of every unit at each of them (units, L): the Frobenius norm of
            sum_k f_k(a) W_k.
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

    def extra_repr(self) -> str:
        """Shape of the block, for ``repr``."""
        recurrence = f", recurrence={self.recurrence}" * (self.recurrence > 1)
        return f"channels={self.channels}, dims={self.dims}, mode={self.mode!r}{recurrence}"
