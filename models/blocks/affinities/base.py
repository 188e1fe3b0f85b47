"""What every affinity does: embed the features of all positions, then build the operator of each graph."""

from abc import ABC, abstractmethod

from torch import Tensor, nn

from specvid.models.blocks.grid import Grid
from specvid.models.blocks.operators import Factored, Folded, Operator

IMPLEMENTATIONS = ("auto", "linear", "dense")


class Affinity(nn.Module, ABC):
    """Says how the N positions of a feature map are related: (B, C, N) -> an operator A (N x N)."""

    symmetric = False
    """A = A^T with eigenvalues in [-1, 1], which Cayley, ARMA, heat and other functions of the Laplacian I - A need."""

    sub_sample: bool | str = False
    """Keys and values are max-pooled in space, so that A is N x N': ``True`` after their 1x1 convolutions, ``"input"``
    before.
    """

    def forward(self, x_bcn: Tensor, grid: Grid, mask_bn: Tensor | None = None) -> Operator:
        """The operator of given features.

        Args:
            x_bcn: features (B, C, N).
            grid: how positions are split into graphs.
            mask_bn: (B, N) bool; positions where it is False are related to nothing.

        Returns:
            A on signals (B, D, N).
        """
        features = self.embed(x_bcn)
        if grid.is_one_graph:
            return self.operator(features, grid.graph_sizes, mask_bn)
        folded = tuple(grid.fold(feature) for feature in features)
        mask = None if mask_bn is None else grid.fold(mask_bn.unsqueeze(1)).squeeze(1)
        return Folded(self.operator(folded, grid.graph_sizes, mask), grid)

    @abstractmethod
    def embed(self, x_bcn: Tensor) -> tuple[Tensor, ...]:
        """What A is made of, computed per position by 1x1 convolutions.

        Args:
            x_bcn: features (B, C, N).

        Returns:
            One or more tensors (B, c, N).
        """

    @abstractmethod
    def operator(self, features: tuple[Tensor, ...], sizes: tuple[int, ...], mask_bn: Tensor | None) -> Operator:
        """A from what :meth:`embed` gives, on graphs that span all positions.

        Args:
            features: one or more tensors (B, c, N).
            sizes: (T, H, W), (H, W) or (T,), with product N.
            mask_bn: as in :meth:`forward`.

        Returns:
            A on signals (B, D, N).
        """


class FactoredAffinity(Affinity):
    """An affinity of low rank: factors at a position depend on other positions only through totals of fixed size.

    That is what makes it linear in N, and what lets a clip be processed in chunks (see ``streaming.py``).
    """

    @abstractmethod
    def totals(self, features: tuple[Tensor, ...], mask_bn: Tensor | None) -> Tensor:
        """What the factors need to know of all positions.

        Args:
            features: what :meth:`embed` gives.
            mask_bn: (B, N) bool; positions where it is False do not count.

        Returns:
            A tensor whose shape does not depend on N.
        """

    def merge(self, totals: Tensor, others: Tensor) -> Tensor:
        """The totals of two sets of positions together.

        Args:
            totals: of one set.
            others: of the other one, in the same shape.

        Returns:
            The same shape.
        """
        return totals + others

    @abstractmethod
    def factor(self, features: tuple[Tensor, ...], totals: Tensor, mask_bn: Tensor | None) -> Factored:
        """The operator, given the totals of all positions.

        Args:
            features: what :meth:`embed` gives.
            totals: what :meth:`totals` gives, of these positions and maybe others.
            mask_bn: as in :meth:`totals`.

        Returns:
            A on signals (B, D, N).
        """

    def operator(self, features: tuple[Tensor, ...], sizes: tuple[int, ...], mask_bn: Tensor | None) -> Operator:
        """The operator from the features alone."""
        return self.factor(features, self.totals(features, mask_bn), mask_bn)


def check_implementation(impl: str, choices: tuple[str, ...] = IMPLEMENTATIONS) -> str:
    """Check the name of an implementation.

    Args:
        impl: the name.
        choices: the names that are possible.

    Returns:
        ``impl``.

    Raises:
        ValueError: it is none of ``choices``.
    """
    if impl not in choices:
        raise ValueError(f"impl={impl!r} is unknown: choose from {', '.join(map(repr, choices))}.")
    return impl
