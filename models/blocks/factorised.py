"""``mode="t+s"``: the block over time at each place, then the block over space in each frame."""

from collections.abc import Iterable, Iterator

import torch
from torch import Tensor, nn

from specvid.models.blocks.block import NonlocalBlock


class Factorised(nn.Module):
    """A temporal block followed by a spatial one, on (B, C, T, H, W) features.

    Looking inside takes the affinities of both; the spatial one is that of the output of the temporal block.

    Args:
        temporal: a block with ``mode="t"``.
        spatial: one with ``mode="s"``.
    """

    def __init__(self, temporal: NonlocalBlock, spatial: NonlocalBlock) -> None:
        super().__init__()
        self.temporal = temporal
        self.spatial = spatial

    def forward(self, x: Tensor, mask: Tensor | None = None) -> Tensor:
        """Run the temporal block, then the spatial one.

        Args:
            x: features (B, C, T, H, W).
            mask: as in :meth:`NonlocalBlock.forward`.

        Returns:
            (B, C, T, H, W).
        """
        return self.spatial(self.temporal(x, mask), mask)

    def affinity_rows(self, x: Tensor, positions: Tensor, mask: Tensor | None = None) -> Tensor:
        """What some positions attend to through both affinities: rows of the product A_s A_t, without forming it.

        Args:
            x: features (B, C, T, H, W).
            positions: (P,) int64 flat indices t·H·W + h·W + w.
            mask: as in :meth:`forward`.

        Returns:
            (B, P, N): position (t, i) attends to (t', j) with ``A_s[t][i, j] * A_t[j][t, t']``, A_s of frame t, A_t of
            place j.

        Raises:
            ValueError: the affinity relates channels as well (``cgnl``), or x does not fit.
        """
        middle = self.temporal(x, mask)
        batch, _, frames, height, width = x.shape
        places = height * width
        time, place = positions // places, positions % places
        rows_t = self.temporal.affinity_rows(x, time, mask)  # (B·places, P, T)
        rows_s = self.spatial.affinity_rows(middle, place, mask)  # (B·T, P, places)
        if rows_t.dim() != 3:
            raise ValueError(
                f"{type(self.spatial.affinity).__name__} does not relate positions with positions here: look at "
                f"block.temporal and block.spatial one by one."
            )
        rows_t = rows_t.reshape(batch, places, len(positions), frames).permute(0, 2, 3, 1)
        each = torch.arange(len(positions), device=positions.device)
        rows_s = rows_s.reshape(batch, frames, len(positions), places)[:, time, each]
        return (rows_t * rows_s.unsqueeze(2)).flatten(2)

    def spectrum(self, x: Tensor, mask: Tensor | None = None) -> tuple[Tensor, Tensor]:
        """The eigenvalues of both affinities, as in :meth:`NonlocalBlock.spectrum`.

        Args:
            x: features (B, C, T, H, W).
            mask: as in :meth:`forward`.

        Returns:
            Those of the temporal affinities (B·H·W, R), and those of the spatial ones (B·T, R').
        """
        return self.temporal.spectrum(x, mask), self.spatial.spectrum(self.temporal(x, mask), mask)

    def response(self, eigenvalues: Tensor | None = None) -> tuple[Tensor, Tensor]:
        """What the learned filters do to each frequency, as in :meth:`NonlocalBlock.response`.

        Args:
            eigenvalues: (L,), as there.

        Returns:
            eigenvalues (L,), and the gains of the temporal units, then of the spatial ones (units, L).
        """
        eigenvalues, temporal = self.temporal.response(eigenvalues)
        return eigenvalues, torch.cat((temporal, self.spatial.response(eigenvalues)[1]))

    def stream(self, chunks: Iterable[Tensor]) -> Iterator[Tensor]:
        """Run in chunks along time, as in :meth:`NonlocalBlock.stream`: every chunk has complete frames.

        Args:
            chunks: (B, C, T_i, H, W), iterated several times.

        Yields:
            The output of each chunk.
        """
        for chunk in self.temporal.stream(chunks):
            yield from self.spatial.stream([chunk])
