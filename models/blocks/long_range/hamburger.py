"""Hamburger (2109.04553): features as a product of few bases and codes, found by a few steps of a factorisation.

    y = x + W B C^T,   X = lower(x) (D, N) ≈ B C^T,   B (D, R), C (N, R)

``nmf``: multiplicative updates of a non-negative factorisation (Lee & Seung), behind a ReLU; ``vq``: soft vector
quantisation; ``cd``: concept decomposition, whose codes solve a ridge regression. As in the paper (section 2.3.2) only
the last step has a gradient: B is a constant for it.
"""

import torch
from torch import Tensor
from torch.nn import functional as F

from specvid.errors import unknown
from specvid.models.blocks.long_range.base import LongRangeBlock
from specvid.models.blocks.options import check_integer, inner_width
from specvid.models.blocks.pointwise import Pointwise
from specvid.models.blocks.precision import at_least_float32, full_precision
from specvid.models.blocks.registry import register_block

METHODS = ("nmf", "vq", "cd")
_EPS = 1e-6


@register_block("hamburger", kind="long-range")
class Hamburger(LongRangeBlock):
    """A low-rank reconstruction of all positions, added to each; its cost is linear in N.

    Args:
        channels: C.
        dims: 1 (T), 2 (H, W) or 3 (T, H, W).
        mode: which positions share bases: ``st``, ``s`` or ``t``.
        reduction: C / D.
        inner: D, instead of the reduction.
        method: ``nmf``, ``vq`` or ``cd``.
        rank: R.
        steps: of the factorisation, in training.
        eval_steps: likewise, in eval mode.
        inv_t: inverse temperature of the softmax of ``vq`` and ``cd``.
        beta: of the ridge regression of ``cd``.
        sets: how many sets of bases to start from; samples take them in turn.
        redraw: start from new random bases at each step of training, as the authors do; else, and in eval mode, from
            those that are saved with the weights.
        bread: there are a lower convolution and, for ``nmf``, a ReLU.
        project: there is a W.
        residual: x is added.
        identity: W starts at 0.

    Raises:
        ValueError: options that are unknown or do not go together.
    """

    bases: Tensor

    def __init__(
        self,
        channels: int,
        *,
        dims: int = 3,
        mode: str = "st",
        reduction: int = 2,
        inner: int | None = None,
        method: str = "nmf",
        rank: int = 64,
        steps: int = 6,
        eval_steps: int = 7,
        inv_t: float = 1.0,
        beta: float = 0.1,
        sets: int = 1,
        redraw: bool = False,
        bread: bool = True,
        project: bool = True,
        residual: bool = True,
        identity: bool = True,
    ) -> None:
        width = inner_width("hamburger", channels, reduction, inner) if bread else channels
        super().__init__(
            channels,
            dims=dims,
            mode=mode,
            width=width,
            bias=False,
            project=project,
            residual=residual,
            identity=identity,
        )
        if method not in METHODS:
            raise unknown("method", method, METHODS)
        for name, value in (("rank", rank), ("sets", sets), ("steps", steps), ("eval_steps", eval_steps)):
            check_integer("hamburger", name, value)
        self.method, self.steps, self.eval_steps = method, steps, eval_steps
        self.inv_t, self.beta, self.redraw = inv_t, beta, redraw
        self.lower = Pointwise(channels, width, bias=True) if bread else None
        self.register_buffer("bases", self._draw(torch.empty(sets, width, rank)))

    def branch(self, x_bcn: Tensor, sizes: tuple[int, ...], mask_bn: Tensor | None) -> Tensor:
        """(B, C, N) -> (B, D, N)."""
        if self.lower is not None:
            x_bcn = self.lower(x_bcn)
            x_bcn = x_bcn.relu() if self.method == "nmf" else x_bcn
        if mask_bn is not None:
            x_bcn = x_bcn.masked_fill(~mask_bn.unsqueeze(1), 0)
        with full_precision(x_bcn):
            x_bdn = at_least_float32(x_bcn)
            seen_bn1 = None if mask_bn is None else mask_bn.unsqueeze(-1)
            with torch.no_grad():
                bases_bdr, codes_bnr = self._factorise(x_bdn, self._start(x_bdn), seen_bn1)
            codes_bnr = self._last(x_bdn, bases_bdr, codes_bnr, seen_bn1)
            return (bases_bdr @ codes_bnr.mT).to(x_bcn.dtype)

    def _draw(self, like: Tensor) -> Tensor:
        """Random bases of length 1 in the shape of a tensor (S, D, R), non-negative for ``nmf``."""
        drawn = torch.rand_like(like) if self.method == "nmf" else torch.randn_like(like)
        return F.normalize(drawn, dim=1)

    def _start(self, x_bdn: Tensor) -> Tensor:
        """The bases (B, D, R) that the factorisation starts from."""
        batch, sets = x_bdn.shape[0], self.bases.shape[0]
        bases = self.bases.to(x_bdn.dtype)
        if self.redraw and self.training:
            return self._draw(bases[:1].expand(batch, -1, -1))
        if sets == 1:
            return bases.expand(batch, -1, -1)
        if batch % sets:
            raise ValueError(f"sets={sets} of block 'hamburger' must divide the batch of {batch} graphs.")
        return bases.repeat(batch // sets, 1, 1)

    def _factorise(self, x: Tensor, bases: Tensor, seen: Tensor | None) -> tuple[Tensor, Tensor]:
        """Bases (B, D, R) and codes (B, N, R) after the steps."""
        codes = (x.mT @ bases).softmax(-1) if self.method == "nmf" else bases.new_empty(0)
        codes = codes if seen is None or self.method != "nmf" else codes * seen
        for _ in range(self.steps if self.training else self.eval_steps):
            if self.method == "nmf":
                codes = _update(codes, x, bases)
                bases = bases * (x @ codes) / (bases @ (codes.mT @ codes) + _EPS)
                continue
            unit = F.normalize(bases, dim=1) if self.method == "vq" else bases
            codes = (self.inv_t * F.normalize(x, dim=1).mT @ unit).softmax(-1)
            codes = codes if seen is None else codes * seen
            bases = x @ (codes / (_EPS + codes.sum(1, keepdim=True)))
            bases = bases if self.method == "vq" else F.normalize(bases, dim=1)
        return bases, codes

    def _last(self, x: Tensor, bases: Tensor, codes: Tensor, seen: Tensor | None) -> Tensor:
        """The codes (B, N, R) once more: the only step with a gradient."""
        if self.method == "nmf":
            return _update(codes, x, bases)
        if self.method == "cd":
            ridge = bases.mT @ bases + self.beta * torch.eye(bases.shape[2], dtype=x.dtype, device=x.device)
            return x.mT @ bases @ torch.linalg.inv(ridge)
        unit = x / (_EPS + x.detach().norm(dim=1, keepdim=True))
        codes = (self.inv_t * unit.mT @ F.normalize(bases, dim=1)).softmax(-1)
        return codes if seen is None else codes * seen


def _update(codes: Tensor, x: Tensor, bases: Tensor) -> Tensor:
    """A multiplicative update of codes (B, N, R)."""
    return codes * (x.mT @ bases) / (codes @ (bases.mT @ bases) + _EPS)
