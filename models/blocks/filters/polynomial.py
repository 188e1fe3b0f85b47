"""Polynomial filters: those of the papers, as polynomials of the affinity A.

    NL     (A)                    one term, nothing of Z itself: Chebyshev of order 1 with W_0 = 0
    NS     (I - A)                W_0 = -W_1, one weight for both        (nonlocal stage, 1806.00681)
    SNL    (I, A)                 W_0 and W_1 free                       (2108.02451, equation 9)
    gSNL   (I, A, 2A - I)         1911.01059; its third term lies in the span of the first two
    Chebyshev of order K          (T_0(A), ..., T_K(A)),  T_k = 2 A T_{k-1} - T_{k-2}

With lambda_max = 2 the scaled Laplacian of the Chebyshev filter is L~ = 2 L / lambda_max - I = -A, and T_k(-A) = (-1)^k
T_k(A): the sign goes into the weights.
"""

import torch
from torch import Tensor

from specvid.models.blocks.filters.base import Filter
from specvid.models.blocks.operators import Operator
from specvid.models.blocks.pointwise import Pointwise


class FirstOrder(Filter):
    """Terms a_k I + b_k A.

    Args:
        *terms: the pairs (a_k, b_k).
    """

    def __init__(self, *terms: tuple[float, float]) -> None:
        super().__init__()
        self.pairs = terms
        self.terms = len(terms)

    def forward(self, operator: Operator, z_bdn: Tensor) -> list[Tensor]:
        """[a_k z + b_k A z]; A is applied once."""
        filtered_bdn = operator.apply(z_bdn)
        return [_combine(a, z_bdn, b, filtered_bdn) for a, b in self.pairs]

    def response(self, eigenvalues: Tensor) -> Tensor:
        """a_k + b_k · eigenvalue: (L,) -> (K, L)."""
        return torch.stack([a + b * eigenvalues for a, b in self.pairs])

    def extra_repr(self) -> str:
        """The terms, for ``repr``."""
        return ", ".join(f"{a:g} I + {b:g} A" for a, b in self.pairs)


def _combine(a: float, z_bdn: Tensor, b: float, filtered_bdn: Tensor) -> Tensor:
    """a z + b A z."""
    if a == 0 and b == 1:
        return filtered_bdn
    if b == 0:
        return z_bdn if a == 1 else a * z_bdn
    return a * z_bdn + b * filtered_bdn


class Chebyshev(Filter):
    """T_0(A) ... T_K(A) by the recurrence T_k = 2 A T_{k-1} - T_{k-2}; K applications of A.

    Args:
        order: K >= 1.
    """

    def __init__(self, order: int) -> None:
        super().__init__()
        if order < 1:
            raise ValueError(
                f"order={order} is not possible: a Chebyshev filter of order 0 ignores the affinity; use order >= 1."
            )
        self.order = order
        self.terms = order + 1
        self.applications = order

    def forward(self, operator: Operator, z_bdn: Tensor) -> list[Tensor]:
        """[T_k(A) z], k = 0 ... K."""
        terms = [z_bdn, operator.apply(z_bdn)]
        for _ in range(self.order - 1):
            terms.append(2 * operator.apply(terms[-1]) - terms[-2])
        return terms

    def response(self, eigenvalues: Tensor) -> Tensor:
        """T_k(eigenvalue): (L,) -> (K + 1, L)."""
        terms = [torch.ones_like(eigenvalues), eigenvalues]
        for _ in range(self.order - 1):
            terms.append(2 * eigenvalues * terms[-1] - terms[-2])
        return torch.stack(terms)

    def extra_repr(self) -> str:
        """The order, for ``repr``."""
        return f"order={self.order}"


class PublishedCayley(Filter):
    """What the SNL repository calls ``caylay``: terms (I, L^2 + H), L = I - A, H (D x D) learned, on the channels.

    It is a polynomial of order 2, not a Cayley filter (which is rational: see ``filters/rational.py``).

    Args:
        channels: D of the signal.
    """

    terms = 2
    applications = 2

    def __init__(self, channels: int) -> None:
        super().__init__()
        self.mix = Pointwise(channels, channels)

    def forward(self, operator: Operator, z_bdn: Tensor) -> list[Tensor]:
        """[z, (I - A)^2 z + H z]."""
        high_bdn = z_bdn - operator.apply(z_bdn)
        return [z_bdn, high_bdn - operator.apply(high_bdn) + self.mix(z_bdn)]

    def response(self, eigenvalues: Tensor) -> Tensor:
        """(1, (1 - eigenvalue)^2), leaving out H, which mixes channels alike at every frequency: (L,) -> (2, L)."""
        return torch.stack((torch.ones_like(eigenvalues), (1 - eigenvalues) ** 2))
