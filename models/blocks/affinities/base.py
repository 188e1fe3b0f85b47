"""What every affinity does: embed the features of all positions, then build the operator of each graph."""

from abc import ABC, abstractmethod

from torch import Tensor, nn

from specvid.models.blocks.grid import Grid
from specvid.models.blocks.operators import Factored, Folded, Operator

IMPLEMENTATIONS = ("auto", "linear", "dense")


class Affinity(nn.Module, ABC):
    """Says how the N positions of a feature map are related: (B, C, N) -> an operator A (N x N)."""

    symmetric = False
    """A = A^T with eigenvalues in [-1, 1]: what Cayley, ARMA, heat and other functions of the Laplacian L = I - A ask
    for."""

    sub_sample = False
    """Keys and values are max-pooled in space: A is N x N'."""

    def forward(self, x_bcn: Tensor, grid: Grid, mask_bn: Tensor | None = None) -> Operator:
        """The operator of features (B, C, N) on the graphs of ``grid``; positions outside ``mask_bn`` (B, N) are
        related to nothing."""
        features = self.embed(x_bcn)
        if grid.whole:
            return self.operator(features, grid.graph_sizes, mask_bn)
        folded = tuple(grid.fold(feature) for feature in features)
        mask = None if mask_bn is None else grid.fold(mask_bn.unsqueeze(1)).squeeze(1)
        return Folded(self.operator(folded, grid.graph_sizes, mask), grid)

    @abstractmethod
    def embed(self, x_bcn: Tensor) -> tuple[Tensor, ...]:
        """What A is made of: one or more (B, c, N), computed per position by 1x1 convolutions."""

    @abstractmethod
    def operator(self, features: tuple[Tensor, ...], sizes: tuple[int, ...], mask_bn: Tensor | None) -> Operator:
        """A from the features of graphs with ``sizes`` ((T, H, W), (H, W) or (T,))."""


class FactoredAffinity(Affinity):
    """An affinity of low rank: its factors at a position depend on the other positions only through totals of fixed
    size.

    That is what makes it linear in N, and what lets a clip be processed in chunks (see ``streaming.py``).
    """

    @abstractmethod
    def totals(self, features: tuple[Tensor, ...], mask_bn: Tensor | None) -> Tensor:
        """What the factors need to know of all positions: a tensor without N."""

    def merge(self, totals: Tensor, others: Tensor) -> Tensor:
        """The totals of two sets of positions together."""
        return totals + others

    @abstractmethod
    def factor(self, features: tuple[Tensor, ...], totals: Tensor, mask_bn: Tensor | None) -> Factored:
        """The operator, given the totals of all positions."""

    def operator(self, features: tuple[Tensor, ...], sizes: tuple[int, ...], mask_bn: Tensor | None) -> Operator:
        """The operator from the features alone."""
        return self.factor(features, self.totals(features, mask_bn), mask_bn)


def check_implementation(impl: str, choices: tuple[str, ...] = IMPLEMENTATIONS) -> str:
    """``impl`` itself, or a ``ValueError`` where it is none of ``choices``."""
    if impl not in choices:
        raise ValueError(f"impl={impl!r} is unknown: choose from {', '.join(map(repr, choices))}.")
    return impl
