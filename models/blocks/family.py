"""The family: each block is one affinity and one filter.

    block        affinity A                                              filter
    nl           softmax / Gaussian / dot product / concatenation        (A)
    ns           as nl                                                   (I - A)
    a2           double attention                                        (A)
    relu_dot     relu product, not normalised                            (A)
    cgnl         Taylor kernel over channels and positions               (A)
    cc           criss-cross                                             (A)
    dnl          whitened softmax + unary softmax                        (A)
    snl          symmetric normalised                                    (I, A)
    snl_2019     softmax                                                 (I, A)
    gsnl         softmax                                                 (I, A, 2A - I)
    cheb         symmetric normalised, or softmax                        (T_0 ... T_K)
    cayley       symmetric normalised                                    (I, Re C^j, Im C^j)
    arma         symmetric normalised                                    (I, resolvents)
    heat         symmetric normalised                                    (I, exp(-t L))
    spectral     symmetric normalised                                    (I, f(L)) for a given f

``docs/theory.md`` has the formulas, the papers, and the tests that prove the table.
"""

from collections.abc import Callable

from torch import Tensor

from specvid.errors import unknown
from specvid.models.blocks.affinities.base import Affinity, check_implementation
from specvid.models.blocks.affinities.concatenation import ConcatenationAffinity
from specvid.models.blocks.affinities.criss_cross import CrissCrossAffinity
from specvid.models.blocks.affinities.dot import ProductAffinity
from specvid.models.blocks.affinities.softmax import SoftmaxAffinity
from specvid.models.blocks.affinities.symmetric import SymmetricAffinity
from specvid.models.blocks.affinities.taylor import TaylorAffinity
from specvid.models.blocks.filters.base import Filter
from specvid.models.blocks.filters.polynomial import Chebyshev, FirstOrder, PublishedCayley
from specvid.models.blocks.filters.rational import Arma, Cayley
from specvid.models.blocks.filters.spectral import Heat, Spectral
from specvid.models.blocks.registry import Pair, Widths, register_block

KERNELS = ("embedded", "gaussian", "dot", "concat")

IDENTITY, AFFINITY, HIGH_PASS = (1, 0), (0, 1), (1, -1)


def _each(widths: Widths, make: Callable[[], Filter]) -> list[Filter]:
    return [make() for _ in range(widths.units)]


def _kernel(widths: Widths, kernel: str, *, scale: bool, sub_sample: bool, impl: str) -> Affinity:
    channels, inner, bias = widths.channels, widths.inner, widths.bias
    if scale and kernel != "embedded":
        raise ValueError(f"scale=True goes with kernel='embedded', not with {kernel!r}; leave it away.")
    if kernel == "embedded":
        return SoftmaxAffinity(channels, inner, scale=scale, sub_sample=sub_sample, bias=bias, impl=impl)
    if kernel == "gaussian":
        return SoftmaxAffinity(channels, None, sub_sample=sub_sample, impl=impl)
    if kernel == "dot":
        return ProductAffinity(channels, inner, kind="dot", sub_sample=sub_sample, bias=bias, impl=impl)
    if kernel == "concat":
        check_implementation(impl, ("auto",))  # sums over sorted positions, the only form
        return ConcatenationAffinity(channels, inner, sub_sample=sub_sample, bias=bias)
    raise unknown("kernel", kernel, KERNELS)


def _symmetric(widths: Widths, filters: list[Filter], impl: str) -> Affinity:
    applications = sum(filter.applications for filter in filters)
    return SymmetricAffinity(
        widths.channels, widths.inner, impl=impl, value=widths.value, applications=applications, bias=widths.bias
    )


@register_block("nl")
def nl(
    widths: Widths, *, kernel: str = "embedded", scale: bool = False, sub_sample: bool = False, impl: str = "auto"
) -> Pair:
    """Nonlocal block (1711.07971): A alone. ``kernel``: "embedded" Gaussian, "gaussian", "dot", "concat"; ``scale`` by
    Cs^-1/2."""
    return _kernel(widths, kernel, scale=scale, sub_sample=sub_sample, impl=impl), _each(
        widths, lambda: FirstOrder(AFFINITY)
    )


@register_block("ns", relu=True)
def ns(widths: Widths, *, kernel: str = "embedded", scale: bool = False, impl: str = "auto") -> Pair:
    """Nonlocal stage (1806.00681): I - A with one weight; the units of the stage share A."""
    return _kernel(widths, kernel, scale=scale, sub_sample=False, impl=impl), _each(
        widths, lambda: FirstOrder(HIGH_PASS)
    )


@register_block("a2")
def a2(widths: Widths, *, impl: str = "auto") -> Pair:
    """Double attention (A2-Net, 1810.11579): gather by a softmax over positions, distribute by one over the maps."""
    affinity = ProductAffinity(widths.channels, widths.inner, kind="double", impl=impl, bias=widths.bias)
    return affinity, _each(widths, lambda: FirstOrder(AFFINITY))


@register_block("relu_dot", relu=True)
def relu_dot(widths: Widths, *, impl: str = "auto") -> Pair:
    """relu(theta)^T relu(phi) without normalisation: what the repository of 2108.02451 calls ``a2``, which is not
    A2-Net's."""
    affinity = ProductAffinity(widths.channels, widths.inner, kind="relu", impl=impl, bias=widths.bias)
    return affinity, _each(widths, lambda: FirstOrder(AFFINITY))


