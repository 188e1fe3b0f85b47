"""Normalisation and sizes of a checkpoint, from its preprocessor config: JSON of transformers' processors.

A processor resizes, cuts out the centre, multiplies the values 0 to 255 by ``rescale_factor`` (and takes 1 off where it
has an ``offset``), and normalises. The last two together are one mean and std on values in [0, 1].
"""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

from specvid.reading import read_json

FILES = ("video_preprocessor_config.json", "preprocessor_config.json", "processor_config.json")
_INSIDE = ("video_processor", "image_processor")  # of processor_config.json


def read_preprocessing(folder: Path) -> tuple[Mapping[str, Any], str]:
    """The preprocessor config of a checkpoint.

    Args:
        folder: Of the checkpoint.

    Returns:
        The config and the name of its file; an empty one where there is none.

    Raises:
        ValueError: The file is damaged.
    """
    for name in FILES:
        if not (folder / name).is_file():
            continue
        content = read_json(folder / name)
        inside = next((content[key] for key in _INSIDE if isinstance(content.get(key), Mapping)), content)
        if "image_mean" in inside or "do_normalize" in inside or "size" in inside:
            return inside, name
    return {}, ""


def mean_and_std(config: Mapping[str, Any], *, offset: bool) -> tuple[tuple[float, ...], tuple[float, ...]] | None:
    """Normalisation of values in [0, 1] that does what a processor does with 0 to 255.

    Args:
        config: Of the processor.
        offset: Whether 1 is taken off where the config does not say so.

    Returns:
        Mean and std of the three channels; None where the config has neither.
    """
    if not config or ("image_mean" not in config and config.get("do_normalize", True)):
        return None
    mean, std = (0.0,) * 3, (1.0,) * 3
    if config.get("do_normalize", True):
        mean, std = _three(config["image_mean"]), _three(config["image_std"])
    rescales = config.get("do_rescale", True)
    scale = 255 * float(config.get("rescale_factor", 1 / 127.5 if offset else 1 / 255)) if rescales else 255.0
    off = 1.0 if rescales and config.get("offset", offset) else 0.0
    return tuple((one + off) / scale for one in mean), tuple(one / scale for one in std)


def sizes(config: Mapping[str, Any]) -> tuple[tuple[int, int], int | tuple[int, int]] | None:
    """The crop in px, (height, width), and what is resized before: the short side, or (height, width).

    Args:
        config: Of the processor.

    Returns:
        Both; None where the config names no size.
    """
    resize = _size(config.get("size")) if config.get("do_resize", True) else None
    crop = _size(config.get("crop_size")) if config.get("do_center_crop", "crop_size" in config) else None
    if crop is None:
        crop = resize
    if crop is None:
        return None
    height, width = (crop, crop) if isinstance(crop, int) else crop
    return (height, width), (min(height, width) if resize is None else resize)


def _size(value: Any) -> int | tuple[int, int] | None:
    if isinstance(value, Mapping):
        if "height" in value and "width" in value:
            return int(value["height"]), int(value["width"])
        value = value.get("shortest_edge")
    return None if value is None else int(value)


def _three(value: Any) -> tuple[float, float, float]:
    red, green, blue = (float(value),) * 3 if isinstance(value, int | float) else map(float, value)
    return red, green, blue
