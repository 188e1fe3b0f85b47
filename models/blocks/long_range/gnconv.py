"""Recursive gated convolution (HorNet, 2207.14284, section 3.1): products of features with large depthwise windows.

    (p_0, a) = split(W_in x),   (a_0, ..., a_{n-1}) = split(s · depthwise(a))
    p_1 = p_0 ⊙ a_0,   p_{k+1} = V_k p_k ⊙ a_k,   y = x + W p_n

p_k has D / 2^(n-k) channels, so that all orders together cost little more than the last one.
"""

from torch import Tensor, nn

from specvid.models.blocks.grid import graph_convolution
from specvid.models.blocks.long_range.base import LongRangeBlock
from specvid.models.blocks.options import check_kernel, inner_width
from specvid.models.blocks.pointwise import Pointwise
from specvid.models.blocks.registry import register_block


@register_block("gnconv", kind="long-range")
class RecursiveGatedConvolution(LongRangeBlock):
    """Interactions of order n of each position with a window around it.

    Args:
        channels: C.
        dims: 1 (T), 2 (H, W) or 3 (T, H, W).
        mode: the axes of the window: ``st``, ``s`` or ``t``.
        inner: D, a multiple of 2^(order - 1); C if not given.
        order: n.
        kernel: positions of the window along each axis, odd.
        scale: s.
        project: there is a W.
        residual: x is added.
        identity: W starts at 0.

    Raises:
        ValueError: options that are not possible, or do not go together.
    """

    def __init__(
        self,
        channels: int,
        *,
        dims: int = 3,
        mode: str = "st",
        inner: int | None = None,
        order: int = 3,
        kernel: int = 7,
        scale: float = 1 / 3,
        project: bool = True,
        residual: bool = True,
        identity: bool = True,
    ) -> None:
        width = inner_width("gnconv", channels, 1, inner)
        super().__init__(
            channels,
            dims=dims,
            mode=mode,
            width=width,
            bias=True,
            project=project,
            residual=residual,
            identity=identity,
        )
        check_kernel("gnconv", kernel)
        if width % 2 ** (order - 1):
            raise ValueError(
                f"order={order} of block 'gnconv' is not possible with {width} inner channels: they are a multiple of "
                f"2^(order - 1) = {2 ** (order - 1)}; use a smaller order, or another inner."
            )
        self.scale = scale
        self.widths = [width // 2**k for k in reversed(range(order))]
        gates = sum(self.widths)
        self.proj = Pointwise(channels, self.widths[0] + gates, bias=True)
        self.depthwise = graph_convolution(dims, mode)(gates, gates, kernel, padding=kernel // 2, groups=gates)
        self.raises = nn.ModuleList(
            Pointwise(narrow, wide, bias=True) for narrow, wide in zip(self.widths, self.widths[1:], strict=False)
        )

    def branch(self, x_bcn: Tensor, sizes: tuple[int, ...], mask_bn: Tensor | None) -> Tensor:
        """(B, C, N) -> (B, D, N)."""
        p, a = self.proj(x_bcn).split((self.widths[0], sum(self.widths)), dim=1)
        if mask_bn is not None:
            a = a.masked_fill(~mask_bn.unsqueeze(1), 0)
        gates = (self.scale * self.depthwise(a.unflatten(2, sizes)).flatten(2)).split(self.widths, dim=1)
        p = p * gates[0]
        for wider, gate in zip(self.raises, gates[1:], strict=True):
            p = wider(p) * gate
        return p
