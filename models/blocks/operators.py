"""An affinity seen as what it is: a linear operator A (N x N) on the positions of one graph.

Signals lie channels first, z (B, D, N), so that ``apply`` computes z A^T, that is (A z^T)^T. The kinds are:

    LowRank   A = L^T K R with L, R (B, R, N): applied in O(N·R·D) time and O(N·(R + D)) memory, never formed
    Dense     A (B, N, N) in memory: the definition, and the faster one on small graphs
    (softmax, criss-cross, ... have their own kind beside their affinity)
"""

from abc import ABC, abstractmethod

import torch
from torch import Tensor

from specvid.models.blocks.grid import Grid
from specvid.models.blocks.precision import at_least_float32, full_precision


class Operator(ABC):
    """A linear operator A (N x N) for each graph of a batch."""

    symmetric = False
    """A = A^T: its eigenvalues are real, and rational filters are defined."""

    wide = False
    """A z grows with N: half precision overflows, so it is computed in float32 at least."""

    pools_source = False
    """:meth:`source` gives other features than all of them, and signals are wanted at those."""

    token_major = False
    """``apply`` is fastest on z packed in memory as (B, N, D)."""

    @abstractmethod
    def apply(self, z_bdn: Tensor) -> Tensor:
        """Apply A to signals.

        Args:
            z_bdn: D signals at the positions of :meth:`source`, (B, D, N).

        Returns:
            A z, (B, D, N).
        """

    def source(self, x_bcn: Tensor) -> Tensor:
        """The features that signals for :meth:`apply` are computed from.

        Args:
            x_bcn: features (B, C, N).

        Returns:
            ``x_bcn`` itself, or features at the N' positions that A attends to, (B, C, N').
        """
        return x_bcn

    @abstractmethod
    def rows(self, positions: Tensor) -> Tensor:
        """Some rows of A, without forming A.

        Args:
            positions: (P,) int64.

        Returns:
            (B, P, N).
        """

    @abstractmethod
    def dense(self) -> Tensor:
        """A itself, (B, N, N): for inspection and tests."""

    def gram(self) -> Tensor:
        """What powers of A need to know of the positions, (B, R, R).

        Raises:
            TypeError: the operator is not of low rank.
        """
        raise TypeError(
            f"{type(self).__name__} has no Gram matrix: functions other than polynomials need an affinity of low "
            "rank, or a dense one"
        )

    def widened(self) -> "Operator":
        """The same operator in float32 at least, where that makes a difference."""
        return self

    def spectrum(self) -> Tensor:
        """The eigenvalues of A, largest first (by magnitude where complex).

        Returns:
            (B, N) float64 or complex128; where the rank is known to be R < N, the R largest ones.

        Raises:
            ValueError: A is not square, because its keys are pooled.
        """
        matrix = self.dense().double()
        if matrix.shape[-2] != matrix.shape[-1]:
            raise ValueError(
                f"the affinity is {matrix.shape[-2]} x {matrix.shape[-1]}: only a square one has eigenvalues; use "
                "sub_sample=False."
            )
        if self.symmetric:
            return torch.linalg.eigvalsh(matrix).flip(-1)
        values = torch.linalg.eigvals(matrix)
        return values.gather(-1, values.abs().argsort(-1, descending=True))


class Dense(Operator):
    """A in memory.

    Args:
        matrix_bnn: A (B, N, N).
        symmetric: whether A = A^T.
    """

    def __init__(self, matrix_bnn: Tensor, *, symmetric: bool = False) -> None:
        self.matrix_bnn = matrix_bnn
        self.symmetric = symmetric

    def apply(self, z_bdn: Tensor) -> Tensor:
        """A z: (B, D, N) -> (B, D, N)."""
        return torch.bmm(z_bdn, self.matrix_bnn if self.symmetric else self.matrix_bnn.mT)

    def rows(self, positions: Tensor) -> Tensor:
        """(P,) -> (B, P, N)."""
        return self.matrix_bnn[:, positions]

    def dense(self) -> Tensor:
        """(B, N, N)."""
        return self.matrix_bnn

    def widened(self) -> "Dense":
        """The same operator in float32 at least."""
        return Dense(at_least_float32(self.matrix_bnn), symmetric=self.symmetric)


class Factored(Operator):
    """A = synthesise ∘ mix ∘ analyse: positions depend on each other only through coefficients of fixed size."""

    @abstractmethod
    def analyse(self, z_bdn: Tensor) -> Tensor:
        """The coefficients of signals, which are sums over all positions.

        Args:
            z_bdn: (B, D, N).

        Returns:
            A tensor whose shape does not depend on N.
        """

    @abstractmethod
    def mix(self, coefficients: Tensor) -> Tensor:
        """What A does to the coefficients.

        Args:
            coefficients: as `analyse` gives them.

        Returns:
            The same shape.
        """

    @abstractmethod
    def synthesise(self, coefficients: Tensor) -> Tensor:
        """Coefficients back to a signal.

        Args:
            coefficients: as `analyse` gives them.

        Returns:
            (B, D, N).
        """

    def apply(self, z_bdn: Tensor) -> Tensor:
        """A z: (B, D, N) -> (B, D, N)."""
        return self.synthesise(self.mix(self.analyse(z_bdn)))


