"""The blocks with a graph filter of several terms: polynomials, rational functions and others of A."""

from collections.abc import Callable

from torch import Tensor

from specvid.errors import unknown
from specvid.models.blocks.affinities.softmax import SoftmaxAffinity
from specvid.models.blocks.affinities.symmetric import SymmetricAffinity
from specvid.models.blocks.builder import Parts, Widths, register_nonlocal
from specvid.models.blocks.family.attention import AFFINITY, KERNELS, kernel_affinity, per_unit
from specvid.models.blocks.filters.base import Filter
from specvid.models.blocks.filters.polynomial import Chebyshev, FirstOrder, PublishedCayley
from specvid.models.blocks.filters.rational import Arma, Cayley
from specvid.models.blocks.filters.spectral import Heat, Spectral

IDENTITY = (1, 0)


def _symmetric(widths: Widths, make: Callable[[], Filter], impl: str) -> Parts:
    """Filters on the symmetric affinity, which counts how often they apply it."""
    filters = per_unit(widths, make)
    applications = sum(filter.applications for filter in filters)
    affinity = SymmetricAffinity(
        widths.channels, widths.inner, impl=impl, value=widths.value, applications=applications, bias=widths.bias
    )
    return affinity, filters


@register_nonlocal("snl", relu=True)
def snl(widths: Widths, *, impl: str = "auto") -> Parts:
    """Spectral nonlocal block (2108.02451, equation 9): (I, A) on the symmetric normalised affinity, exact in O(N).

    Args:
        widths: sizes of the block.
        impl: ``linear`` never forms A, ``dense`` does, ``auto`` takes the one with fewer multiplications.

    Returns:
        The affinity, and a filter for each unit.
    """
    return _symmetric(widths, lambda: FirstOrder(IDENTITY, AFFINITY), impl)


@register_nonlocal("snl_2019")
def snl_2019(widths: Widths, *, kernel: str = "embedded", scale: bool | float = False, impl: str = "auto") -> Parts:
    """The spectral block of 1911.01059: (I, A) on a row softmax, which is not symmetric.

    Args:
        widths: sizes of the block.
        kernel: "embedded" (Gaussian of theta and phi), "gaussian" (of the features), "dot" or "concat".
        scale: a factor on the scores; ``True`` is Cs^-1/2 ("embedded" only).
        impl: "auto", or what the kernel's affinity has ("attention", "linear", "dense").

    Returns:
        The affinity, and a filter for each unit.
    """
    affinity = kernel_affinity(widths, kernel, scale=scale, sub_sample=False, impl=impl)
    return affinity, per_unit(widths, lambda: FirstOrder(IDENTITY, AFFINITY))


@register_nonlocal("gsnl")
def gsnl(widths: Widths, *, kernel: str = "embedded", scale: bool | float = False, impl: str = "auto") -> Parts:
    """The generalised block of 1911.01059: (I, A, 2A - I); the third term adds to ``snl_2019`` parameters alone.

    Args:
        widths: sizes of the block.
        kernel: "embedded" (Gaussian of theta and phi), "gaussian" (of the features), "dot" or "concat".
        scale: a factor on the scores; ``True`` is Cs^-1/2 ("embedded" only).
        impl: "auto", or what the kernel's affinity has ("attention", "linear", "dense").

    Returns:
        The affinity, and a filter for each unit.
    """
    affinity = kernel_affinity(widths, kernel, scale=scale, sub_sample=False, impl=impl)
    return affinity, per_unit(widths, lambda: FirstOrder(IDENTITY, AFFINITY, (-1, 2)))


@register_nonlocal("cheb", relu=True)
def cheb(widths: Widths, *, order: int = 2, affinity: str = "symmetric", impl: str = "auto") -> Parts:
    """Chebyshev filter (1606.09375, equation 4) of any order.

    Args:
        widths: sizes of the block.
        order: K, the highest power of A.
        affinity: "symmetric", or any kernel of ``nl``.
        impl: "auto", or what the affinity has ("attention", "linear", "dense").

    Returns:
        The affinity, and a filter for each unit.
    """
    if affinity == "symmetric":
        return _symmetric(widths, lambda: Chebyshev(order), impl)
    if affinity not in KERNELS:
        raise unknown("affinity", affinity, ("symmetric", *KERNELS))
    filters = per_unit(widths, lambda: Chebyshev(order))
    return kernel_affinity(widths, affinity, scale=False, sub_sample=False, impl=impl), filters


@register_nonlocal("cayley", relu=True)
def cayley(widths: Widths, *, order: int = 1, form: str = "rational", impl: str = "auto") -> Parts:
    """Cayley filter (1705.07664, equation 5), exact.

    Args:
        widths: sizes of the block.
        order: the highest power of the Cayley transform.
        form: "rational", or "published": the polynomial on a softmax that 2108.02451's repository calls ``caylay``.
        impl: ``linear`` never forms A, ``dense`` does, ``auto`` takes the one with fewer multiplications.

    Returns:
        The affinity, and a filter for each unit.
    """
    if form not in ("rational", "published"):
        raise unknown("form", form, ("rational", "published"))
    if form == "published":
        if order != 1:
            raise ValueError(f"order={order} goes with form='rational': the published polynomial has one form.")
        affinity = SoftmaxAffinity(widths.channels, widths.inner, bias=widths.bias, impl=impl)
        return affinity, per_unit(widths, lambda: PublishedCayley(widths.value))
    return _symmetric(widths, lambda: Cayley(order), impl)


@register_nonlocal("arma", relu=True)
def arma(widths: Widths, *, order: int = 1, impl: str = "auto") -> Parts:
    """ARMA filter (1901.01343, equation 9) with learned poles, exact.

    Args:
        widths: sizes of the block.
        order: the number of poles.
        impl: ``linear`` never forms A, ``dense`` does, ``auto`` takes the one with fewer multiplications.

    Returns:
        The affinity, and a filter for each unit.
    """
    return _symmetric(widths, lambda: Arma(order), impl)


@register_nonlocal("heat", relu=True)
def heat(widths: Widths, *, order: int = 1, impl: str = "auto") -> Parts:
    """Heat kernels exp(-t L) at learned times t, exact.

    Args:
        widths: sizes of the block.
        order: the number of times.
        impl: ``linear`` never forms A, ``dense`` does, ``auto`` takes the one with fewer multiplications.

    Returns:
        The affinity, and a filter for each unit.
    """
    return _symmetric(widths, lambda: Heat(order), impl)


@register_nonlocal("spectral", relu=True)
def spectral(
    widths: Widths, *, function: Callable[[Tensor], Tensor] | None = None, tolerance: float = 1e-13, impl: str = "auto"
) -> Parts:
    """(I, f(L)) for any smooth function f of the Laplacian's frequencies (``filters/spectral.py``).

    Args:
        widths: sizes of the block.
        function: f, of a float64 tensor of frequencies in [0, 2].
        tolerance: largest error, relative to the largest |f|.
        impl: ``linear`` never forms A, ``dense`` does, ``auto`` takes the one with fewer multiplications.

    Returns:
        The affinity, and a filter for each unit.
    """
    if not callable(function):
        raise ValueError(
            f"function={function!r} of block 'spectral' is not possible: give a function of the frequencies in [0, 2]."
        )
    return _symmetric(widths, lambda: Spectral(function, tolerance=tolerance), impl)
