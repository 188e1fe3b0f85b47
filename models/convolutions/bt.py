"""Block-term tensor layers (2010.04963): a kernel as a sum of small tensors in the Tucker form.

    W = sum_b G_b ×_1 A_b1 ×_2 A_b2 ... ×_d A_bd ×_(d+1) K_b        G_b (R x ... x R), A_bn (I_n O_n x R), K_b (k x R)

The channels are split into d factors, I = I_1 ... I_d and O = O_1 ... O_d, and the window is a mode of its own:
blocks · (prod R + sum R I_n O_n) numbers. The start is found block by block: the higher-order singular value
decomposition of what the others leave; it is the trained kernel where the ranks are as large as the modes.
"""

from math import prod

import torch
from torch import Tensor, nn

from specvid.models.convolutions.base import StaticConvolution
from specvid.models.convolutions.options import check_count
from specvid.models.convolutions.registry import register_convolution
from specvid.models.convolutions.spec import ConvolutionSpec


def split_channels(channels: int, factors: int) -> tuple[int, ...]:
    """Whole factors of a number of channels, as equal as they can be.

    Args:
        channels: The number.
        factors: How many.

    Returns:
        The factors, in rising order.
    """
    if factors == 1:
        return (channels,)
    ideal = channels ** (1 / factors)
    first = max(n for n in range(1, int(ideal + 1e-9) + 1) if channels % n == 0)
    return (first, *split_channels(channels // first, factors - 1))


@register_convolution("bt")
class BlockTermConvolution(StaticConvolution):
    """A sum of Tucker terms as kernel.

    Args:
        spec: Shape and geometry.
        blocks: How many terms.
        rank: R of every mode, at most its size.
        order: d, how many factors the channels are split into.

    Raises:
        ValueError: Options that are no integers from 1.
    """

    def __init__(self, spec: ConvolutionSpec, *, blocks: int = 2, rank: int = 8, order: int = 2) -> None:
        super().__init__(spec)
        for name, value in (("blocks", blocks), ("rank", rank), ("order", order)):
            check_count("bt", name, value)
        out, inward = spec.weight_shape[:2]
        self.outs, self.ins = split_channels(out, order), split_channels(inward, order)
        modes = [o * i for o, i in zip(self.outs, self.ins, strict=True)] + [spec.positions]
        ranks = [min(rank, mode) for mode in modes]
        ranks = [min(r, prod(ranks) // r) for r in ranks]  # more than the other modes give is of no use
        self.core = nn.Parameter(torch.zeros(blocks, *ranks))
        self.factors = nn.ParameterList(
            nn.Parameter(torch.zeros(blocks, mode, r)) for mode, r in zip(modes, ranks, strict=True)
        )

    def kernel(self) -> Tensor:
        """The sum of the terms, its modes split and gathered into (O, I, window)."""
        term: Tensor = self.core
        for factor in self.factors:  # each contracts the first mode and appends the result as the last
            term = torch.einsum("br...,bpr->b...p", term, factor)
        split = term.sum(0).reshape(*(n for pair in zip(self.outs, self.ins, strict=True) for n in pair), -1)
        order = len(self.outs)
        axes = [*range(0, 2 * order, 2), *range(1, 2 * order, 2), 2 * order]
        return split.permute(axes).reshape(self.spec.weight_shape)

    def load_kernel(self, weight: Tensor) -> None:
        """Block by block the truncated Tucker form of what the blocks before leave."""
        order = len(self.outs)
        split = weight.reshape(*self.outs, *self.ins, -1)
        axes = [n for pair in zip(range(order), range(order, 2 * order), strict=True) for n in pair]
        rest = split.permute(*axes, 2 * order).reshape([len(f[0]) for f in self.factors])
        for block in range(len(self.core)):
            core, bases = rest, []
            for mode, factor in enumerate(self.factors):
                unfolded = rest.movedim(mode, 0).flatten(1)
                basis = torch.linalg.eigh(unfolded @ unfolded.mT)[1].flip(-1)[:, : factor.shape[-1]]
                factor[block] = basis.to(factor.dtype)
                bases.append(basis)
                core = torch.tensordot(core, basis, dims=([0], [0]))
            self.core[block] = core.to(self.core.dtype)
            for basis in bases:
                core = torch.tensordot(core, basis, dims=([0], [1]))
            rest = rest - core
