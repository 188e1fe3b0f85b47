"""timm's image networks per frame: ``timm:resnet18``, ``timm:vit_tiny_patch16_224``. The extra ``specvid[timm]``.

The features are those of timm's ``forward_features``, and what timm does between them and its classifier
(``forward_head`` without its last layer) stays as it is, so that logits are timm's own. Where blocks can stand:

- in a network of nothing but convolutions and their norms: anywhere;
- in a ViT (tokens on one grid): before and after blocks and their parts;
- in any other (Swin, ConvNeXt, MaxViT, ...): before and after whole stages and blocks. Whether features lie channels
  first or last there is seen from their shape, on square images, where only one of both can be.
"""

from __future__ import annotations

import math
import re
from collections.abc import Mapping
from typing import Any

import torch
from torch import Tensor, nn

from specvid.errors import nearest
from specvid.extras import require
from specvid.models.backbones.registry import register_scheme
from specvid.models.backbones.torchvision_video import RES_STAGES
from specvid.models.formats import FIRST, LAST, TOKENS, FeatureFormat, FormatRule
from specvid.models.insertion.places import Call, trace
from specvid.models.spec import IMAGENET_MEAN, IMAGENET_STD, Backbone, InputSpec, Pretrained

_SPATIAL = (nn.Conv2d, nn.modules.batchnorm._BatchNorm, nn.GroupNorm, nn.PReLU)
_MODULE = re.compile(r"(stem|stages|layers|blocks|features)(\.\d+)*(\.blocks(\.\d+)?)?")


class TimmTail(nn.Module):
    """timm's ``forward_head`` up to the classifier: features as the network gives them -> (N, E).

    Args:
        network: timm's network, whose layers it takes.
    """

    network: Any

    def __init__(self, network: nn.Module) -> None:
        super().__init__()
        self.__dict__["network"] = network  # its parameters are the backbone's, not ours too

    def forward(self, x: Tensor) -> Tensor:
        return type(self.network).forward_head(self.network, x, pre_logits=True)


def _as_it_is(x: Tensor, pre_logits: bool = False) -> Tensor:
    return x


@register_scheme("timm")
def build_timm(name: str, /, **options: Any) -> Backbone:
    """Build one of timm's image networks without its classifier.

    Args:
        name: timm's name.
        **options: Options of ``timm.create_model`` for it.

    Returns:
        The backbone, randomly initialised; it runs per frame.

    Raises:
        ValueError: The name is unknown, an option is refused, the network cannot be traced, or timm is not installed.
    """
    what = f"backbone 'timm:{name}'"
    timm = require("timm", extra="timm", what=what)
    if not timm.is_model(name):
        raise ValueError(
            f"{what} is unknown.{nearest(name, timm.list_models())} timm.list_models() lists all, also by a pattern."
        )
    for option in ("num_classes", "global_pool", "features_only", "pretrained", "checkpoint_path"):
        if option in options:
            raise ValueError(
                f"option {option!r} of {what} is not timm's to decide here: create_model has num_classes=..., "
                "pooling=... and weights='DEFAULT'"
            )
    try:
        network = timm.create_model(name, num_classes=0, **options)
    except (TypeError, ValueError, AssertionError) as error:
        raise ValueError(f"{what}: timm refuses the options {options}: {error}") from error
    metadata = network.pretrained_cfg
    spec = _input(metadata, options.get("img_size"))
    described = describe_timm(network, spec.crop, what)
    tail = TimmTail(network)
    with torch.no_grad():
        vector = tail(torch.zeros(1, *described.pop("shape")[1:]))
    classifier = metadata.get("classifier")
    return Backbone(
        **described,
        input=spec,
        dims=2,
        classifier=classifier if isinstance(classifier, str) else "head",
        pretrained=_pretrained(metadata),
        tail=tail,
        fixed={"size": "img_size"} if getattr(getattr(network, "patch_embed", None), "strict_img_size", False) else {},
        tail_dim=vector.shape[1],
    )


