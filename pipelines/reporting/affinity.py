"""What a block looks at: rows of its affinity for a clip, as small as a page needs them, its spectrum and its response.

Rows are averaged over cells of the feature map, as many of them as the budget of bytes allows, and rounded to 256 steps
between 0 and their largest value: a picture, not a measurement.
"""

import base64
from dataclasses import dataclass
from typing import Any

import numpy as np
import torch
from torch import Tensor, nn

from specvid.models.blocks.factorised import Factorised
from specvid.models.blocks.operators import Factored
from specvid.models.insertion.inserted_block import InsertedBlock
from specvid.models.video_model import VideoModel
from specvid.pipelines.reporting.pictures import side_by_side

_MOST_FRAMES = 16  # of a clip in a page
_DENSE_SPECTRUM = 2048  # positions up to which the eigenvalues of a matrix that is not of low rank are computed
_EIGENVALUES = 64
_POSITIONS = 128  # rows computed at a time
_HEIGHT, _WIDTH = 128, 128


@dataclass(frozen=True)
class ClipInput:
    """A clip as the network gets it.

    Attributes:
        title: what it is.
        video: (3, T, H, W) float32, normalised.
        mask: (T,) bool; None where all frames count.
        mean: of the channels.
        std: of the channels.
        name: of its file or tracklet.
    """

    title: str
    video: Tensor
    mask: Tensor | None
    mean: tuple[float, ...]
    std: tuple[float, ...]
    name: str = ""


def blocks_of(model: nn.Module) -> dict[str, InsertedBlock]:
    """The inserted blocks that have parameters, by their places.

    Args:
        model: the network.
    """
    return {
        path: module
        for path, module in model.named_modules()
        if isinstance(module, InsertedBlock) and any(True for _ in module.parameters())
    }


@torch.no_grad()
def inputs_of_blocks(model: VideoModel, clip: ClipInput) -> dict[str, tuple[Tensor, Tensor | None]]:
    """Run a clip, and take what each block gets of it.

    Args:
        model: in eval mode.
        clip: the clip.

    Returns:
        Features and mask by the places of the blocks.
    """
    seen: dict[str, tuple[Tensor, Tensor | None]] = {}
    hooks = []
    for path, inserted in blocks_of(model).items():

        def note(_: nn.Module, args: tuple[Any, ...], path: str = path) -> None:
            seen[path] = args[0].detach(), args[1] if len(args) > 1 else None

        hooks.append(inserted.block.register_forward_pre_hook(note))
    try:
        mask = None if clip.mask is None or model.dims == 3 or bool(clip.mask.all()) else clip.mask[None]
        model(clip.video[None], mask)
    finally:
        for hook in hooks:
            hook.remove()
    return seen


@torch.no_grad()
def affinity_map(block: nn.Module, x: Tensor, mask: Tensor | None, *, size: int) -> dict[str, Any]:
    """The rows of a block's affinity, from and to the cells of a grid over the feature map.

    Args:
        block: with ``affinity_rows``.
        x: what it gets of a clip: (1, C, T, H, W), or (T, C, H, W) where it works on single frames.
        mask: as the block takes it.
        size: of the rows in the page, bytes.

    Returns:
        ``grid``: (T, H, W) of the feature map; ``cells``: of the grid; ``rows``: base64 of uint8, a row of cells for
        each cell; ``low`` and ``high``: the values of 0 and 255 in each row.

    Raises:
        ValueError: the block relates other things than positions of the map.
    """
    grid = (x.shape[0], *x.shape[2:]) if x.dim() == 4 else tuple(x.shape[2:])
    if len(grid) != 3:
        raise ValueError(f"features of shape {tuple(x.shape)} are no frames")
    cells = _cells(grid, size)
    centres = [((torch.arange(n) + 0.5) * total / n).long() for n, total in zip(cells, grid, strict=True)]
    positions = torch.cartesian_prod(*centres)
    parts = []
    for some in positions.split(_POSITIONS):
        full = _rows(block, x, mask, some, grid)
        parts.append(nn.functional.adaptive_avg_pool3d(full.float()[:, None], cells).flatten(1))
    rows = torch.cat(parts).numpy()
    low, high = np.minimum(rows.min(axis=1), 0), rows.max(axis=1)
    scale = np.where(high > low, high - low, 1)
    steps = np.round((rows - low[:, None]) / scale[:, None] * 255).astype(np.uint8)
    encoded = base64.b64encode(steps.tobytes()).decode()
    return {"grid": grid, "cells": cells, "rows": encoded, "low": low.tolist(), "high": (low + scale).tolist()}


