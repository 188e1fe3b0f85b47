"""An affinity seen as what it is: a linear operator A (N x N) on the positions of one graph.

Signals are kept channels first, z (B, D, N), so that ``apply`` computes z A^T, that is (A z^T)^T. Three kinds cover the family:

    LowRank   A = L^T K R with L, R (B, R, N): applied in O(N·R·D) time and O(N·(R + D)) memory, never formed
    Dense     A (B, N, N) in memory: the definition, and the faster one on small graphs
    (softmax, criss-cross, ... keep their own kind beside their affinity)
"""

from abc import ABC, abstractmethod

import torch
from torch import Tensor

from specvid.models.blocks.grid import Grid


class Operator(ABC):
    """A (N x N) for each graph of a batch."""

    symmetric = False
    """A = A^T: its eigenvalues are real, and rational filters are defined."""

    token_major = False
    """``apply`` is fastest on z laid out in memory as (B, N, D)."""

    @abstractmethod
    def apply(self, z_bdn: Tensor) -> Tensor:
        """A z: (B, D, N) -> (B, D, N)."""

    @abstractmethod
    def rows(self, positions: Tensor) -> Tensor:
        """Rows of A at ``positions`` (P,) int64 -> (B, P, N), without forming A."""

    @abstractmethod
    def dense(self) -> Tensor:
        """A itself, (B, N, N): for inspection and tests."""

    def spectrum(self) -> Tensor:
        """Eigenvalues of A, largest first (by magnitude where complex): (B, N) or, where the rank is known to be R < N, its R largest ones."""
        matrix = self.dense().double()
        if self.symmetric:
            return torch.linalg.eigvalsh(matrix).flip(-1)
        values = torch.linalg.eigvals(matrix)
        return values.gather(-1, values.abs().argsort(-1, descending=True))


class Dense(Operator):
    """A in memory, (B, N, N)."""

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


class LowRank(Operator):
    """A = L^T K R, with K = scale · I, or (``swap``) K = scale · [[0, I], [I, 0]], which makes A symmetric for L = R.

    Args:
        left_brn: L.
        right_brn: R.
        scale: the number in K.
        swap: exchange the two halves of the R rows.
    """

    def __init__(self, left_brn: Tensor, right_brn: Tensor, *, scale: float | Tensor = 1.0, swap: bool = False) -> None:
        self.left_brn = left_brn
        self.right_brn = right_brn
        self.scale = scale
        self.swap = swap
        self.symmetric = swap and left_brn is right_brn

    def mix(self, coefficients_bdr: Tensor) -> Tensor:
        """Coefficients times K (symmetric, so K^T as well): (B, D, R) -> (B, D, R)."""
        if self.swap:
            coefficients_bdr = torch.cat(coefficients_bdr.chunk(2, dim=-1)[::-1], dim=-1)
        return coefficients_bdr * self.scale

    def analyse(self, z_bdn: Tensor) -> Tensor:
        """z R^T: what a signal looks like from the R vectors, (B, D, N) -> (B, D, R)."""
        return torch.bmm(z_bdn, self.right_brn.mT)

    def synthesise(self, coefficients_bdr: Tensor) -> Tensor:
        """Coefficients (B, D, R) back to a signal (B, D, N)."""
        return torch.bmm(coefficients_bdr, self.left_brn)

    def apply(self, z_bdn: Tensor) -> Tensor:
        """A z in O(N·R·D): (B, D, N) -> (B, D, N)."""
        return self.synthesise(self.mix(self.analyse(z_bdn)))

    def gram(self) -> Tensor:
        """L R^T (B, R, R): all that powers of A need to know of the positions, since A^2 = L^T K (R L^T) K R."""
        return torch.bmm(self.left_brn, self.right_brn.mT)

    def rows(self, positions: Tensor) -> Tensor:
        """(P,) -> (B, P, N) in O(P·N·R)."""
        return torch.bmm(self.mix(self.left_brn[:, :, positions].mT), self.right_brn)

    def dense(self) -> Tensor:
        """(B, N, N)."""
        return torch.bmm(self.mix(self.left_brn.mT), self.right_brn)

    def spectrum(self) -> Tensor:
        """The min(R, N) largest eigenvalues of A (all others are 0), from R x R matrices alone, in float64.

        Symmetric A = F^T K F: with F F^T = G = S S^T the eigenvalues are those of S^T K S. Otherwise those of K R L^T.
        """
        gram_brr = torch.bmm(self.left_brn.double(), self.right_brn.double().mT)
        count = min(gram_brr.shape[-1], self.left_brn.shape[-1])
        if not self.symmetric:
            values = torch.linalg.eigvals(self.mix(gram_brr.mT))
            order = values.abs().argsort(-1, descending=True)
            return values.gather(-1, order)[..., :count]
        weights, vectors = torch.linalg.eigh(gram_brr)
        root_brr = vectors * weights.clamp_min(0).sqrt().unsqueeze(-2)
        values = torch.linalg.eigvalsh(torch.bmm(self.mix(root_brr.mT), root_brr))
        order = values.abs().argsort(-1, descending=True)[..., :count]
        return values.gather(-1, order).sort(-1, descending=True).values


class Folded(Operator):
    """An operator on the graphs of a :class:`Grid`, seen from the flat (B, D, N) side."""

    def __init__(self, inner: Operator, grid: Grid) -> None:
        self.inner = inner
        self.grid = grid
        self.symmetric = inner.symmetric

    def apply(self, z_bdn: Tensor) -> Tensor:
        """A z on every graph: (B, D, N) -> (B, D, N)."""
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
