"""The one compiled operator among mmaction2's backbones, TIN's shift along time, in plain torch.

mmcv-lite, which installs everywhere, lacks it, and mmcv's own runs on CUDA alone.
"""

from __future__ import annotations

import importlib.util

import torch
from torch import Tensor


def tin_shift(x_ntcp: Tensor, shift_ng: Tensor) -> Tensor:
    """Move groups of channels by whole frames: ``y[n, t + shift[n, g], c] = x[n, t, c]``, c of group g.

    Args:
        x_ntcp: (N, T, C, H·W), C a multiple of the groups.
        shift_ng: Whole numbers of frames, (N, groups).

    Returns:
        (N, T, C, H·W); zeros where nothing arrives.
    """
    frames, channels = x_ntcp.shape[1], x_ntcp.shape[2]
    shift_nc = shift_ng.repeat_interleave(channels // shift_ng.shape[1], dim=1).long()
    source_ntc = torch.arange(frames, device=x_ntcp.device)[None, :, None] - shift_nc[:, None]
    real_ntc = (source_ntc >= 0) & (source_ntc < frames)
    y_ntcp = x_ntcp.gather(1, source_ntc.clamp(0, frames - 1)[..., None].expand_as(x_ntcp))
    return y_ntcp * real_ntc[..., None]


def linear_sampler(data: Tensor, offset: Tensor) -> Tensor:
    """Move groups of channels by fractional numbers of frames, linearly interpolated.

    Args:
        data: (N, T, C, H, W).
        offset: Frames, (N, groups).

    Returns:
        (N, T, C, H, W).
    """
    x_ntcp = data.flatten(3)
    before_ng = offset.floor()
    share_nc = (offset - before_ng).repeat_interleave(data.shape[2] // offset.shape[1], dim=1)[:, None, :, None]
    before, after = tin_shift(x_ntcp, before_ng), tin_shift(x_ntcp, before_ng + 1)
    return ((1 - share_nc) * before + share_nc * after).view_as(data)


def make_tin_run() -> None:
    """Give mmaction2's TIN this `linear_sampler` where mmcv has no compiled operators; else it cannot run at all."""
    if importlib.util.find_spec("mmcv._ext") is None:
        from mmaction.models.backbones import resnet_tin

        resnet_tin.linear_sampler = linear_sampler