def describe_timm(network: Any, size: tuple[int, int], what: str) -> dict[str, Any]:
    """What a backbone of timm's network must know of its features; the network then ends with them.

    Args:
        network: timm's; what its class does behind the features (``forward_head``) becomes a tail's.
        size: Height and width of the images, px.
        what: The backbone, to begin a message with.

    Returns:
        Arguments of `Backbone`: module, feature_dim, aliases, formats and output_format; and ``shape``, of its output.

    Raises:
        ValueError: The network cannot be traced, or its features are neither a map nor tokens.
    """
    network.forward_head = _as_it_is  # of this one network; the tail runs the class's own
    try:
        calls = trace(network.eval(), (2, 3, *size))
    except (RuntimeError, ValueError, TypeError, AssertionError) as error:
        raise ValueError(f"{what} cannot be run for its shapes without data ({str(error).splitlines()[0]})") from error
    output, rules = _formats(network, calls, what)
    shape = calls[""].output
    assert shape is not None
    return {
        "module": network.train(),
        "feature_dim": shape[1] if output is FIRST else shape[-1],
        "aliases": {name: path for name, path in RES_STAGES.items() if hasattr(network, path)},
        "formats": rules,
        "output_format": output,
        "shape": shape,
    }


def _formats(network: nn.Module, calls: Mapping[str, Call], what: str) -> tuple[FeatureFormat, tuple[FormatRule, ...]]:
    """How the features lie at the end, and the rules for the places inside."""
    shape = calls[""].output
    prefix, grid = _tokens(network)
    if grid is not None and shape is not None and len(shape) == 3 and shape[1] == prefix + math.prod(grid):
        return _vit(network, FeatureFormat(TOKENS, prefix=prefix, grid=grid))
    output = _seen(shape)
    if output is None:
        raise ValueError(
            f"{what} gives features of shape {shape}, neither a map nor the tokens of one grid: it is not supported. "
            "Convolutional networks, ViTs and Swins are"
        )
    if all(
        isinstance(module, _SPATIAL) for module in network.modules() if next(module.parameters(False), None) is not None
    ):
        return output, ()
    rules: list[FormatRule] = []
    for path, call in calls.items():
        if _MODULE.fullmatch(path) and call.calls == 1:
            for place, seen in ((path, _seen(call.input)), (f"{path}.end", _seen(call.output))):
                why = f"features of shape {call.input} -> {call.output} could lie either way there"
                rules.append(FormatRule(re.escape(place), seen, why))
    why = "in this network the format of features is known only before and after whole stages and blocks"
    return output, (*rules, FormatRule(".*", None, why))


def _vit(network: nn.Module, tokens: FeatureFormat) -> tuple[FeatureFormat, tuple[FormatRule, ...]]:
    rules = [FormatRule(r"patch_embed(\.proj(\.end)?)?", FIRST)]
    blocks = getattr(network, "blocks", None)
    if getattr(network, "global_pool", "") == "token" and isinstance(blocks, nn.Sequential):
        last = len(blocks) - 1
        why = "what comes after it reads the class token alone; put it before"
        rules.append(FormatRule(rf"blocks\.{last}\.(?!(norm1|attn)$).*|norm\b.*|fc_norm\b.*", None, why))
    return tokens, (*rules, FormatRule(".*", tokens))


def _tokens(network: nn.Module) -> tuple[int, tuple[int, int] | None]:
    grid = getattr(getattr(network, "patch_embed", None), "grid_size", None)
    return getattr(network, "num_prefix_tokens", 0), tuple(grid) if grid is not None else None


def _seen(shape: tuple[int, ...] | None) -> FeatureFormat | None:
    """The format of a map of a square image: the two sides of space are equal, and unequal to the channels."""
    if shape is None or len(shape) != 4 or (shape[1] == shape[2] == shape[3]):
        return None
    return FIRST if shape[2] == shape[3] else LAST if shape[1] == shape[2] else None


def _input(metadata: Mapping[str, Any], size: int | tuple[int, int] | None) -> InputSpec:
    own = tuple(metadata.get("input_size", (3, 224, 224))[1:])
    height, width = own if size is None else (size, size) if isinstance(size, int) else tuple(size)
    resize = math.floor(min(height, width) / metadata.get("crop_pct", 0.875))
    return InputSpec(
        frames=8,
        stride=8,
        size=height if height == width else (height, width),
        resize=resize,
        mean=tuple(metadata.get("mean", IMAGENET_MEAN)),
        std=tuple(metadata.get("std", IMAGENET_STD)),
    )


def _pretrained(metadata: Mapping[str, Any]) -> dict[str, Pretrained]:
    """timm's own weights for this name, under timm's tag; safetensors from the hub where they lie there."""
    hub, url = metadata.get("hf_hub_id"), metadata.get("url")
    if hub:
        url = f"https://huggingface.co/{hub}/resolve/main/model.safetensors"
    if not url:
        return {}
    tag, licence = metadata.get("tag") or "default", metadata.get("license") or "not stated; see timm's model card"
    return {tag: Pretrained(url, data=f"as timm's tag {tag!r} says", licence=licence)}
