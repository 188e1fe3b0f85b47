"""A clip of any length in chunks along time: the same result as on the complete clip, in memory that does not grow with
its length.

Where the affinity is factored (``affinities/base.py``), all that a position needs to know of the others are a few sums
over positions: the totals in the factors, then the coefficients of each signal that A is applied to. Each pass over the
chunks computes the next of these sums, and the last pass, which has all of them, gives the output. One unit of ``snl``
takes three passes.
"""

from collections.abc import Callable, Iterable, Iterator, Sequence

import torch
from torch import Tensor

from specvid.models.blocks.affinities.base import Affinity, FactoredAffinity
from specvid.models.blocks.grid import Grid
from specvid.models.blocks.norms import GroupNorm
from specvid.models.blocks.operators import Factored, Folded, Operator
from specvid.models.blocks.unit import Unit


class _MorePasses(Exception):
    """The next sum is not known before all chunks have been seen."""


class Sums:
    """The sums over all chunks, in the order in which a forward pass asks for them."""

    def __init__(self) -> None:
        self._known: list[Tensor] = []
        self._pending: Tensor | None = None
        self._cursor = 0

    def start_chunk(self) -> None:
        """Begin a forward pass over a chunk."""
        self._cursor = 0

    def end_pass(self) -> None:
        """End a pass over all chunks: one more sum is known."""
        if self._pending is not None:
            self._known.append(self._pending)
        self._pending = None

    def reduce(self, local: Tensor, merge: Callable[[Tensor, Tensor], Tensor] = torch.add) -> Tensor:
        """The sum over all chunks, if it is known; else add this chunk's part to it and end the pass over the chunk.

        Args:
            local: this chunk's part of the sum, of any shape.
            merge: how two parts are put together.

        Returns:
            The sum, in the shape of ``local``.
        """
        if self._cursor < len(self._known):
            self._cursor += 1
            return self._known[self._cursor - 1]
        self._pending = local if self._pending is None else merge(self._pending, local)
        raise _MorePasses


class StreamedOperator(Factored):
    """A factored operator on one chunk, whose coefficients are those of all chunks.

    Args:
        chunk: the operator of the chunk's own positions.
        sums: shared by all chunks.
    """

    def __init__(self, chunk: Factored, sums: Sums) -> None:
        self.chunk = chunk
        self.sums = sums
        self.symmetric = chunk.symmetric
        self.wide = chunk.wide

    def analyse(self, z_bdn: Tensor) -> Tensor:
        """Coefficients of the signal on all chunks."""
        return self.sums.reduce(self.chunk.analyse(z_bdn))

    def mix(self, coefficients: Tensor) -> Tensor:
        """What A does to the coefficients."""
        return self.chunk.mix(coefficients)

    def synthesise(self, coefficients: Tensor) -> Tensor:
        """Coefficients back to a signal on this chunk."""
        return self.chunk.synthesise(coefficients)

    def gram(self) -> Tensor:
        """The Gram matrix of all chunks."""
        return self.sums.reduce(self.chunk.gram())

    def widened(self) -> Operator:
        """The same operator in float32 at least."""
        return StreamedOperator(self.chunk.widened(), self.sums)  # type: ignore[arg-type]

    def rows(self, positions: Tensor) -> Tensor:
        """Not possible: a row spans all chunks."""
        raise TypeError("rows of the affinity span all chunks; use block.affinity_rows on the complete clip")

    def dense(self) -> Tensor:
        """Not possible: A spans all chunks."""
        raise TypeError("the affinity spans all chunks; use block.operator on the complete clip")


def streamed_operator(affinity: FactoredAffinity, x_bcn: Tensor, grid: Grid, sums: Sums) -> Operator:
    """The affinity on one chunk, with every sum over positions taken over all chunks.

    Args:
        affinity: a factored affinity.
        x_bcn: features of the chunk (B, C, N).
        grid: the positions of the chunk.
        sums: shared by all chunks.

    Returns:
        The operator on the chunk's positions.
    """
    features = tuple(grid.fold(feature) for feature in affinity.embed(x_bcn))
    totals = sums.reduce(affinity.totals(features, None), affinity.merge)
    operator = StreamedOperator(affinity.factor(features, totals, None), sums)
    return operator if grid.is_one_graph else Folded(operator, grid)


def run_in_passes(forward: Callable[[Tensor, Sums], Tensor], chunks: Iterable[Tensor]) -> Iterator[Tensor]:
    """Run over all chunks as often as there are sums to compute, then once more for the output.

    Args:
        forward: computes the output of a chunk, and takes every sum over positions from :meth:`Sums.reduce`.
        chunks: features (B, C, T_i, ...), iterated several times.

    Yields:
        The output of each chunk.
    """
    sums, complete = Sums(), False
    while not complete:
        complete = True
        for chunk in chunks:
            sums.start_chunk()
            try:
                output = forward(chunk, sums)
            except _MorePasses:
                complete = False
            else:
                yield output
        sums.end_pass()


def check_chunks(chunks: Iterable[Tensor], units: Sequence[Unit], *, training: bool) -> None:
    """Check what every block needs to run in chunks.

    Args:
        chunks: features in chunks along time.
        units: the units of the block.
        training: whether the block is in training mode.

    Raises:
        ValueError: the block is in training mode, ``chunks`` can be read only once, or a norm needs all frames.
    """
    if training:
        raise ValueError(
            "the block is in training mode: chunks equal the complete clip only in eval mode; call block.eval() first."
        )
    if iter(chunks) is chunks:
        raise ValueError(
            "chunks is an iterator, which can be read only once: give a list, or an object whose __iter__ starts anew."
        )
    if any(isinstance(unit.norm, GroupNorm) for unit in units):
        raise ValueError(
            "the block has a group norm, which looks at the complete clip: chunks equal it with norm='batch' or "
            "norm='none'."
        )


def check_factored(affinity: Affinity) -> FactoredAffinity:
    """Check that the graphs of an affinity can span several chunks.

    Args:
        affinity: the affinity of a block.

    Returns:
        The same affinity.

    Raises:
        ValueError: it is not a sum of fixed size (a softmax over pairs needs every key, a criss-cross complete lines),
            or it pools its keys.
    """
    if not isinstance(affinity, FactoredAffinity):
        raise ValueError(
            f"affinity {type(affinity).__name__} has no sums of fixed size, so that chunks cannot equal the complete "
            "clip: use a block of low rank (snl, cheb, arma, cayley, heat, a2, cgnl, relu_dot, nl with kernel='dot'), "
            "mode='s', or the complete clip."
        )
    if affinity.sub_sample:
        raise ValueError(
            "sub_sample=True pools keys and values before they are summed; use sub_sample=False or mode='s'."
        )
    return affinity
