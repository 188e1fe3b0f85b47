"""torchvision's image networks, run on each frame of a clip; inserted blocks see all frames together.

One table: name -> family. A family knows which children of torchvision's network make its features, what comes between
these and the classifier, and whether it can be inflated to 3D (`specvid.models.backbones.inflated`).
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor, nn

from specvid.models.backbones.registry import register_backbone
from specvid.models.backbones.torchvision_video import RES_STAGES
from specvid.models.backbones.torchvision_weights import image_input, on_cpu_at_least, torchvision_weights
from specvid.models.formats import FormatRule
from specvid.models.spec import Backbone, stack

RESNETS = ("conv1", "bn1", "relu", "maxpool", "layer1", "layer2", "layer3", "layer4")


class PooledTail(nn.Module):
    """Mean over space, then ``layers``, child ``name`` of this module, so that their parameters keep published names.

    (N, C, H, W) -> (N, E), and of an inflated network (B, C, T, H, W) -> (B, E, T).

    Args:
        name: Of the child.
        layers: What follows the mean.
        keep_space: Whether the layers want (N, C, 1, 1) instead of (N, C).
    """

    def __init__(self, name: str, layers: nn.Sequential, *, keep_space: bool = False) -> None:
        super().__init__()
        self.name, self.keep_space = name, keep_space
        self.add_module(name, layers)

    def forward(self, x: Tensor) -> Tensor:
        layers = self.get_submodule(self.name)
        if x.ndim == 5:
            return layers(x.mean((3, 4)).transpose(1, 2)).transpose(1, 2)
        return layers(x.mean((2, 3), keepdim=self.keep_space)).flatten(1)


@dataclass(frozen=True)
class Family:
    """How the image networks of one paper become backbones.

    Attributes:
        paper: Where they come from.
        make: torchvision's network -> the arguments of its `Backbone`, without ``input`` and ``pretrained``.
        last_stride: The layers that halve the resolution for the last time, where this can be left out.
        inflates: Whether they consist of convolutions, norms, pooling and elementwise functions alone.
    """

    paper: str
    make: Callable[[Any], dict[str, object]]
    last_stride: Callable[[Any], list[Any]] | None = None
    inflates: bool = True


def _resnet(network: Any) -> dict[str, object]:
    return {"module": stack(network, *RESNETS), "feature_dim": network.fc.in_features, "aliases": RES_STAGES}


def _features(network: Any) -> dict[str, object]:
    """Features and one linear classifier behind a dropout: MobileNetV2, EfficientNets."""
    network.to(memory_format=torch.channels_last)  # depthwise convolutions train 1.4x as fast on a CPU
    classifier = network.classifier
    return {
        "module": stack(network, "features"),
        "feature_dim": classifier[-1].in_features,
        "classifier": f"classifier.{len(classifier) - 1}",
    }


def _mobilenet_v3(network: Any) -> dict[str, object]:
    network.to(memory_format=torch.channels_last)
    hidden = network.classifier[0]
    return {
        "module": stack(network, "features"),
        "feature_dim": hidden.in_features,
        "classifier": "classifier.3",
        "tail": PooledTail("classifier", network.classifier[:2]),
        "tail_dim": hidden.out_features,
    }


def _convnext(network: Any) -> dict[str, object]:
    width = network.classifier[-1].in_features
    why = "inside a ConvNeXt block features lie channels last in part; put it before or after the whole block"
    return {
        "module": stack(network, "features"),
        "feature_dim": width,
        "classifier": "classifier.2",
        "tail": PooledTail("classifier", network.classifier[:2], keep_space=True),
        "tail_dim": width,
        "formats": (FormatRule(r"features\.\d+\.\d+\.block(\..+)?", None, why),),
    }


def _densenet(network: Any) -> dict[str, object]:
    module = stack(network, "features")
    module.add_module("relu", nn.ReLU())
    return {"module": module, "feature_dim": network.classifier.in_features, "classifier": "classifier"}


def _regnet(network: Any) -> dict[str, object]:
    stages = {f"res{number + 1}": f"trunk_output.block{number}" for number in range(1, 5)}
    width = network.fc.in_features
    return {"module": stack(network, "stem", "trunk_output"), "feature_dim": width, "aliases": stages}


def _resnet_stride(network: Any) -> list[Any]:
    block = network.layer4[0]
    return [block.conv2 if hasattr(block, "conv3") else block.conv1, block.downsample[0]]


_RESNET = Family("ResNet (He et al., CVPR 2016)", _resnet, _resnet_stride)
_RESNEXT = Family("ResNeXt (Xie et al., CVPR 2017)", _resnet, _resnet_stride)
_WIDE = Family("Wide ResNet (Zagoruyko & Komodakis, BMVC 2016)", _resnet, _resnet_stride)
_MOBILENET_V2 = Family(
    "MobileNetV2 (Sandler et al., CVPR 2018)", _features, lambda network: [network.features[14].conv[1][0]]
)
_MOBILENET_V3 = Family("MobileNetV3 (Howard et al., ICCV 2019)", _mobilenet_v3)
_EFFICIENTNET = Family("EfficientNet (Tan & Le, ICML 2019)", _features)
_EFFICIENTNET_V2 = Family("EfficientNetV2 (Tan & Le, ICML 2021)", _features)
_CONVNEXT = Family("ConvNeXt (Liu et al., CVPR 2022)", _convnext, inflates=False)
_DENSENET = Family("DenseNet (Huang et al., CVPR 2017)", _densenet)
_REGNET = Family("RegNet (Radosavovic et al., CVPR 2020)", _regnet)

FAMILIES: Mapping[str, Family] = {
    **dict.fromkeys(("resnet18", "resnet34", "resnet50", "resnet101", "resnet152"), _RESNET),
    **dict.fromkeys(("resnext50_32x4d", "resnext101_32x8d"), _RESNEXT),
    "wide_resnet50_2": _WIDE,
    "mobilenet_v2": _MOBILENET_V2,
    **dict.fromkeys(("mobilenet_v3_small", "mobilenet_v3_large"), _MOBILENET_V3),
    **{f"efficientnet_b{size}": _EFFICIENTNET for size in range(5)},
    **dict.fromkeys(("efficientnet_v2_s", "efficientnet_v2_m"), _EFFICIENTNET_V2),
    **dict.fromkeys(("convnext_tiny", "convnext_small", "convnext_base"), _CONVNEXT),
    **dict.fromkeys(("densenet121", "densenet169", "densenet201"), _DENSENET),
    **{f"regnet_y_{size}": _REGNET for size in ("400mf", "800mf", "1_6gf", "3_2gf")},
}


def build_image_backbone(name: str, *, last_stride: int = 2) -> Backbone:
    """Build one of torchvision's image networks without its classifier.

    Args:
        name: torchvision's name.
        last_stride: 2, or 1 to leave out the last halving of the resolution (Luo et al., CVPRW 2019).

    Returns:
        The backbone, randomly initialised; it runs per frame.

    Raises:
        ValueError: ``last_stride`` is neither.
    """
    from torchvision.models import get_model_builder

    family = FAMILIES[name]
    network = on_cpu_at_least(get_model_builder(name))
    if last_stride not in (1, 2):
        raise ValueError(f"last_stride is {last_stride!r}; it must be 1 or 2")
    if family.last_stride is not None:
        for layer in family.last_stride(network):
            layer.stride = (last_stride, last_stride)
    described = {"input": image_input(name), "pretrained": torchvision_weights(name), "dims": 2}
    return Backbone(**family.make(network), **described)  # type: ignore[arg-type]


def _enter(name: str, family: Family) -> None:
    """Register ``name``, with the option ``last_stride`` where the family has it."""

    def plain() -> Backbone:
        return build_image_backbone(name)

    def strided(*, last_stride: int = 2) -> Backbone:
        return build_image_backbone(name, last_stride=last_stride)

    builder = strided if family.last_stride else plain
    builder.__doc__ = f"{family.paper} per frame: torchvision's {name}."
    if family.last_stride:
        builder.__doc__ += (
            "\n\n    ``last_stride=1``: the last stages keep the resolution of those before, as usual in person "
            "re-identification (Luo et al., CVPRW 2019)."
        )
    builder.__name__ = builder.__qualname__ = name
    register_backbone(name)(builder)


for _name, _family in FAMILIES.items():
    _enter(_name, _family)