@register_block("cgnl", norm="group")
def cgnl(widths: Widths, *, groups: int = 1, order: int = 2, gamma: float = 1e-4) -> Pair:
    """Compact generalised nonlocal block (1810.13125): pairs of channels and positions, in ``groups`` of channels."""
    affinity = TaylorAffinity(widths.channels, widths.value, groups=groups, order=order, gamma=gamma, bias=widths.bias)
    return affinity, _each(widths, lambda: FirstOrder(AFFINITY))


@register_block("cc", reduction=8, norm="none", project=False, bias=True, recurrence=2)
def cc(widths: Widths) -> Pair:
    """Criss-cross attention (CCNet, 1811.11721), ``recurrence`` rounds: 2 reach everything in 2D, 3 in 3D."""
    affinity = CrissCrossAffinity(widths.channels, widths.inner, bias=widths.bias)
    return affinity, _each(widths, lambda: FirstOrder(AFFINITY))


@register_block("dnl")
def dnl(widths: Widths, *, whiten: bool = True, scale: bool = False, impl: str = "auto") -> Pair:
    """Disentangled nonlocal block (2006.06668): a whitened pairwise softmax plus a unary one."""
    affinity = SoftmaxAffinity(
        widths.channels, widths.inner, scale=scale, unary=True, whiten=whiten, bias=widths.bias, impl=impl
    )
    return affinity, _each(widths, lambda: FirstOrder(AFFINITY))


@register_block("snl", relu=True)
def snl(widths: Widths, *, impl: str = "auto") -> Pair:
    """Spectral nonlocal block (2108.02451): (I, A) on the symmetric normalised affinity, exact in O(N)."""
    filters = _each(widths, lambda: FirstOrder(IDENTITY, AFFINITY))
    return _symmetric(widths, filters, impl), filters


@register_block("snl_2019")
def snl_2019(widths: Widths, *, kernel: str = "embedded", scale: bool = False, impl: str = "auto") -> Pair:
    """The spectral block of 1911.01059: (I, A) on a row softmax, which is not symmetric."""
    affinity = _kernel(widths, kernel, scale=scale, sub_sample=False, impl=impl)
    return affinity, _each(widths, lambda: FirstOrder(IDENTITY, AFFINITY))


@register_block("gsnl")
def gsnl(widths: Widths, *, kernel: str = "embedded", scale: bool = False, impl: str = "auto") -> Pair:
    """The generalised block of 1911.01059: (I, A, 2A - I); its third term adds nothing to ``snl_2019`` but
    parameters."""
    affinity = _kernel(widths, kernel, scale=scale, sub_sample=False, impl=impl)
    return affinity, _each(widths, lambda: FirstOrder(IDENTITY, AFFINITY, (-1, 2)))


@register_block("cheb", relu=True)
def cheb(widths: Widths, *, order: int = 2, affinity: str = "symmetric", impl: str = "auto") -> Pair:
    """Chebyshev filter of any ``order`` (1606.09375) on the "symmetric" affinity, or on any kernel of ``nl``."""
    filters = _each(widths, lambda: Chebyshev(order))
    if affinity == "symmetric":
        return _symmetric(widths, filters, impl), filters
    if affinity not in KERNELS:
        raise unknown("affinity", affinity, ("symmetric", *KERNELS))
    return _kernel(widths, affinity, scale=False, sub_sample=False, impl=impl), filters


@register_block("cayley", relu=True)
def cayley(widths: Widths, *, order: int = 1, form: str = "rational", impl: str = "auto") -> Pair:
    """Cayley filter (1705.07664), exact; ``form="published"`` is the polynomial on a softmax that 2108.02451's code
    calls ``caylay``."""
    if form not in ("rational", "published"):
        raise unknown("form", form, ("rational", "published"))
    if form == "published":
        if order != 1:
            raise ValueError(f"order={order} goes with form='rational': the published polynomial has one form.")
        affinity = SoftmaxAffinity(widths.channels, widths.inner, bias=widths.bias, impl=impl)
        return affinity, _each(widths, lambda: PublishedCayley(widths.value))
    filters = _each(widths, lambda: Cayley(order))
    return _symmetric(widths, filters, impl), filters


@register_block("arma", relu=True)
def arma(widths: Widths, *, order: int = 1, impl: str = "auto") -> Pair:
    """ARMA filter (1901.01343) with ``order`` learned poles, exact."""
    filters = _each(widths, lambda: Arma(order))
    return _symmetric(widths, filters, impl), filters


@register_block("heat", relu=True)
def heat(widths: Widths, *, order: int = 1, impl: str = "auto") -> Pair:
    """Heat kernels exp(-t L) at ``order`` learned times, exact."""
    filters = _each(widths, lambda: Heat(order))
    return _symmetric(widths, filters, impl), filters


@register_block("spectral", relu=True)
def spectral(
    widths: Widths, *, function: Callable[[Tensor], Tensor] | None = None, tolerance: float = 1e-13, impl: str = "auto"
) -> Pair:
    """(I, f(L)) for any smooth ``function`` of the Laplacian's frequencies in [0, 2] (see ``filters/spectral.py``)."""
    if not callable(function):
        raise ValueError(
            f"function={function!r} of block 'spectral' is not possible: give a function of the frequencies in [0, 2]."
        )
    filters = _each(widths, lambda: Spectral(function, tolerance=tolerance))
    return _symmetric(widths, filters, impl), filters
