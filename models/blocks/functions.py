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
from dataclasses import dataclass, replace

import torch
from torch import Tensor

from specvid.models.blocks.operators import Dense, Factored, Folded, Operator
from specvid.models.blocks.precision import at_least_float32, full_precision


@dataclass(frozen=True)
class OperatorFunction:
    """a I + L^T M R, or a I + M for a dense A.

    Attributes:
        operator: A, which all functions that meet share.
        identity: a, a number or a scalar tensor.
        core: M, (B, R, R) or (B, N, N).
        gram: G (B, R, R), or ``None`` for a dense A.
    """

    operator: Factored | Dense
    identity: float | Tensor
    core: Tensor
    gram: Tensor | None

    @classmethod
    def of(cls, operator: Factored | Dense) -> OperatorFunction:
        """A itself, for a dense A or one with a Gram matrix."""
        if isinstance(operator, Dense):
            return cls(operator, 0.0, operator.matrix_bnn, None)
        gram = operator.gram()
        eye = torch.eye(gram.shape[-1], dtype=gram.dtype, device=gram.device).expand_as(gram)
        return cls(operator, 0.0, operator.mix(eye), gram)

    def __add__(self, other: OperatorFunction) -> OperatorFunction:
        return replace(self, identity=self.identity + other.identity, core=self.core + other.core)

    def __mul__(self, number: float | Tensor) -> OperatorFunction:
        return replace(self, identity=self.identity * number, core=self.core * number)

    def plus(self, number: float | Tensor) -> OperatorFunction:
        """f(A) + number · I."""
        return replace(self, identity=self.identity + number)

    def __matmul__(self, other: OperatorFunction) -> OperatorFunction:
        inner = other.core if self.gram is None else torch.bmm(self.gram, other.core)
        core = torch.bmm(self.core, inner) + other.core * self.identity + self.core * other.identity
        return replace(self, identity=self.identity * other.identity, core=core)

    def apply(self, z_bdn: Tensor) -> Tensor:
        """f(A) z: (B, D, N) -> (B, D, N)."""
        if isinstance(self.operator, Dense):
            return z_bdn * self.identity + torch.bmm(z_bdn, self.core.mT.to(z_bdn.dtype))
        coefficients_bdr = torch.bmm(self.operator.analyse(z_bdn), self.core.mT.to(z_bdn.dtype))
        return z_bdn * self.identity + self.operator.synthesise(coefficients_bdr)


Build = Callable[[OperatorFunction], Sequence[OperatorFunction]]


def apply_functions(operator: Operator, build: Build, z_bdn: Tensor) -> list[Tensor]:
    """[f(A) z for f in build(A)], each (B, D, N), computed in float32 at least."""
    if isinstance(operator, Folded):
        folded = apply_functions(operator.inner, build, operator.grid.fold(z_bdn))
        return [operator.grid.unfold(y, z_bdn.shape[0]) for y in folded]
    with full_precision(z_bdn):
        wide_bdn = at_least_float32(z_bdn)
        return [function.apply(wide_bdn).to(z_bdn.dtype) for function in build(OperatorFunction.of(operator.widened()))]


def geometric(x: OperatorFunction, doublings: int) -> OperatorFunction:
    """(I - x)^-1 = (I + x)(I + x^2)(I + x^4)..., with 2^doublings terms of the series, for x of spectral radius < 1."""
    total = x.plus(1.0)
    for _ in range(doublings - 1):
        x = x @ x
        total = total @ x.plus(1.0)
    return total


def exponential(x: OperatorFunction, halvings: int, order: int = 14) -> OperatorFunction:
    """exp(x) by scaling and squaring: a Taylor polynomial of x / 2^halvings, squared that often; |x| <= 2^halvings."""
    x = x * 0.5**halvings
    total = x * (1 / order)
    for power in range(order - 1, 0, -1):
        total = (x @ total.plus(1.0)) * (1 / power)
    total = total.plus(1.0)
    for _ in range(halvings):
        total = total @ total
    return total


def chebyshev_series(x: OperatorFunction, coefficients: Tensor) -> OperatorFunction:
    """sum_k c_k T_k(x) by Clenshaw's recurrence, for x with eigenvalues in [-1, 1]; coefficients (K + 1,), K >= 1."""
    zero = x * 0.0
    ahead, current = zero, zero.plus(coefficients[-1])
    for coefficient in reversed(coefficients[1:-1].unbind()):
        ahead, current = current, ((x @ current) * 2.0 + ahead * -1.0).plus(coefficient)
    return (x @ current + ahead * -1.0).plus(coefficients[0])
