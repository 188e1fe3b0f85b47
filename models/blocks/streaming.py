"""A clip of any length in chunks along time, equal to the whole, in memory that does not grow with its length.

Where the affinity is factored (``affinities/base.py``), all that a position needs to know of the others are a few sums
over positions: the totals in the factors, then the coefficients of each signal that A is applied to. Each pass over the
chunks learns the next of these sums, until a last pass has all of them and gives the output. A ``snl`` of one unit
takes three passes, whatever its order of magnitude.
"""

from collections.abc import Callable, Iterable, Iterator

import torch
from torch import Tensor

from specvid.models.blocks.affinities.base import FactoredAffinity
from specvid.models.blocks.block import NonlocalBlock
from specvid.models.blocks.grid import Grid
from specvid.models.blocks.norms import GroupNorm
from specvid.models.blocks.operators import Factored, Folded, Operator


class _MorePasses(Exception):
    """The sum that comes next is not known before all chunks have been seen."""


class _Sums:
    """The sums over all chunks, in the order in which a forward pass asks for them."""

    def __init__(self) -> None:
        self.known: list[Tensor] = []
        self.pending: Tensor | None = None
        self.cursor = 0

    def start_chunk(self) -> None:
        self.cursor = 0

    def end_pass(self) -> None:
        if self.pending is not None:
            self.known.append(self.pending)
        self.pending = None

    def reduce(self, local: Tensor, merge: Callable[[Tensor, Tensor], Tensor] = torch.add) -> Tensor:
        """The sum over all chunks of what is ``local`` here, if known; else adds to it and ends this chunk's part of
        the pass."""
        if self.cursor < len(self.known):
            self.cursor += 1
            return self.known[self.cursor - 1]
        self.pending = local if self.pending is None else merge(self.pending, local)
        raise _MorePasses


class _Streamed(Factored):
    """A factored operator on one chunk whose coefficients are those of all chunks."""

    def __init__(self, chunk: Factored, sums: _Sums) -> None:
        self.chunk = chunk
        self.sums = sums
        self.symmetric = chunk.symmetric
        self.wide = chunk.wide

    def analyse(self, z_bdn: Tensor) -> Tensor:
        return self.sums.reduce(self.chunk.analyse(z_bdn))

    def mix(self, coefficients: Tensor) -> Tensor:
        return self.chunk.mix(coefficients)

    def synthesise(self, coefficients: Tensor) -> Tensor:
        return self.chunk.synthesise(coefficients)

    def gram(self) -> Tensor:
        return self.sums.reduce(self.chunk.gram())

    def widened(self) -> Operator:
        return _Streamed(self.chunk.widened(), self.sums)  # type: ignore[arg-type]

    def rows(self, positions: Tensor) -> Tensor:
        raise TypeError("rows of the affinity span all chunks; use block.affinity_rows on the whole clip")

    def dense(self) -> Tensor:
        raise TypeError("the affinity spans all chunks; use block.operator on the whole clip")


@torch.no_grad()
def stream(block: NonlocalBlock, chunks: Iterable[Tensor]) -> Iterator[Tensor]:
    """The block's output on a clip given in chunks along time, chunk by chunk: equal to the block on the whole clip.

    Args:
        block: in eval mode (the statistics of a batch norm in training are those of the whole).
        chunks: (B, C, T_i, H, W), (B, C, T_i) ...; iterated several times, so a list or an object that opens the
            source anew.

    Raises:
        ValueError: the block is in training mode, ``chunks`` can be read only once, or the affinity is not a sum of
            fixed size (a softmax over pairs
            needs every key, a criss-cross whole lines) while its graphs span several chunks.
    """
    if block.training:
        raise ValueError(
            "the block is in training mode: chunks equal the whole only in eval mode; call block.eval() first."
        )
    if iter(chunks) is chunks:
        raise ValueError(
            "chunks is an iterator, which can be read only once: give a list, or an object whose __iter__ starts anew."
        )
    if any(isinstance(unit.norm, GroupNorm) for unit in block.units):
        raise ValueError(
            "the block has a group norm, which looks at the whole clip: "
            "chunks equal the whole with norm='batch' or norm='none'."
        )
    if block.mode == "s" and block.dims == 3:  # graphs are single frames
        yield from map(block, chunks)
        return
    affinity = block.affinity
    if not isinstance(affinity, FactoredAffinity):
        raise ValueError(
            f"affinity {type(affinity).__name__} has no sums of fixed size, so that chunks cannot equal the whole: "
            f"use a block of low rank "
            "(snl, cheb, arma, cayley, heat, a2, cgnl, relu_dot, nl with kernel='dot'), mode='s', or the whole clip."
        )
    if affinity.sub_sample:
        raise ValueError(
            "sub_sample=True pools keys and values before they are summed; use sub_sample=False or mode='s'."
        )
    sums, complete = _Sums(), False
    while not complete:
        complete = True
        for chunk in chunks:
            sums.start_chunk()
            try:
                output = _forward(block, affinity, chunk, sums)
            except _MorePasses:
                complete = False
            else:
                yield output
        sums.end_pass()


def _forward(block: NonlocalBlock, affinity: FactoredAffinity, chunk: Tensor, sums: _Sums) -> Tensor:
    """``block.forward`` with every sum over positions taken over all chunks."""
    grid, x_bcn = Grid(tuple(chunk.shape[2:]), block.mode), chunk.flatten(2)
    for _ in range(block.recurrence):
        features = tuple(grid.fold(feature) for feature in affinity.embed(x_bcn))
        totals = sums.reduce(affinity.totals(features, None), affinity.merge)
        operator: Operator = _Streamed(affinity.factor(features, totals, None), sums)
        if not grid.whole:
            operator = Folded(operator, grid)
        for unit in block.units:
            x_bcn = unit(x_bcn, operator, None)
    return x_bcn.reshape(chunk.shape)
