"""The backbones there are, with what they cost, the clips they are made for, and where weights come from."""

from __future__ import annotations

import difflib
import fnmatch
from collections.abc import Mapping
from dataclasses import dataclass

import torch

from specvid.models.backbones.registry import list_backbones
from specvid.models.cost import multiply_adds, parameters_of
from specvid.models.factory import VideoModel, create_model
from specvid.models.spec import InputSpec, Pretrained

SCHEMES = {
    "inflated": "any of torchvision's convolutional image networks as a video network, e.g. inflated:resnet50",
    "timm": "timm's image networks per frame, e.g. timm:vit_tiny_patch16_224; needs pip install 'specvid[timm]'",
    "mmaction": "mmaction2's backbones, e.g. mmaction:ResNet3d; needs pip install 'specvid[mmaction]'",
}
"""What may stand before the colon of a backbone's name (`specvid.models.backbones.registry.list_schemes`)."""


@dataclass(frozen=True)
class Entry:
    """One backbone: ``gmacs`` in 10^9 multiply-adds of one clip of ``input``; ``per_frame``: an image network;
    ``features``: length of its vector.
    """

    name: str
    per_frame: bool
    parameters: int
    gmacs: float
    features: int
    input: InputSpec
    pretrained: Mapping[str, Pretrained]


def matching(pattern: str) -> list[str]:
    """Names of backbones that ``pattern`` fits: with ``*``, ``?`` or ``[`` as a file name's, else as a part of them.

    ``ValueError`` where none does.
    """
    names = list_backbones()
    glob = pattern if any(sign in pattern for sign in "*?[") else f"*{pattern}*"
    found = [name for name in names if fnmatch.fnmatchcase(name, glob)]
    if not found:
        near = difflib.get_close_matches(pattern.strip("*"), names, n=3, cutoff=0.4)
        hint = f" Near it: {', '.join(near)}." if near else ""
        raise ValueError(
            f"pattern {pattern!r} fits none of the {len(names)} backbones.{hint} Without one, all are listed."
        )
    return found


def entry(name: str) -> Entry:
    """The backbone called ``name`` as a bare model, weighed without computing anything."""
    model = on_meta(name)
    return Entry(
        name=name,
        per_frame=model.dims == 2,
        parameters=parameters_of(model),
        gmacs=multiply_adds(model) / 1e9,
        features=model.embedding_dim,
        input=model.input,
        pretrained=model.pretrained,
    )


def on_meta(name: str, *, blocks: str = "", input: Mapping[str, object] | None = None) -> VideoModel:
    """A model without numbers, in eval mode. ``ValueError`` as `create_model`."""
    with without_numbers(name):
        return create_model(name, blocks=blocks, input=input).to("meta").eval()


def without_numbers(name: str) -> torch.device:
    """The device, as a context, on which a backbone called ``name`` is built at the least cost: meta, or the CPU where
    another library computes while it builds.
    """
    return torch.device("cpu" if ":" in name else "meta")


def clip_text(spec: InputSpec) -> str:
    """``16 x 112 x 112, every 2nd frame``"""
    height, width = spec.crop
    every = {1: "every frame", 2: "every 2nd frame", 3: "every 3rd frame"}.get(
        spec.stride, f"every {spec.stride}th frame"
    )
    return f"{spec.frames} x {height} x {width}, {every}"
