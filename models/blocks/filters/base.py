"""What every filter does: give the terms f_k(A) z, and what they do to each eigenvalue of A."""

from abc import ABC, abstractmethod

from torch import Tensor, nn

from specvid.models.blocks.operators import Operator


class Filter(nn.Module, ABC):
    """The functions f_1 ... f_K of an affinity A."""

    terms: int
    """K, the number of terms."""

    needs_symmetric = False
    """Defined only for A with real eigenvalues in [-1, 1]."""

    applications = 1
    """How often one z is multiplied by A: what a cost estimate needs."""

    @abstractmethod
    def forward(self, operator: Operator, z_bdn: Tensor) -> list[Tensor]:
        """Apply the terms.

        Args:
            operator: A.
            z_bdn: z (B, D, N).

        Returns:
            [f_1(A) z, ..., f_K(A) z], each (B, D, N).
        """

    @abstractmethod
    def response(self, eigenvalues: Tensor) -> Tensor:
        """What the terms do to an eigenvector of A.

        Args:
            eigenvalues: a (L,). The Laplacian's frequency is 1 - a: 0 is smooth over the graph, 2 alternates.

        Returns:
            f_k(a), (K, L).
        """
