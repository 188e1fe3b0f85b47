"""Rational filters, exact: ARMA and Cayley.

    ARMA    (I, ..., (1 - |p_k|) (I - p_k A)^-1, ...)    poles p_k in (-1, 1), learned         1901.01343, equation 9
    Cayley  (I, ..., Re C^j, Im C^j, ...),               C = (h L - i)(h L + i)^-1, L = I - A,
                                                         h > 0 learned, j = 1 ... K            1705.07664, equation 5

Both need A symmetric with eigenvalues in [-1, 1]. The inverses are geometric series, summed by doubling until they are
exact to rounding.
"""

from __future__ import annotations

import math

import torch
from torch import Tensor, nn

from specvid.models.blocks.filters.base import Filter
from specvid.models.blocks.functions import OperatorFunction, apply_functions, geometric
from specvid.models.blocks.operators import Operator

MAX_POLE = 0.99
DOUBLINGS = 12  # MAX_POLE ** 2 ** 12 < 2e-18


class Arma(Filter):
    """I and the resolvents (1 - |p|) (I - p A)^-1 of ``order`` learned poles p.

    A pole p > 0 smooths over the graph, p < 0 sharpens.

    Args:
        order: the number of poles, >= 1. They start spread over (-0.9, 0.9), at 0.5 if there is one.
    """

    needs_symmetric = True

    def __init__(self, order: int = 1) -> None:
        super().__init__()
        if order < 1:
            raise ValueError(f"order={order} is not possible: an ARMA filter has at least one pole; use order >= 1.")
        start = torch.tensor([0.5]) if order == 1 else torch.linspace(-0.9, 0.9, order)
        self.raw_pole = nn.Parameter(torch.atanh(start / MAX_POLE))
        self.terms = order + 1
        self.applications = order

    @property
    def poles(self) -> Tensor:
        """p (order,), within (-0.99, 0.99)."""
        return MAX_POLE * torch.tanh(self.raw_pole)

    def forward(self, operator: Operator, z_bdn: Tensor) -> list[Tensor]:
        """[z, (1 - |p|) (I - p A)^-1 z for each pole]."""

        def build(a: OperatorFunction) -> list[OperatorFunction]:
            return [
                geometric(a.scaled(pole), DOUBLINGS).scaled(1 - pole.abs())
                for pole in self.poles.to(a.core.dtype).unbind()
            ]

        return [z_bdn, *apply_functions(operator, build, z_bdn)]

    def response(self, eigenvalues: Tensor) -> Tensor:
        """(1, (1 - |p|) / (1 - p · eigenvalue) ...): (L,) -> (order + 1, L)."""
        poles = self.poles.to(eigenvalues.dtype)[:, None]
        return torch.cat((torch.ones_like(eigenvalues)[None], (1 - poles.abs()) / (1 - poles * eigenvalues)))


class Cayley(Filter):
    """I and the real and imaginary parts of the powers of the Cayley transform (h L - i)(h L + i)^-1.

    With Q = (I + h^2 L^2)^-1 the transform is C = I - 2 Q - 2 i h L Q, on the unit circle; h zooms into low (h large)
    or high frequencies.

    Args:
        order: K >= 1, the highest power.
    """

    needs_symmetric = True

    def __init__(self, order: int = 1) -> None:
        super().__init__()
        if order < 1:
            raise ValueError(
                f"order={order} is not possible: a Cayley filter of order 0 ignores the affinity; use order >= 1."
            )
        self.log_zoom = nn.Parameter(torch.zeros(()))
        self.order = order
        self.terms = 2 * order + 1
        self.applications = 2 * order

    @property
    def zoom(self) -> Tensor:
        """h, within (1/16, 16)."""
        limit = math.log(16)
        return torch.exp(limit * torch.tanh(self.log_zoom / limit))

    def forward(self, operator: Operator, z_bdn: Tensor) -> list[Tensor]:
        """[z, Re C z, Im C z, Re C^2 z, ...]."""

        def build(a: OperatorFunction) -> list[OperatorFunction]:
            zoom = self.zoom.to(a.core.dtype)
            laplacian = a.scaled(-1.0).shifted(1.0)
            squared = laplacian.times(laplacian).scaled(zoom**2)
            # Eigenvalues of I + h^2 L^2 lie in [1, 1 + 4 h^2]: centred and scaled, the inverse is a geometric series.
            centre = 1 + 2 * zoom**2
            series = geometric(squared.shifted(1.0).scaled(-1 / centre).shifted(1.0), DOUBLINGS + 3)
            inverse = series.scaled(1 / centre)
            real, imaginary = inverse.scaled(-2.0).shifted(1.0), laplacian.times(inverse).scaled(-2 * zoom)
            parts, power_real, power_imaginary = [real, imaginary], real, imaginary
            for _ in range(self.order - 1):
                power_real, power_imaginary = (
                    power_real.times(real).minus(power_imaginary.times(imaginary)),
                    power_real.times(imaginary).plus(power_imaginary.times(real)),
                )
                parts += [power_real, power_imaginary]
            return parts

        return [z_bdn, *apply_functions(operator, build, z_bdn)]

    def response(self, eigenvalues: Tensor) -> Tensor:
        """(1, Re C, Im C, ...) with C the Cayley transform of 1 - eigenvalue: (L,) -> (2 K + 1, L)."""
        scaled = self.zoom.to(eigenvalues.dtype) * (1 - eigenvalues)
        transform = torch.complex(scaled, -torch.ones_like(scaled)) / torch.complex(scaled, torch.ones_like(scaled))
        rows = [torch.ones_like(eigenvalues)]
        for power in range(1, self.order + 1):
            rows += [(transform**power).real, (transform**power).imag]
        return torch.stack(rows)
