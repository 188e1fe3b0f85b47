"""``clip:NAME``: the image tower of one of open_clip's models -> `Backbone`, with its text tower beside it."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from typing import Any

import torch
from torch import nn

from specvid.errors import unknown
from specvid.extras import require
from specvid.models.backbones.clip.folder import build_towers, find_clip, load_towers
from specvid.models.backbones.clip.images import take_images
from specvid.models.backbones.registry import register_scheme
from specvid.models.spec import Backbone, BackboneConfig, InputSpec, OwnWeights
from specvid.models.text_tower import TextTower

EXTRA = "hf"
IMAGES = "images"  # the name of an image tower alone, in the config of a run
_OPTIONS = ("image_size",)
_MEAN, _STD = (0.48145466, 0.4578275, 0.40821073), (0.26862954, 0.26130258, 0.27577711)  # OpenAI's
_TEXT = {"context_length": 4, "vocab_size": 8, "width": 8, "heads": 1, "layers": 1}  # of the tower that is left out


@register_scheme("clip")
def build_clip(name: str, /, **options: Any) -> Backbone:
    """Build the image tower of one of open_clip's models (CLIP, SigLIP); it runs per frame.

    The vector of a frame is what ``encode_image`` gives, that of a clip their mean.

    Args:
        name: A folder with open_clip_config.json, ``owner/name`` on the Hub, or ``ARCHITECTURE/TAG`` of open_clip's
            published weights: with weights and text tower. ``ARCHITECTURE`` alone is randomly initialised, and
            ``images`` is an image tower by its options, which is what such a backbone is called in the config of a run.
        **options: ``image_size``: side of the frames in px, where not the model's own. Of ``images`` also
            ``embed_dim``, ``quick_gelu`` and ``vision``, open_clip's ``vision_cfg``.

    Returns:
        The backbone.

    Raises:
        ValueError: There is no such model, an option is unknown, weights do not fit, or open_clip is not installed.
    """
    what = f"backbone 'clip:{name}'"
    open_clip = require("open_clip", extra=EXTRA, what=what)
    if name == IMAGES:
        return _images_alone(options, what)
    for option in options:
        if option not in _OPTIONS:
            raise unknown(f"option of {what}:", option, _OPTIONS)
    source = find_clip(open_clip, name, what)
    config = {**source.model, "vision_cfg": {**(source.model.get("vision_cfg") or {}), **options}}
    with torch.device("cpu"):
        network = build_towers(config, what)
        if source.weights is not None:
            load_towers(network, source.weights, what)
    spec = _input(network.visual, source.images, what)
    backbone = _backbone(network.visual, spec, config["embed_dim"], what)
    network.visual = nn.Identity()  # the text tower needs none
    bias = network.logit_bias
    text = TextTower(
        network,
        source.tokenizer,
        scale=float(network.logit_scale.detach().exp()),
        bias=0.0 if bias is None else float(bias.detach()),
    )
    vision = {key: value for key, value in config["vision_cfg"].items() if value is not None}
    if "timm_model_name" in vision:  # without the tag of timm's weights, which says nothing of the layers
        vision["timm_model_name"] = str(vision["timm_model_name"]).partition(".")[0]
    again: dict[str, Any] = {"embed_dim": config["embed_dim"], "vision": vision}
    if config.get("quick_gelu"):
        again["quick_gelu"] = True
    return replace(
        backbone,
        text=text,
        own=None if source.weights is None else OwnWeights(name),
        config=BackboneConfig(f"clip:{IMAGES}", again, {"resize": spec.resize, "mean": spec.mean, "std": spec.std}),
    )


def _images_alone(options: Mapping[str, Any], what: str) -> Backbone:
    known = ("embed_dim", "vision", "quick_gelu", *_OPTIONS)
    for option in options:
        if option not in known:
            raise unknown(f"option of {what}:", option, known)
    if not isinstance(options.get("vision"), Mapping) or not isinstance(options.get("embed_dim"), int):
        raise ValueError(f"{what} needs embed_dim=... and vision=..., open_clip's vision_cfg, of the image tower")
    changes = {key: options[key] for key in _OPTIONS if key in options}
    config = {
        "embed_dim": options["embed_dim"],
        "vision_cfg": {**options["vision"], **changes},
        "text_cfg": _TEXT,
        "quick_gelu": bool(options.get("quick_gelu", False)),
    }
    with torch.device("cpu"):
        visual = build_towers(config, what).visual
    return _backbone(visual, _input(visual, {}, what), options["embed_dim"], what)


def _backbone(visual: nn.Module, spec: InputSpec, width: int, what: str) -> Backbone:
    return Backbone(
        **take_images(visual.train(), spec.crop, what), input=spec, dims=2, tail_dim=width, fixed={"size": "image_size"}
    )


def _input(visual: Any, images: Mapping[str, Any], what: str) -> InputSpec:
    """The frames of a model: of the size of its image tower, prepared as its config says."""
    built = visual.image_size
    height, width = (built, built) if isinstance(built, int) else (int(built[0]), int(built[1]))
    mode = images.get("resize_mode") or "shortest"
    if mode not in ("shortest", "squash"):
        raise ValueError(f"{what}: images resized by {mode!r} are not supported: shortest and squash are")
    return InputSpec(
        frames=8,
        stride=8,
        size=height if height == width else (height, width),
        resize=(height, width) if mode == "squash" else min(height, width),
        mean=tuple(images.get("mean") or _MEAN),
        std=tuple(images.get("std") or _STD),
    )
