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
from specvid.models.blocks.builder import Parts, Widths, register_nonlocal
from specvid.models.blocks.filters.base import Filter
from specvid.models.blocks.filters.polynomial import Chebyshev, FirstOrder, PublishedCayley
from specvid.models.blocks.filters.rational import Arma, Cayley
from specvid.models.blocks.filters.spectral import Heat, Spectral

KERNELS = ("embedded", "gaussian", "dot", "concat")

IDENTITY, AFFINITY, HIGH_PASS = (1, 0), (0, 1), (1, -1)


def _per_unit(widths: Widths, make: Callable[[], Filter]) -> list[Filter]:
    """A filter for each unit."""
    return [make() for _ in range(widths.units)]


def _kernel(widths: Widths, kernel: str, *, scale: bool | float, sub_sample: bool | str, impl: str) -> Affinity:
    """The affinity of the nonlocal block with a kernel."""
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
    """The symmetric affinity, which counts how often filters apply it."""
    applications = sum(filter.applications for filter in filters)
    return SymmetricAffinity(
        widths.channels, widths.inner, impl=impl, value=widths.value, applications=applications, bias=widths.bias
    )


@register_nonlocal("nl")
def nl(
    widths: Widths,
    *,
    kernel: str = "embedded",
    scale: bool | float = False,
    sub_sample: bool | str = False,
    impl: str = "auto",
) -> Parts:
    """Nonlocal block (1711.07971, equation 1): A alone.

    Args:
        widths: sizes of the block.
        kernel: "embedded" (Gaussian of theta and phi), "gaussian" (of the features), "dot" or "concat".
        scale: a factor on the scores; ``True`` is Cs^-1/2 ("embedded" only).
        sub_sample: max-pool keys and values by 2 in height and width: ``True`` after their 1x1 convolutions (mmcv),
            ``"input"`` before (video-nonlocal-net, SlowFast).
        impl: "auto", or what the kernel's affinity has ("attention", "linear", "dense").

    Returns:
        The affinity, and a filter for each unit.
    """
    return _kernel(widths, kernel, scale=scale, sub_sample=sub_sample, impl=impl), _per_unit(
        widths, lambda: FirstOrder(AFFINITY)
    )


@register_nonlocal("ns", relu=True)
def ns(widths: Widths, *, kernel: str = "embedded", scale: bool | float = False, impl: str = "auto") -> Parts:
    """Nonlocal stage (1806.00681): I - A with one weight; the units of the stage share A.

    Args:
        widths: sizes of the block.
        kernel: "embedded" (Gaussian of theta and phi), "gaussian" (of the features), "dot" or "concat".
        scale: a factor on the scores; ``True`` is Cs^-1/2 ("embedded" only).
        impl: "auto", or what the kernel's affinity has ("attention", "linear", "dense").

    Returns:
        The affinity, and a filter for each unit.
    """
    return _kernel(widths, kernel, scale=scale, sub_sample=False, impl=impl), _per_unit(
        widths, lambda: FirstOrder(HIGH_PASS)
    )


@register_nonlocal("a2")
def a2(widths: Widths, *, impl: str = "auto") -> Parts:
    """Double attention (A2-Net, 1810.11579): gather by a softmax over positions, distribute by one over the maps.

    Args:
        widths: sizes of the block.
        impl: ``linear`` never forms A, ``dense`` does, ``auto`` takes the one with fewer multiplications.

    Returns:
        The affinity, and a filter for each unit.
    """
    affinity = ProductAffinity(widths.channels, widths.inner, kind="double", impl=impl, bias=widths.bias)
    return affinity, _per_unit(widths, lambda: FirstOrder(AFFINITY))


@register_nonlocal("relu_dot", relu=True)
def relu_dot(widths: Widths, *, impl: str = "auto") -> Parts:
    """Product relu(theta)^T relu(phi), not normalised: ``a2`` in 2108.02451's repository, which is not A2-Net's.

    Args:
        widths: sizes of the block.
        impl: ``linear`` never forms A, ``dense`` does, ``auto`` takes the one with fewer multiplications.

    Returns:
        The affinity, and a filter for each unit.
    """
    affinity = ProductAffinity(widths.channels, widths.inner, kind="relu", impl=impl, bias=widths.bias)
    return affinity, _per_unit(widths, lambda: FirstOrder(AFFINITY))


