"""The list of backbones, blocks and parts as it is checked in: read at once, without torch, without building networks.

``table.json`` is written by ``python -m specvid.tools.docs.backbones`` and compared with the networks by a test.
"""

from __future__ import annotations

import difflib
import fnmatch
import json
from collections.abc import Mapping
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from typing import Any

from specvid.modality import DESCRIPTIONS
from specvid.models.spec import InputSpec, Pretrained

FILE = Path(__file__).with_name("table.json")

SCHEMES = {
    "inflated": "any of torchvision's convolutional image networks as a video network, e.g. inflated:resnet50",
    "timm": "timm's image networks per frame, e.g. timm:vit_tiny_patch16_224; needs pip install 'specvid[timm]'",
    "clip": "open_clip's models per frame, clip:FOLDER, clip:owner/name or clip:ViT-B-32/TAG; with their text tower",
    "hf": "transformers' encoders, hf:FOLDER or hf:owner/name with its weights; needs pip install 'specvid[hf]'",
    "mmaction": "mmaction2's backbones, e.g. 'mmaction:ResNet3d(depth=18)'; needs pip install 'specvid[mmaction]'",
}
"""What may stand before the colon of a backbone's name (`specvid.models.backbones.registry.list_schemes`)."""


@dataclass(frozen=True)
class BackboneInfo:
    """One backbone.

    Attributes:
        name: For `specvid.create_model`.
        per_frame: Whether it is an image network.
        parameters: Of the bare backbone.
        gmacs: 10^9 multiply-adds of one clip of ``input``.
        features: Length of the vector that the head gets.
        input: The clips it is made for.
        pretrained: Published weights by name.
    """

    name: str
    per_frame: bool
    parameters: int
    gmacs: float
    features: int
    input: InputSpec
    pretrained: Mapping[str, Pretrained]


@dataclass(frozen=True)
class Table:
    """All that `specvid models` lists.

    Attributes:
        backbones: By name, sorted.
        blocks: Names of the blocks.
        parts: Names of the other parts that can be inserted.
        convolutions: Names of what can replace convolutions.
    """

    backbones: Mapping[str, BackboneInfo]
    blocks: tuple[str, ...]
    parts: tuple[str, ...]
    convolutions: tuple[str, ...]


@cache
def read_table() -> Table:
    """Read the checked-in table.

    Returns:
        The table.
    """
    content = json.loads(FILE.read_text(encoding="utf-8"))
    backbones = {entry["name"]: _entry(entry) for entry in content["backbones"]}
    return Table(backbones, *(tuple(content[kind]) for kind in ("blocks", "parts", "convolutions")))


def _entry(entry: Mapping[str, Any]) -> BackboneInfo:
    pretrained = {name: Pretrained(**weights) for name, weights in entry["pretrained"].items()}
    return BackboneInfo(**{**entry, "input": InputSpec(**entry["input"]), "pretrained": pretrained})


def match_backbones(pattern: str) -> list[str]:
    """Names of the backbones that fit a pattern.

    Args:
        pattern: With ``*``, ``?`` or ``[`` as for file names, else a part of the name.

    Returns:
        The names, sorted.

    Raises:
        ValueError: No backbone fits.
    """
    names = list(read_table().backbones)
    glob = pattern if any(sign in pattern for sign in "*?[") else f"*{pattern}*"
    found = [name for name in names if fnmatch.fnmatchcase(name, glob)]
    if not found:
        near = difflib.get_close_matches(pattern.strip("*"), names, n=3, cutoff=0.4)
        hint = f" Near it: {', '.join(near)}." if near else ""
        raise ValueError(
            f"pattern {pattern!r} fits none of the {len(names)} backbones.{hint} Without one, all are listed."
        )
    return found


def clip_text(spec: InputSpec) -> str:
    """The clips of an input in words.

    Args:
        spec: The clips.

    Returns:
        E.g. ``16 x 112 x 112, every 2nd frame``: frames, height and width in px, stride, and what is seen, if not RGB.
    """
    height, width = spec.crop
    every = {1: "every frame", 2: "every 2nd frame", 3: "every 3rd frame"}.get(
        spec.stride, f"every {spec.stride}th frame"
    )
    seen = "" if spec.modality == "rgb" else f", {DESCRIPTIONS[spec.modality]}"
    return f"{spec.frames} x {height} x {width}, {every}{seen}"
