"""What `specvid bench blocks` compares: blocks and what they must beat, by name, and the sizes they run at.

``floor``: the 1x1 convolutions that SNL has anyway (theta, phi, g, W_0, W_1) and the two sums that make one result of
them; ``snl-linear``, ``snl-dense``, ``snl-auto``; ``snl-folded``: ``snl-auto`` for inference, norm and gate in its
weights; ``snl-published``: SNL with its N x N matrix, line by line as in 2108.02451's code; ``nl-attention``: the
softmax block through attention kernels (SDPA); ``nl-dense``: as a matrix; ``nl-mmcv``: mmcv's NonLocal3d, where it is
installed. On request: ``snl-compiled``, ``snl-auto`` through ``torch.compile``; ``convolutions``, the five of the floor
without its sums; ``snl-products``, the matrix products of SNL in linear cost and nothing else.
"""

from collections.abc import Iterable
from typing import cast

import torch
from torch import Tensor, nn

from specvid.errors import unknown
from specvid.models.blocks import create_block
from specvid.models.blocks.pointwise import Pointwise
from specvid.models.inference.blocks import fold_blocks

# Positions as (T, H, W): those of res4 and res3 for 4 to 16 frames, and beyond.
CLIPS = {
    98: (2, 7, 7),
    392: (8, 7, 7),
    784: (4, 14, 14),
    3136: (16, 14, 14),
    6272: (8, 28, 28),
    12544: (16, 28, 28),
    50176: (16, 56, 56),
}
VARIANTS = (
    "floor",
    "snl-auto",
    "snl-linear",
    "snl-dense",
    "snl-folded",
    "snl-published",
    "nl-attention",
    "nl-dense",
    "nl-mmcv",
)
ON_REQUEST = ("snl-compiled", "convolutions", "snl-products")
FORWARD_ONLY = ("snl-folded", "convolutions", "snl-products")
FORM_MATRICES = ("snl-dense", "snl-published", "nl-dense", "nl-mmcv")
QUADRATIC = (*FORM_MATRICES, "nl-attention")
MEMORY_LIMIT = 6 * 2**30  # bytes that N x N matrices may take on a CPU
GPU_SHARE = 0.25  # of the memory of a GPU that they may take there
WORK_LIMIT = 1.5e12  # B·N·N·C of a quadratic variant: some minutes a step on two CPU cores


class Floor(nn.Module):
    """The five 1x1 convolutions of an SNL unit and no more.

    Args:
        channels: C.
    """

    def __init__(self, channels: int) -> None:
        super().__init__()
        inner = channels // 2
        self.inward = nn.ModuleList(Pointwise(channels, inner) for _ in range(3))
        self.outward = nn.ModuleList(Pointwise(inner, channels) for _ in range(2))

    def forward(self, x: Tensor) -> Tensor:
        """Apply the convolutions; theta and phi end in the sum so that they get their gradients.

        Args:
            x: (B, C, T, H, W).

        Returns:
            (B, C, T, H, W).
        """
        theta, phi, g = (conv(x.flatten(2)) for conv in self.inward)
        first, second = self.outward
        return (first(g) + second(theta + phi)).reshape(x.shape)


class Convolutions(Floor):
    """The five 1x1 convolutions of the floor without its sums: what four of them give is thrown away."""

    def forward(self, x: Tensor) -> Tensor:
        """Apply the convolutions.

        Args:
            x: (B, C, T, H, W).

        Returns:
            What the last of them gives, (B, C, T, H, W).
        """
        theta, phi, _ = (conv(x.flatten(2)) for conv in self.inward)
        first, second = self.outward
        first(theta)
        return second(phi).reshape(x.shape)


class Products(nn.Module):
    """The matrix products of SNL's inference form, nothing else: F, Z = W_in x, K = Z F^T, then (W_1 K) F + W_0 Z.

    Args:
        channels: C.
    """

    def __init__(self, channels: int) -> None:
        super().__init__()
        self.inner = channels // 2
        self.inward = Pointwise(channels, 3 * self.inner)
        self.w_0, self.w_1 = (nn.Parameter(torch.randn(channels, self.inner)) for _ in range(2))

    def forward(self, x: Tensor) -> Tensor:
        """Multiply.

        Args:
            x: (B, C, T, H, W).

        Returns:
            (B, C, T, H, W).
        """
        rows = self.inward(x.flatten(2))
        factor, signal = rows.split((2 * self.inner, self.inner), dim=1)
        related = torch.bmm(signal, factor.mT)
        weights = torch.cat((self.w_1 @ related, self.w_0.expand(len(x), -1, -1)), dim=2)
        return torch.bmm(weights, rows).reshape(x.shape)


