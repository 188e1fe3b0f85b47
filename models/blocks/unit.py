"""The unit of a nonlocal block: one graph filter with its weights, its norm and its gate.

    y = x + gate · relu(norm( sum_k f_k(A) Z W_k )),   Z = g(x)          x, y (B, C, N), Z (B, D, N), W_k (D x C)

The gate is one number (``gating="scalar"``) or one a channel (``"channel"``), 0 at the start: the unit is exactly the
identity, and it learns, because the gate gets a gradient at once, and everything else as soon as the gate has moved.
``gating="norm"`` is the form of 1711.07971: no gate, but a norm whose weight starts there. Under a ReLU, as in SNL's
published code, that gives every parameter a gradient of exactly zero for ever, and is refused.
"""

from collections.abc import Sequence
from typing import cast

import torch
from torch import Tensor, nn

from specvid.errors import unknown
from specvid.models.blocks.filters.base import Filter
from specvid.models.blocks.gated import can_gate, can_shift, gated_norm, gated_shift_
from specvid.models.blocks.norms import NoNorm, Shift, make_norm
from specvid.models.blocks.operators import Operator
from specvid.models.blocks.pointwise import Pointwise
from specvid.models.blocks.precision import full_precision

GATINGS = ("scalar", "channel", "norm")


class Unit(nn.Module):
    """One filter with its weights: x + gate · relu(norm(sum_k f_k(A) g(x) W_k)).

    Args:
        channels: C, the channels of x.
        filter: the terms f_k.
        value: D, the channels of Z = g(x).
        norm: ``batch``, ``group`` (with ``groups`` groups) or ``none``.
        relu: apply a ReLU after the norm.
        gate: start value of the gate.
        gating: ``scalar`` (one gate), ``channel`` (C gates) or ``norm`` (the norm's weight is the gate).
        project: have weights W_k; without them D = C and the filter has one term.
        bias: g has a bias, and so has the sum of the W_k.
        groups: groups of the W_k and of the group norm.
        residual: add x.

    Raises:
        ValueError: ``groups`` does not divide C and D, ``project=False`` does not fit, the norm or the gating is
            unknown, or ``gating="norm"`` could not learn.
    """

    def __init__(
        self,
        channels: int,
        filter: Filter,
        *,
        value: int,
        norm: str = "batch",
        relu: bool = False,
        gate: float = 0.0,
        gating: str = "scalar",
        project: bool = True,
        bias: bool = False,
        groups: int = 1,
        residual: bool = True,
    ) -> None:
        super().__init__()
        if channels % groups or value % groups:
            raise ValueError(
                f"groups={groups} does not divide both the channels {channels} and the inner width {value}; choose a "
                "common divisor."
            )
        if not project and (value != channels or filter.terms != 1):
            raise ValueError(
                f"project=False needs one term of {channels} channels, not {filter.terms} of {value}; use project=True."
            )
        self.filter = filter
        self.g = Pointwise(channels, value, bias=bias)
        # The terms are added, so that one bias is enough.
        self.weights: Sequence[Pointwise] = nn.ModuleList(  # type: ignore[assignment]
            Pointwise(value, channels, bias=bias and k == 0, groups=groups)
            for k in range(filter.terms if project else 0)
        )
        self.norm = make_norm(norm, channels, groups)
        self.relu = relu
        self.gate: Tensor
        if gating == "norm":
            _start_norm(self.norm, float(gate), relu=relu)
            self.register_buffer("gate", torch.ones(1), persistent=False)
        elif gating in GATINGS:
            self.gate = nn.Parameter(torch.full((1 if gating == "scalar" else channels,), float(gate)))
        else:
            raise unknown("gating", gating, GATINGS)
        self.residual = residual

    @property
    def strength(self) -> nn.Parameter:
        """What multiplies the branch, learned: the gate (1,) or (C,), or the weight of the norm (C,)."""
        return self.gate if isinstance(self.gate, nn.Parameter) else cast(nn.Parameter, self.norm.weight)

    @torch.no_grad()
    def fold(self) -> bool:
        """Put norm and gate into the weights W_k, for inference alone: x ± relu(sum_k W'_k f_k(A) z + b').

        A ReLU is positively homogeneous, gate · relu(y) = sign(gate) · relu(|gate| · y), so that all but the sign goes
        through it.

        Returns:
            Whether it could be done: there are weights, and the norm is none or a batch norm with known statistics.
        """
        norm = self.norm
        if not len(self.weights) or not isinstance(norm, nn.BatchNorm1d | NoNorm):
            return False
        gate_c = self.gate.double().expand(self.weights[0].out_channels)
        factor_c, sign_c = (gate_c.abs(), gate_c.sign()) if self.relu else (gate_c, torch.ones_like(gate_c))
        scale_c, shift_c = factor_c, torch.zeros_like(factor_c)
        if isinstance(norm, nn.BatchNorm1d):
            if norm.running_mean is None or norm.running_var is None:
                return False
            scale_c = factor_c * norm.weight.double() * (norm.running_var.double() + norm.eps).rsqrt()
            shift_c = norm.bias.double() * factor_c - norm.running_mean.double() * scale_c
        if self.weights[0].bias is not None:
            shift_c = shift_c + self.weights[0].bias.double() * scale_c
        for weight in self.weights:
            weight.weight.copy_(weight.weight.double() * scale_c[:, None, None])
            weight.bias = None
        dtype = self.weights[0].weight.dtype
        self.norm = Shift(shift_c.to(dtype))
        sign_c = sign_c[:1] if bool((sign_c == sign_c[0]).all()) else sign_c
        del self.gate  # a parameter, and a buffer from here on
        self.register_buffer("gate", sign_c.to(dtype))
        return True

    def forward(self, x_bcn: Tensor, operator: Operator, mask_bn: Tensor | None = None) -> Tensor:
        """Filter the features with the affinity and add the result to them.

        Args:
            x_bcn: features (B, C, N).
            operator: the affinity A.
            mask_bn: (B, N) bool, True where a position is valid; the others pass unchanged.

        Returns:
            (B, C, N).
        """
        terms = self.filter(operator, self.g(operator.source(x_bcn), token_major=operator.token_major))
        if operator.wide:  # what grows with N would overflow in the product with the weights too
            with full_precision(x_bcn):
                y_bcn = self.project([term.to(self.gate.dtype) for term in terms])
        else:
            y_bcn = self.project(terms)
        return self.add(x_bcn, y_bcn, mask_bn)

    def project(self, terms: list[Tensor]) -> Tensor:
        """Weight and add the terms: sum_k W_k f_k(A) z.

        Args:
            terms: f_k(A) z, K tensors (B, D, N).

        Returns:
            (B, C, N).
        """
        if not len(self.weights):
            return terms[0]
        y_bcn = self.weights[0](terms[0])
        for weight, term in zip(self.weights[1:], terms[1:], strict=True):
            y_bcn = _add_product(y_bcn, weight, term)
        return y_bcn

    def add(self, x_bcn: Tensor, y_bcn: Tensor, mask_bn: Tensor | None) -> Tensor:
        """Add the filtered signal to the features: x + gate · relu(norm(y)).

        Args:
            x_bcn: features (B, C, N).
            y_bcn: what :meth:`project` gives, (B, C, N).
            mask_bn: as in :meth:`forward`.

        Returns:
            (B, C, N).
        """
        if self.residual and mask_bn is None and can_gate(x_bcn, y_bcn, self.norm, self.gate):
            return gated_norm(x_bcn, y_bcn, cast(nn.BatchNorm1d, self.norm), self.gate, relu=self.relu)
        if self.residual and mask_bn is None and len(self.weights) and can_shift(x_bcn, y_bcn, self.norm):
            return gated_shift_(x_bcn, y_bcn, cast(Shift, self.norm).bias, self.gate, relu=self.relu)
        y_bcn = self.finish(y_bcn, mask_bn)
        gate = self.gate.to(y_bcn.dtype)[:, None]
        if not self.residual:
            return y_bcn * gate
        if torch.compiler.is_compiling():  # one kernel anyway; PyTorch 2.6 exports no addcmul of any size
            return x_bcn + y_bcn * gate
        return torch.addcmul(x_bcn, y_bcn, gate)

    def finish(self, y_bcn: Tensor, mask_bn: Tensor | None) -> Tensor:
        """Apply norm and ReLU: relu(norm(y)).

        Args:
            y_bcn: what :meth:`project` gives, (B, C, N).
            mask_bn: as in :meth:`forward`; the statistics of training do not see positions outside it.

        Returns:
            (B, C, N), 0 outside the mask.

        Raises:
            ValueError: a norm that is synchronised between processes is trained with a mask.
        """
        if isinstance(self.norm, nn.SyncBatchNorm):  # what nn.SyncBatchNorm.convert_sync_batchnorm makes of ours
            if mask_bn is not None and self.training:
                raise ValueError(
                    "SyncBatchNorm counts positions outside the mask in its statistics: train with masks without "
                    "--sync-bn, or with norm='group' or norm='none' in the block."
                )
            y_bcn = self.norm(y_bcn) if mask_bn is None else self.norm(y_bcn) * mask_bn.unsqueeze(1)
        else:
            y_bcn = self.norm(y_bcn, mask_bn)
        return y_bcn.relu() if self.relu else y_bcn


def _start_norm(norm: nn.Module, weight: float, *, relu: bool) -> None:
    """Set the weight of a norm that is the gate."""
    if not isinstance(norm, nn.BatchNorm1d | nn.GroupNorm):
        raise ValueError("gating='norm' makes the weight of the norm the gate: use it with norm='batch' or 'group'.")
    if relu and not weight:
        raise ValueError(
            "gating='norm' with gate=0 under a ReLU never learns, for every gradient is 0: add relu=False, or start "
            "with another gate."
        )
    nn.init.constant_(norm.weight, weight)


def _add_product(y_bcn: Tensor, weight: nn.Module, term_bdn: Tensor) -> Tensor:
    """y + W term, in one product where W is not grouped."""
    if not isinstance(weight, Pointwise) or weight.groups > 1 or y_bcn.dtype != term_bdn.dtype:
        return y_bcn + weight(term_bdn)
    if torch.compiler.is_compiling():  # as for `addcmul`
        return y_bcn + weight.weight.squeeze(-1) @ term_bdn
    return torch.baddbmm(y_bcn, weight.weight.squeeze(-1).expand(y_bcn.shape[0], -1, -1), term_bdn)
