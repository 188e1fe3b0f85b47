"""Checkpoints that fit a backbone and were computed with other strides and pools: whose are they, and what follows?

The tensors of an I3D-ResNet are the same in every code base, and the logits are not. mmaction2's and SlowFast's names
distinguish them; others have torchvision's names, and must be named.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any

from torch import Tensor

from specvid.models.backbones.i3d_resnet import VARIANTS, set_variant
from specvid.models.weights.read import saved_config

if TYPE_CHECKING:
    from specvid.models.video_model import VideoModel

_NETWORKS = re.compile(r"i3d_r\d+")
_SOURCES = {
    "mmaction2": re.compile(r"(.*\.)?conv1\.conv\.weight"),
    "slowfast": re.compile(r"(.*\.)?s1\.(pathway0|s0)_stem\.conv\.weight"),
}
_OWN = re.compile(r"(.*\.)?backbone\.conv1\.weight")
_PLAIN = re.compile(r"(.*\.)?conv1\.weight")
_SHIFTED = re.compile(r"(.*\.)?layer\d\.\d+\.conv1\.(conv\.)?net\.weight")  # mmaction2's names; TSM's own


def find_variant(model: VideoModel, state: Mapping[str, Tensor], path: str | Path) -> tuple[str, str] | None:
    """The variant that computes what a checkpoint's own network did.

    Args:
        model: that the checkpoint is for.
        state: its tensors, under the names of the file.
        path: the file, for messages and for the model's configuration that our own files have.

    Returns:
        The variant of `VARIANTS` and its padding in time; None where the model computes so already: the checkpoint is
        of this model, of images, or of a backbone that has no variants.

    Raises:
        ValueError: the model was created with options that the checkpoint does not have, or the variant must be given.
    """
    config = model.config
    if not _NETWORKS.fullmatch(config["name"]):
        return None
    stems = [key for key, tensor in state.items() if tensor.ndim == 5 and tensor.shape[1] == 3]
    source = next((name for name, pattern in _SOURCES.items() if any(map(pattern.fullmatch, stems))), None)
    saved = saved_config(path)
    if source is not None:
        found = (source, VARIANTS[source].time_padding)
    elif saved is not None and saved.get("name") == config["name"] and saved.get("variant", "paper") in VARIANTS:
        found = _computation(saved)
    elif any(map(_PLAIN.fullmatch, stems)) and not any(map(_OWN.fullmatch, stems)) and "variant" not in config:
        raise ValueError(
            f"weights {str(path)!r} fit {config['name']!r}, and were trained on video by code that their names do not "
            "determine, with strides and pools in time of its own. Create the model with one of "
            + ", ".join(f"variant={name!r}" for name in VARIANTS)
            + f" (on the command line --model '{config['name']}(variant=...)')"
        )
    else:
        return None
    for option, theirs in zip(("variant", "time_padding"), found, strict=True):
        if config.get(option) not in (None, theirs):
            raise ValueError(
                f"weights {str(path)!r} are of an {config['name']} with {option}={theirs!r}, but the model was created "
                f"with {option}={config[option]!r}, which computes something else. Create it with {option}={theirs!r}, "
                "or leave that away"
            )
    return None if found == _computation(config) else found


def adopt_variant(model: VideoModel, variant: tuple[str, str]) -> str:
    """Make the model compute as the variant does, and record it in its configuration.

    Args:
        model: an I3D-ResNet.
        variant: from `find_variant`.

    Returns:
        A sentence for the report of loading.
    """
    name, padding = variant
    set_variant(model.backbone, name, padding)
    model.config |= {"variant": name, "time_padding": padding}
    changes = VARIANTS[name].input
    model.input = model.input.override({k: v for k, v in changes.items() if k not in model.config["input"]})
    return (
        f"computes with variant={name!r}, time_padding={padding!r}: strides, pools and padding of the weights' own code"
    )


def missing_shift(model: VideoModel, state: Mapping[str, Tensor]) -> tuple[str, ...]:
    """Say where weights were trained with a shift in time that the model does not have.

    Args:
        model: that the checkpoint is for.
        state: its tensors, under the names of the file.

    Returns:
        A sentence for the report of loading, or none.
    """
    if not _is_shifted(state) or _is_shifted(model.state_dict()) or "tsm" in model.config["blocks"]:
        return ()
    return (
        "these weights were trained with a shift in time (TSM), which this model does not have, so it gives other "
        "logits: create it with blocks='tsm@residual'",
    )


def _is_shifted(state: Mapping[str, Tensor]) -> bool:
    """Whether it is of a network whose convolutions are wrapped in a shift in time."""
    return any(_SHIFTED.fullmatch(name) for name in state)


def _computation(config: Mapping[str, Any]) -> tuple[str, str]:
    """Variant and padding in time of a model's configuration."""
    variant = str(config.get("variant") or "paper")
    return variant, str(config.get("time_padding") or VARIANTS[variant].time_padding)