class PublishedSNL(nn.Module):
    """SNL with its N x N matrix, step by step as published: product, symmetrise, degrees, normalise, apply.

    Args:
        channels: C.
    """

    def __init__(self, channels: int) -> None:
        super().__init__()
        inner = channels // 2
        self.theta, self.phi, self.g = (nn.Conv3d(channels, inner, 1, bias=False) for _ in range(3))
        self.w_1, self.w_2 = (nn.Conv3d(inner, channels, 1, bias=False) for _ in range(2))
        self.norm = nn.BatchNorm3d(channels)

    def forward(self, x: Tensor) -> Tensor:
        """Apply the block.

        Args:
            x: (B, C, T, H, W).

        Returns:
            (B, C, T, H, W).
        """
        theta, phi, g = self.theta(x).flatten(2), self.phi(x).flatten(2), self.g(x)
        affinity = torch.bmm(theta.relu().mT, phi.relu())
        affinity = (affinity + affinity.mT) / 2
        degree = affinity.sum(2)
        root = torch.where(degree != 0, degree, 1.0).rsqrt() * (degree != 0)
        affinity = affinity * root.unsqueeze(1) * root.unsqueeze(2)
        filtered = torch.bmm(affinity, g.flatten(2).mT).mT.contiguous().view_as(g)
        return x + self.norm(self.w_1(g) + self.w_2(filtered)).relu()


_PLAIN = {"floor": Floor, "convolutions": Convolutions, "snl-products": Products, "snl-published": PublishedSNL}


def make(variant: str, channels: int) -> nn.Module | None:
    """The module of a variant.

    Args:
        variant: of ``VARIANTS`` or ``ON_REQUEST``.
        channels: C.

    Returns:
        None where its library is not installed.
    """
    if variant in _PLAIN:
        return _PLAIN[variant](channels)
    if variant == "snl-folded":
        block = create_block("snl", channels, gate=1.0).eval().requires_grad_(False)
        fold_blocks(block)
        return block
    if variant == "nl-mmcv":
        try:
            from mmcv.cnn import NonLocal3d
        except ImportError:
            return None
        return NonLocal3d(channels, sub_sample=False)
    if variant == "snl-compiled":
        return cast(nn.Module, torch.compile(create_block("snl", channels, gate=1.0)))
    name, impl = variant.split("-")
    return create_block(name, channels, impl=impl, gate=1.0)


def check_choices(positions: Iterable[int], variants: Iterable[str]) -> None:
    """Check sizes and variants.

    Args:
        positions: N, keys of ``CLIPS``.
        variants: of ``VARIANTS`` or ``ON_REQUEST``.

    Raises:
        ValueError: any other.
    """
    check_positions(positions)
    for variant in variants:
        if variant not in (*VARIANTS, *ON_REQUEST):
            raise unknown("variant", variant, (*VARIANTS, *ON_REQUEST))


def check_positions(positions: Iterable[int]) -> None:
    """Check sizes.

    Args:
        positions: N, keys of ``CLIPS``.

    Raises:
        ValueError: any other.
    """
    for n in positions:
        if n not in CLIPS:
            raise ValueError(f"positions={n} is not a size of the benchmark: choose from {', '.join(map(str, CLIPS))}.")


def left_out(variant: str, positions: int, channels: int, batch: int, device: str = "cpu") -> str | None:
    """Why a variant is not run at a size.

    Args:
        variant: of ``VARIANTS``.
        positions: N.
        channels: C.
        batch: B.
        device: ``cpu`` or ``cuda``.

    Returns:
        That its N x N matrices (about four of them in float32 in a training step) or its work are beyond the limits;
        None where it is run.
    """
    on_gpu = device == "cuda"
    limit = GPU_SHARE * torch.cuda.get_device_properties(0).total_memory if on_gpu else MEMORY_LIMIT
    if variant in FORM_MATRICES and (need := 16 * batch * positions**2) > limit:
        return f"needs {need / 2**30:.0f} GiB for its N x N matrices"
    if not on_gpu and variant in QUADRATIC and batch * channels * positions**2 > WORK_LIMIT:
        return "takes minutes a step"
    return None
