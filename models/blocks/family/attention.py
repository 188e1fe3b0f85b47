"""The blocks that apply an affinity as it is, A or I - A: the nonlocal block and its relatives."""

from collections.abc import Callable

from specvid.errors import unknown
from specvid.models.blocks.affinities.base import Affinity, check_implementation
from specvid.models.blocks.affinities.concatenation import ConcatenationAffinity
from specvid.models.blocks.affinities.criss_cross import CrissCrossAffinity
from specvid.models.blocks.affinities.dot import ProductAffinity
from specvid.models.blocks.affinities.softmax import SoftmaxAffinity
from specvid.models.blocks.affinities.taylor import TaylorAffinity
from specvid.models.blocks.builder import Parts, Widths, register_nonlocal
from specvid.models.blocks.filters.base import Filter
from specvid.models.blocks.filters.polynomial import FirstOrder

KERNELS = ("embedded", "gaussian", "dot", "concat")

AFFINITY, HIGH_PASS = (0, 1), (1, -1)


def per_unit(widths: Widths, make: Callable[[], Filter]) -> list[Filter]:
    """A filter for each unit.

    Args:
        widths: sizes of the block.
        make: makes one.

    Returns:
        As many filters as the block has units.
    """
    return [make() for _ in range(widths.units)]


def kernel_affinity(widths: Widths, kernel: str, *, scale: bool | float, sub_sample: bool | str, impl: str) -> Affinity:
    """The affinity of the nonlocal block with a kernel.

    Args:
        widths: sizes of the block.
        kernel: one of :data:`KERNELS`.
        scale: a factor on the scores; ``True`` is Cs^-1/2 ("embedded" only).
        sub_sample: max-pool keys and values, as in ``nl``.
        impl: "auto", or what the affinity has ("attention", "linear", "dense").

    Returns:
        The affinity.

    Raises:
        ValueError: the kernel is unknown, or has no scale or no such implementation.
    """
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
    affinity = kernel_affinity(widths, kernel, scale=scale, sub_sample=sub_sample, impl=impl)
    return affinity, per_unit(widths, lambda: FirstOrder(AFFINITY))


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
    affinity = kernel_affinity(widths, kernel, scale=scale, sub_sample=False, impl=impl)
    return affinity, per_unit(widths, lambda: FirstOrder(HIGH_PASS))


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
    return affinity, per_unit(widths, lambda: FirstOrder(AFFINITY))


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
    return affinity, per_unit(widths, lambda: FirstOrder(AFFINITY))


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
    return affinity, per_unit(widths, lambda: FirstOrder(AFFINITY))


@register_nonlocal("cc", reduction=8, norm="none", project=False, bias=True, recurrence=2)
def cc(widths: Widths) -> Parts:
    """Criss-cross attention (CCNet, 1811.11721): ``recurrence=2`` reaches every position in 2D, 3 in 3D.

    Args:
        widths: sizes of the block.

    Returns:
        The affinity, and a filter for each unit.
    """
    affinity = CrissCrossAffinity(widths.channels, widths.inner, bias=widths.bias)
    return affinity, per_unit(widths, lambda: FirstOrder(AFFINITY))


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
    return affinity, per_unit(widths, lambda: FirstOrder(AFFINITY))