class LowRank(Factored):
    """A = L^T K R, with K = scale · I, or (``swap``) K = scale · [[0, I], [I, 0]], which makes A symmetric for L = R.

    Args:
        left_brn: L.
        right_brn: R.
        scale: the number in K.
        swap: exchange the two halves of the R rows.
        wide: see :class:`Operator`.
    """

    def __init__(
        self, left_brn: Tensor, right_brn: Tensor, *, scale: float = 1.0, swap: bool = False, wide: bool = False
    ) -> None:
        self.left_brn = left_brn
        self.right_brn = right_brn
        self.scale = scale
        self.swap = swap
        self.wide = wide
        self.symmetric = swap and left_brn is right_brn

    def analyse(self, z_bdn: Tensor) -> Tensor:
        """z R^T: (B, D, N) -> (B, D, R)."""
        if self.wide:
            with full_precision(z_bdn):
                return torch.bmm(at_least_float32(z_bdn), at_least_float32(self.right_brn).mT)
        return torch.bmm(z_bdn, self.right_brn.mT)

    def mix(self, coefficients: Tensor) -> Tensor:
        """Times K, which is symmetric: (B, D, R) -> (B, D, R)."""
        if self.swap:
            coefficients = torch.cat(coefficients.chunk(2, dim=-1)[::-1], dim=-1)
        return coefficients * self.scale

    def synthesise(self, coefficients: Tensor) -> Tensor:
        """Coefficients times L: (B, D, R) -> (B, D, N)."""
        if self.wide:
            with full_precision(coefficients):
                return torch.bmm(coefficients, at_least_float32(self.left_brn))
        return torch.bmm(coefficients, self.left_brn)

    def gram(self) -> Tensor:
        """R L^T (B, R, R): all that powers of A need to know of the positions, since A^2 = L^T K (R L^T) K R."""
        return torch.bmm(self.right_brn, self.left_brn.mT)

    def widened(self) -> "LowRank":
        """The same operator in float32 at least."""
        left = at_least_float32(self.left_brn)
        right = left if self.right_brn is self.left_brn else at_least_float32(self.right_brn)
        return LowRank(left, right, scale=self.scale, swap=self.swap)

    def rows(self, positions: Tensor) -> Tensor:
        """(P,) -> (B, P, N) in O(P·N·R)."""
        return torch.bmm(self.mix(self.left_brn[:, :, positions].mT), self.right_brn)

    def dense(self) -> Tensor:
        """(B, N, N)."""
        if self.symmetric:  # L^T [[0, I], [I, 0]] L = P + P^T with P of the two halves of L: half the work
            first, second = self.left_brn.chunk(2, dim=1)
            product_bnn = torch.bmm(first.mT * self.scale, second)
            return product_bnn + product_bnn.mT
        return torch.bmm(self.mix(self.left_brn.mT), self.right_brn)

    def spectrum(self) -> Tensor:
        """The min(R, N) largest eigenvalues of A (all others are 0), from R x R matrices alone, in float64.

        Symmetric A = F^T K F: with F F^T = G = S S^T the eigenvalues are those of S^T K S. Otherwise those of K R L^T.
        """
        gram_brr = torch.bmm(self.right_brn.double(), self.left_brn.double().mT)
        count = min(gram_brr.shape[-1], self.left_brn.shape[-1])
        if not self.symmetric:
            values = torch.linalg.eigvals(self.mix(gram_brr))
            order = values.abs().argsort(-1, descending=True)
            return values.gather(-1, order)[..., :count]
        weights, vectors = torch.linalg.eigh(gram_brr)
        root_brr = vectors * weights.clamp_min(0).sqrt().unsqueeze(-2)
        values = torch.linalg.eigvalsh(torch.bmm(self.mix(root_brr.mT), root_brr))
        order = values.abs().argsort(-1, descending=True)[..., :count]
        return values.gather(-1, order).sort(-1, descending=True).values


class Folded(Operator):
    """An operator on the graphs of a :class:`Grid`, applied to flat signals (B, D, N).

    Args:
        inner: the operator on (B', D, n).
        grid: how positions are split into graphs.
    """

    def __init__(self, inner: Operator, grid: Grid) -> None:
        self.inner = inner
        self.grid = grid
        self.symmetric = inner.symmetric
        self.wide = inner.wide

    def source(self, x_bcn: Tensor) -> Tensor:
        """The features of every graph, where the inner operator wants others than all: (B', C, n')."""
        if not self.inner.pools_source:
            return x_bcn
        return self.inner.source(self.grid.fold(x_bcn))

    def apply(self, z_bdn: Tensor) -> Tensor:
        """A z on every graph: (B, D, N) -> (B, D, N)."""
        if self.inner.pools_source:  # what source gives is folded
            return self.grid.unfold(self.inner.apply(z_bdn), z_bdn.shape[0] // self.grid.graphs)
        return self.grid.unfold(self.inner.apply(self.grid.fold(z_bdn)), z_bdn.shape[0])

    def rows(self, positions: Tensor) -> Tensor:
        """Rows within each graph: (P,) -> (B', P, n)."""
        return self.inner.rows(positions)

    def dense(self) -> Tensor:
        """(B', n, n): one matrix per graph."""
        return self.inner.dense()

    def spectrum(self) -> Tensor:
        """Eigenvalues per graph."""
        return self.inner.spectrum()
