"""I3D-ResNets: image ResNets inflated to video, as in "Non-local neural networks" (Wang et al., CVPR 2018).

Every code base has the same layers and shapes, and its own strides and pools in time: `VARIANTS`.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from typing import Any

from torch import nn

from specvid.errors import unknown
from specvid.models.backbones.inflate import TIME_PADDINGS, InflatedConv3d, TimePattern, inflate
from specvid.models.backbones.registry import register_backbone
from specvid.models.backbones.torchvision_video import RES_STAGES
from specvid.models.backbones.torchvision_weights import torchvision_weights
from specvid.models.spec import IMAGENET_MEAN, IMAGENET_STD, Backbone, InputSpec, stack

Window = tuple[int, int, int]


@dataclass(frozen=True)
class Variant:
    """What the weights of an I3D-ResNet do not determine.

    Attributes:
        stride: of conv1, in time.
        pool1: kernel, stride and padding of the pool behind conv1, each (time, height, width).
        pool2: the same of the pool behind res2.
        time_padding: of the convolutions in time, one of `TIME_PADDINGS`.
        input: what differs in the clips.
    """

    stride: int
    pool1: tuple[Window, Window, Window]
    pool2: tuple[Window, Window, Window] = ((2, 1, 1), (2, 1, 1), (0, 0, 0))
    time_padding: str = "zeros"
    input: Mapping[str, Any] = field(default_factory=dict)


_GREY = {"mean": (0.45, 0.45, 0.45), "std": (0.225, 0.225, 0.225)}  # one number for all channels: 114.75, 57.375 of 255
VARIANTS = {
    "paper": Variant(2, ((3, 3, 3), (2, 2, 2), (1, 1, 1)), ((3, 1, 1), (2, 1, 1), (1, 0, 0)), "replicate"),
    "mmaction2": Variant(2, ((1, 3, 3), (2, 2, 2), (0, 1, 1))),
    "slowfast": Variant(1, ((1, 3, 3), (1, 2, 2), (0, 1, 1)), input={"frames": 8, "stride": 8, **_GREY}),
    "video-nonlocal-net": Variant(1, ((1, 3, 3), (1, 2, 2), (0, 0, 0)), input=_GREY),
    "pytorch-resnet3d": Variant(2, ((2, 3, 3), (2, 2, 2), (0, 0, 0)), input=_GREY),
}


def set_variant(network: nn.Module, variant: str, time_padding: str | None = None) -> None:
    """Give an I3D-ResNet the strides, pools and padding of a variant, in place; no parameter changes.

    Args:
        network: with ``conv1``, ``maxpool`` and ``pool2``.
        variant: one of `VARIANTS`.
        time_padding: another one than the variant's.
    """
    one, conv1 = VARIANTS[variant], network.get_submodule("conv1")
    assert isinstance(conv1, nn.Conv3d)
    conv1.stride = (one.stride, *conv1.stride[1:])
    network.maxpool, network.pool2 = nn.MaxPool3d(*one.pool1), nn.MaxPool3d(*one.pool2)
    for module in network.modules():
        if isinstance(module, InflatedConv3d):
            module.time_padding = time_padding or one.time_padding


def _build(depth: int, variant: str, time_padding: str | None) -> Backbone:
    from torchvision.models import get_model_builder

    if variant not in VARIANTS:
        raise unknown("variant", str(variant), VARIANTS)
    if time_padding not in (None, *TIME_PADDINGS):
        raise unknown("time_padding", str(time_padding), TIME_PADDINGS)
    network = get_model_builder(f"resnet{depth}")()
    width = network.fc.in_features
    depths = {stage: len(network.get_submodule(stage)) for stage in RES_STAGES.values()}
    network = inflate(network, _pattern(depths))
    set_variant(network, variant, time_padding)
    own = InputSpec(frames=32, stride=2, size=224, resize=256, mean=IMAGENET_MEAN, std=IMAGENET_STD)
    return Backbone(
        module=stack(network, "conv1", "bn1", "relu", "maxpool", "layer1", "pool2", "layer2", "layer3", "layer4"),
        feature_dim=width,
        input=replace(own, **VARIANTS[variant].input),
        aliases=RES_STAGES,
        pretrained=torchvision_weights(f"resnet{depth}"),
    )


def _pattern(depths: dict[str, int]) -> TimePattern:
    """(kernel, stride) in time of a layer by its name; ``depths``: number of blocks of each stage."""
    temporal = {
        "layer1": set(range(depths["layer1"])),
        "layer2": set(range(0, depths["layer2"], 2)),
        "layer3": set(range(0, depths["layer3"], 2)),
        "layer4": set(range(1, depths["layer4"], 2)),
    }

    def time(name: str) -> tuple[int, int]:
        if name in ("conv1", "maxpool"):
            return (5, 2) if name == "conv1" else (3, 2)
        stage, _, rest = name.partition(".")
        block, _, layer = rest.partition(".")
        return (3, 1) if layer == "conv1" and int(block) in temporal[stage] else (1, 1)

    return time


def _enter(depth: int) -> None:
    def build(*, variant: str = "paper", time_padding: str | None = None) -> Backbone:
        return _build(depth, variant, time_padding)

    build.__doc__ = f"""torchvision's ResNet-{depth}, inflated: 32 frames become 4. ImageNet checkpoints load, inflated.

    The pattern in time is the I3D of Wang et al.: conv1 is 5x7x7, and the first convolution (of deep ResNets a 1x1) of
    all blocks of res2, every second one of res3 and res4, and the middle one of res5 has 3 frames (as in the authors'
    code); conv1, pool1 (3x3x3) and pool2 (3x1x1, behind res2) halve the number of frames (their table 1).

    Args:
        variant: whose strides and pools in time: ``paper``, ``mmaction2``, ``slowfast``, ``video-nonlocal-net``,
            ``pytorch-resnet3d``. Where it is not given, weights of mmaction2 and SlowFast set it, and others that
            were trained on video ask for it.
        time_padding: ``zeros``, as the published video checkpoints; or ``replicate``, with which a still clip equals
            the image (`specvid.models.backbones.inflate`). The variant's if not given: ``replicate`` of ``paper``,
            else ``zeros``.
    """
    build.__name__ = build.__qualname__ = f"i3d_r{depth}"
    register_backbone(build.__name__)(build)


for _depth in (18, 34, 50, 101, 152):
    _enter(_depth)
