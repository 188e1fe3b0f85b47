"""Functions of an affinity, f(A), as operators: what rational and spectral filters are made of.

For A = L^T K R of rank R (see ``operators.py``) the functions of A form an algebra of small matrices, because powers of
A only need G = R L^T:

    f(A) = a I + L^T M R,      (a, M) (b, N) = (a b, a N + b M + M G N)          M, N, G (R x R)

so f(A) z is exact in O(N·R·D) after O(R^3) work, whatever f. A dense A works with its N x N matrices in the same way.
Everything is made of matrix products, which differentiate, batch, compile and export; a batched ``torch.linalg.solve``
does not do all of that on every build.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence

import torch
from torch import Tensor

from specvid.models.blocks.operators import Dense, Factored, Folded, Operator
from specvid.models.blocks.precision import at_least_float32, full_precision


class OperatorFunction:
    """a I + L^T M R, or a I + M for a dense A.

    Args:
        operator: A, which all functions that meet share.
        identity: a, a number or a scalar tensor.
        core: M, (B, R, R) or (B, N, N).
        gram: G (B, R, R), or ``None`` for a dense A.
    """

    def __init__(self, operator: Operator, identity: float | Tensor, core: Tensor, gram: Tensor | None) -> None:
        self.operator = operator
        self.identity = identity
        self.core = core
        self.gram = gram

    @classmethod
    def of(cls, operator: Operator) -> OperatorFunction:
        """A itself as a function of A.

        Args:
            operator: a dense A, or one with a Gram matrix.

        Returns:
            f(A) = A.

        Raises:
            TypeError: the operator is neither.
        """
        if isinstance(operator, Dense):
            return cls(operator, 0.0, operator.matrix_bnn, None)
        gram = operator.gram()
        assert isinstance(operator, Factored)
        eye = torch.eye(gram.shape[-1], dtype=gram.dtype, device=gram.device).expand_as(gram)
        return cls(operator, 0.0, operator.mix(eye), gram)

    # Methods rather than operators: torch.compile traces them without a graph break.

    def plus(self, other: OperatorFunction) -> OperatorFunction:
        """f(A) + g(A).

        Args:
            other: g, of the same A.

        Returns:
            The sum.
        """
        return self._with(self.identity + other.identity, self.core + other.core)

    def minus(self, other: OperatorFunction) -> OperatorFunction:
        """f(A) - g(A).

        Args:
            other: g, of the same A.

        Returns:
            The difference.
        """
        return self._with(self.identity - other.identity, self.core - other.core)

    def shifted(self, number: float | Tensor) -> OperatorFunction:
        """f(A) + number · I.

        Args:
            number: one number.

        Returns:
            The function.
        """
        return self._with(self.identity + number, self.core)

    def scaled(self, number: float | Tensor) -> OperatorFunction:
        """number · f(A).

        Args:
            number: one number.

        Returns:
            The function.
        """
        return self._with(self.identity * number, self.core * number)

    def times(self, other: OperatorFunction) -> OperatorFunction:
        """f(A) g(A).

        Args:
            other: g, of the same A.

        Returns:
            The product.
        """
        inner = other.core if self.gram is None else torch.bmm(self.gram, other.core)
        core = torch.bmm(self.core, inner) + other.core * self.identity + self.core * other.identity
        # A square rather than x · x: torch.compile writes each factor out, 2^k times for the k-th square of a square.
        identity = self.identity**2 if other is self else self.identity * other.identity
        return self._with(identity, core)

    def _with(self, identity: float | Tensor, core: Tensor) -> OperatorFunction:
        return OperatorFunction(self.operator, identity, core, self.gram)

    def apply(self, z_bdn: Tensor) -> Tensor:
        """f(A) z: (B, D, N) -> (B, D, N)."""
        if not isinstance(self.operator, Factored):
            return z_bdn * self.identity + torch.bmm(z_bdn, self.core.mT.to(z_bdn.dtype))
        coefficients_bdr = torch.bmm(self.operator.analyse(z_bdn), self.core.mT.to(z_bdn.dtype))
        return z_bdn * self.identity + self.operator.synthesise(coefficients_bdr)


Build = Callable[[OperatorFunction], Sequence[OperatorFunction]]


def apply_functions(operator: Operator, build: Build, z_bdn: Tensor) -> list[Tensor]:
    """Apply several functions of A to signals, in float32 at least.

    Args:
        operator: A.
        build: makes the functions from A itself.
        z_bdn: z (B, D, N).

    Returns:
        f(A) z for each f in ``build(A)``, each (B, D, N).
    """
    if isinstance(operator, Folded):
        folded = apply_functions(operator.inner, build, operator.grid.fold(z_bdn))
        return [operator.grid.unfold(y, z_bdn.shape[0]) for y in folded]
    with full_precision(z_bdn):
        wide_bdn = at_least_float32(z_bdn)
        return [function.apply(wide_bdn).to(z_bdn.dtype) for function in build(OperatorFunction.of(operator.widened()))]


def geometric(x: OperatorFunction, doublings: int) -> OperatorFunction:
    """The geometric series (I - x)^-1 = (I + x)(I + x^2)(I + x^4)...

    Args:
        x: of spectral radius < 1.
        doublings: how often the number of terms is doubled: 2^doublings terms.

    Returns:
        (I - x)^-1.
    """
    total = x.shifted(1.0)
    for _ in range(doublings - 1):
        x = x.times(x)
        total = total.times(x.shifted(1.0))
    return total


def exponential(x: OperatorFunction, halvings: int, order: int = 14) -> OperatorFunction:
    """The exponential by scaling and squaring: a Taylor polynomial of x / 2^halvings, squared that often.

    Args:
        x: with |x| <= 2^halvings.
        halvings: how often x is halved.
        order: of the polynomial.

    Returns:
        exp(x).
    """
    x = x.scaled(0.5**halvings)
    total = x.scaled(1 / order)
    for power in range(order - 1, 0, -1):
        total = x.times(total.shifted(1.0)).scaled(1 / power)
    total = total.shifted(1.0)
    for _ in range(halvings):
        total = total.times(total)
    return total


def chebyshev_series(x: OperatorFunction, coefficients: Tensor) -> OperatorFunction:
    """The series sum_k c_k T_k(x) of Chebyshev polynomials, by Clenshaw's recurrence.

    Args:
        x: with eigenvalues in [-1, 1].
        coefficients: c (K + 1,), K >= 1.

    Returns:
        The sum.
    """
    zero = x.scaled(0.0)
    ahead, current = zero, zero.shifted(coefficients[-1])
    for coefficient in reversed(coefficients[1:-1].unbind()):
        ahead, current = current, x.times(current).scaled(2.0).minus(ahead).shifted(coefficient)
    return x.times(current).minus(ahead).shifted(coefficients[0])