@register_nonlocal("cgnl", norm="group")
def cgnl(
    widths: Widths,
    *,
    groups: int = 1,
    kernel: str = "gaussian",
    scale: bool = False,
    order: int = 2,
    gamma: float = 1e-4,
) -> Parts:
    """Compact generalised nonlocal block (1810.13125, equations 9 to 12): pairs of channels and positions.

    Args:
        widths: sizes of the block.
        groups: channels are related within as many groups.
        kernel: "gaussian" (the Taylor series), or "dot".
        scale: multiply A by (c·N)^-1/2, c the channels of a group.
        order: the last power of the Taylor series.
        gamma: of the Gaussian exp(-gamma |theta - phi|^2).

    Returns:
        The affinity, and a filter for each unit.
    """
    affinity = TaylorAffinity(
        widths.channels,
        widths.value,
        groups=groups,
        kernel=kernel,
        scale=scale,
        order=order,
        gamma=gamma,
        bias=widths.bias,
    )
    return affinity, _per_unit(widths, lambda: FirstOrder(AFFINITY))


@register_nonlocal("cc", reduction=8, norm="none", project=False, bias=True, recurrence=2)
def cc(widths: Widths) -> Parts:
    """Criss-cross attention (CCNet, 1811.11721): ``recurrence=2`` reaches every position in 2D, 3 in 3D.

    Args:
        widths: sizes of the block.

    Returns:
        The affinity, and a filter for each unit.
    """
    affinity = CrissCrossAffinity(widths.channels, widths.inner, bias=widths.bias)
    return affinity, _per_unit(widths, lambda: FirstOrder(AFFINITY))


@register_nonlocal("dnl")
def dnl(
    widths: Widths,
    *,
    whiten: bool = True,
    gamma: bool = False,
    scale: bool | float = False,
    sub_sample: bool | str = False,
    impl: str = "auto",
) -> Parts:
    """Disentangled nonlocal block (2006.06668): a whitened pairwise softmax plus a unary one.

    Args:
        widths: sizes of the block.
        whiten: subtract the mean over positions from theta and phi.
        gamma: have a learned factor on the pairwise term, from 0, as the authors' repository has.
        scale: a factor on the pairwise scores; ``True`` is Cs^-1/2. With a temperature t it is Cs^-1/2 / t.
        sub_sample: as in ``nl``.
        impl: ``attention`` (and ``auto``) runs in O(N) memory, ``dense`` forms A.

    Returns:
        The affinity, and a filter for each unit.
    """
    affinity = SoftmaxAffinity(
        widths.channels,
        widths.inner,
        scale=scale,
        sub_sample=sub_sample,
        unary=True,
        whiten=whiten,
        gamma=gamma,
        bias=widths.bias,
        impl=impl,
    )
    return affinity, _per_unit(widths, lambda: FirstOrder(AFFINITY))


@register_nonlocal("snl", relu=True)
def snl(widths: Widths, *, impl: str = "auto") -> Parts:
    """Spectral nonlocal block (2108.02451, equation 9): (I, A) on the symmetric normalised affinity, exact in O(N).

    Args:
        widths: sizes of the block.
        impl: ``linear`` never forms A, ``dense`` does, ``auto`` takes the one with fewer multiplications.

    Returns:
        The affinity, and a filter for each unit.
    """
    filters = _per_unit(widths, lambda: FirstOrder(IDENTITY, AFFINITY))
    return _symmetric(widths, filters, impl), filters


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
    affinity = _kernel(widths, kernel, scale=scale, sub_sample=False, impl=impl)
    return affinity, _per_unit(widths, lambda: FirstOrder(IDENTITY, AFFINITY))


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
    affinity = _kernel(widths, kernel, scale=scale, sub_sample=False, impl=impl)
    return affinity, _per_unit(widths, lambda: FirstOrder(IDENTITY, AFFINITY, (-1, 2)))


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
    filters = _per_unit(widths, lambda: Chebyshev(order))
    if affinity == "symmetric":
        return _symmetric(widths, filters, impl), filters
    if affinity not in KERNELS:
        raise unknown("affinity", affinity, ("symmetric", *KERNELS))
    return _kernel(widths, affinity, scale=False, sub_sample=False, impl=impl), filters


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
        return affinity, _per_unit(widths, lambda: PublishedCayley(widths.value))
    filters = _per_unit(widths, lambda: Cayley(order))
    return _symmetric(widths, filters, impl), filters


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
    filters = _per_unit(widths, lambda: Arma(order))
    return _symmetric(widths, filters, impl), filters


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
    filters = _per_unit(widths, lambda: Heat(order))
    return _symmetric(widths, filters, impl), filters


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
    filters = _per_unit(widths, lambda: Spectral(function, tolerance=tolerance))
    return _symmetric(widths, filters, impl), filters
