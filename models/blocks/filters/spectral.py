"""Spectral filters: the heat kernel, and any function of the Laplacian L = I - A.

    heat       (I, exp(-t_1 L), ..., exp(-t_K L))       t_k > 0 learned: diffusion over the graph for a time t_k
    any f(L)   (I, f(L))                                f given as a function of the frequencies in [0, 2]

exp by scaling and squaring, f by its Chebyshev series, whose length is doubled until its error is below ``tolerance``
everywhere: exact to rounding for analytic f. An f that is not smooth has no short series: that is an error, not a
silent approximation. Where f is a module, which learns, the length is chosen again whenever its parameters change.
"""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
import torch
from torch import Tensor, nn

from specvid.models.blocks.filters.base import Filter
from specvid.models.blocks.functions import OperatorFunction, apply_functions, chebyshev_series, exponential
from specvid.models.blocks.operators import Operator

MAX_TIME = 32.0
MAX_DEGREE = 256


class Heat(Filter):
    """I and the heat kernels exp(-t L) at ``order`` learned times t.

    Args:
        order: the number of times, >= 1; they start at 1, 2, 4, ...
    """

    needs_symmetric = True

    def __init__(self, order: int = 1) -> None:
        super().__init__()
        if not 1 <= order <= 5:
            raise ValueError(
                f"order={order} is not possible: a heat filter has 1 to 5 diffusion times (they start at 1, 2, 4, 8, "
                "16)."
            )
        start = 2.0 ** torch.arange(order)
        self.raw_time = nn.Parameter(torch.logit(start / MAX_TIME))
        self.terms = order + 1
        self.applications = order

    @property
    def times(self) -> Tensor:
        """t (order,), within (0, 32)."""
        return MAX_TIME * torch.sigmoid(self.raw_time)

    def forward(self, operator: Operator, z_bdn: Tensor) -> list[Tensor]:
        """[z, exp(-t L) z for each t]."""

        def build(a: OperatorFunction) -> list[OperatorFunction]:
            return [
                exponential(a.scaled(time), halvings=6).scaled(torch.exp(-time))
                for time in self.times.to(a.core.dtype).unbind()
            ]

        return [z_bdn, *apply_functions(operator, build, z_bdn)]

    def response(self, eigenvalues: Tensor) -> Tensor:
        """(1, exp(-t (1 - eigenvalue)) ...): (L,) -> (order + 1, L)."""
        times = self.times.to(eigenvalues.dtype)[:, None]
        return torch.cat((torch.ones_like(eigenvalues)[None], torch.exp(-times * (1 - eigenvalues))))


class Spectral(Filter):
    """I and f(L) for any smooth f.

    Args:
        function: maps frequencies of the Laplacian in [0, 2], a float64 tensor, to values of the same shape. One that
            learns is an ``nn.Module`` (with parameters in float64, where they meet the frequencies in a product).
        tolerance: largest error of the series on [0, 2], relative to the largest |f|.

    Raises:
        ValueError: f gives no tensor of the shape of its input, or is not smooth enough.
    """

    needs_symmetric = True
    terms = 2

    def __init__(self, function: Callable[[Tensor], Tensor], *, tolerance: float = 1e-13) -> None:
        super().__init__()
        self.function = function
        self.tolerance = tolerance
        self.degree = _degree(function, tolerance)
        self._fitted = [parameter.detach().cpu().clone() for parameter in _parameters(function)]

    def _fit_degree(self) -> None:
        """Choose the degree again where f has learned; a compiled or exported graph has the one it was made with."""
        if torch.compiler.is_compiling():
            return
        now = [parameter.detach().cpu() for parameter in _parameters(self.function)]
        if any(not torch.equal(one, other) for one, other in zip(now, self._fitted, strict=True)):
            self.degree, self._fitted = _degree(self.function, self.tolerance), [one.clone() for one in now]

    def coefficients(self, device: torch.device) -> Tensor:
        """The Chebyshev coefficients of a -> f(1 - a), differentiable with respect to what f learns.

        Args:
            device: where they are wanted.

        Returns:
            (degree + 1,) float64.
        """
        count = self.degree + 1
        angles = torch.pi * (torch.arange(count, dtype=torch.float64, device=device) + 0.5) / count
        basis = torch.cos(torch.arange(count, dtype=torch.float64, device=device)[:, None] * angles) * (2 / count)
        weights = basis @ self.function(1 - torch.cos(angles)).double()
        return torch.cat((weights[:1] / 2, weights[1:]))

    def forward(self, operator: Operator, z_bdn: Tensor) -> list[Tensor]:
        """[z, f(L) z]."""
        self._fit_degree()

        def build(a: OperatorFunction) -> list[OperatorFunction]:
            return [chebyshev_series(a, self.coefficients(a.core.device).to(a.core.dtype))]

        return [z_bdn, *apply_functions(operator, build, z_bdn)]

    def response(self, eigenvalues: Tensor) -> Tensor:
        """(1, f(1 - eigenvalue)): (L,) -> (2, L)."""
        values = self.function(1 - eigenvalues.double()).to(eigenvalues.dtype)
        return torch.stack((torch.ones_like(eigenvalues), values))


def _parameters(function: Callable[[Tensor], Tensor]) -> list[Tensor]:
    """What f learns."""
    return list(function.parameters()) if isinstance(function, nn.Module) else []


def _degree(function: Callable[[Tensor], Tensor], tolerance: float) -> int:
    """The smallest power of two whose Chebyshev interpolant equals f to ``tolerance`` on a fine grid."""
    grid = np.cos(np.linspace(0, np.pi, 2001))
    device = next((parameter.device for parameter in _parameters(function)), None)

    def values(a: np.ndarray) -> np.ndarray:
        given = function(torch.from_numpy(1 - a).to(device))
        if not isinstance(given, Tensor) or given.shape != a.shape:
            shape = tuple(given.shape) if isinstance(given, Tensor) else given
            raise ValueError(
                f"function={function!r} gives {shape!r} for frequencies of shape {a.shape}: it must give a tensor of "
                f"the same shape, e.g. torch.ones_like(frequencies) for a constant."
            )
        return given.double().cpu().numpy()

    with torch.no_grad():
        wanted = values(grid)
        size = max(float(np.abs(wanted).max()), 1e-300)
        degree, error = 1, np.inf
        while degree <= MAX_DEGREE:
            series = np.polynomial.chebyshev.Chebyshev.interpolate(values, degree)
            error = float(np.abs(series(grid) - wanted).max()) / size
            if error <= tolerance:
                return degree
            degree *= 2
    raise ValueError(
        f"function={function!r} is not smooth enough on [0, 2]: its Chebyshev series of degree {MAX_DEGREE} still "
        f"misses it by {error:.1e} (tolerance={tolerance:.1e}). Smooth its corners, "
        "or accept an approximation by a larger tolerance."
    )