@torch.no_grad()
def largest_eigenvalues(block: Any, x: Tensor, mask: Tensor | None) -> list[float]:
    """The eigenvalues of a block's affinity that are farthest from 0.

    They are magnitudes where they are complex, and means over several graphs.

    Args:
        block: with ``spectrum``.
        x: what it gets of a clip.
        mask: as the block takes it.

    Returns:
        At most 64 of them, the largest first and negative ones last; of a block over time and then space, those
        over space.

    Raises:
        ValueError: they would take too long.
    """
    block = block.spatial if isinstance(block, Factorised) else block
    operator = block.operator(x, mask)
    positions = x[0, 0].numel()
    if not isinstance(operator, Factored) and positions > _DENSE_SPECTRUM:
        raise ValueError(f"the spectrum of {positions:,} positions takes too long where A is not of low rank")
    values = operator.spectrum()
    values = values.abs() if values.is_complex() else values
    values = values.flatten(0, -2).mean(dim=0)
    farthest = values.abs().argsort(descending=True)[:_EIGENVALUES]
    return values[farthest].sort(descending=True).values.tolist()


def frames_of_clip(clip: ClipInput, count: int) -> dict[str, Any]:
    """Frames of a clip as the network sees them, side by side, one for each frame of a feature map.

    Args:
        clip: the clip.
        count: how many.

    Returns:
        As `specvid.pipelines.reporting.pictures.Pictures.clip`.
    """
    numbers = ((torch.arange(count) + 0.5) * clip.video.shape[1] / count).long()
    shape = (-1, 1, 1, 1)
    video = clip.video[:, numbers] * torch.tensor(clip.std).view(shape) + torch.tensor(clip.mean).view(shape)
    if video.shape[0] != 3:  # motion: its strength, in grey
        video = (video - video.mean()).abs().mean(dim=0, keepdim=True).expand(3, -1, -1, -1)
        video = video / video.max().clamp(min=1e-6)
    frames = (video.clamp(0, 1) * 255).byte().permute(1, 2, 3, 0).contiguous().numpy()
    data, width, height = side_by_side(list(frames), height=_HEIGHT, width=_WIDTH, quality=75)
    address = f"data:image/webp;base64,{base64.b64encode(data).decode()}"
    return {"u": address, "n": count, "w": width, "h": height}


def _cells(grid: tuple[int, ...], size: int) -> tuple[int, int, int]:
    """A grid with at most ``size`` pairs of cells."""
    most = max(8.0, (0.75 * size) ** 0.5)  # base64 takes a third more
    frames, height, width = min(grid[0], _MOST_FRAMES), grid[1], grid[2]
    shrink = min(1.0, (most / (frames * height * width)) ** 0.5)
    return frames, max(1, int(height * shrink)), max(1, int(width * shrink))


def _rows(block: Any, x: Tensor, mask: Tensor | None, positions: Tensor, grid: tuple[int, ...]) -> Tensor:
    """(P, T, H, W): what each of the positions (P, 3) attends to in the feature map."""
    frames, height, width = grid
    time, place = positions[:, 0], positions[:, 1] * width + positions[:, 2]
    is_factorised = isinstance(block, Factorised)
    mode = "s" if x.dim() == 4 else "st" if is_factorised else block.mode
    inside = {"st": time * height * width + place, "s": place, "t": time}[mode]
    rows = block.affinity_rows(x, inside) if x.dim() == 4 else block.affinity_rows(x, inside, mask)
    if rows.dim() != 3:
        raise ValueError("its affinity relates channels too, not positions alone")
    each = torch.arange(len(positions))
    if mode == "t":
        full = torch.zeros(len(positions), frames, height * width)
        full[each, :, place] = rows[place, each].float()
        return full.reshape(-1, *grid)
    own = rows[0] if mode == "st" else rows[time, each]
    sizes = (frames, height, width) if mode == "st" else (1, height, width)
    pooled = (sizes[0], height // 2, width // 2)
    if own.shape[1] == np.prod(sizes):
        own = own.reshape(-1, *sizes)
    elif own.shape[1] == np.prod(pooled):  # keys are pooled over space
        own = nn.functional.interpolate(own.reshape(-1, 1, *pooled).float(), size=sizes, mode="nearest")[:, 0]
    else:
        raise ValueError(f"its rows have {own.shape[1]} entries, which are not the positions of {sizes}")
    if mode == "st":
        return own
    full = torch.zeros(len(positions), *grid)
    full[each, time] = own[:, 0].float()
    return full
