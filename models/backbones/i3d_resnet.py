"""I3D-ResNets: image ResNets inflated to video, as in "Non-local neural networks" (Wang et al., CVPR 2018)."""

from __future__ import annotations

from torch import nn

from specvid.models.backbones.inflate import TimePattern, inflate
from specvid.models.backbones.registry import register_backbone
from specvid.models.backbones.torchvision_video import RES_STAGES
from specvid.models.backbones.torchvision_weights import torchvision_weights
from specvid.models.spec import IMAGENET_MEAN, IMAGENET_STD, Backbone, InputSpec, stack


def _build(depth: int, time_padding: str) -> Backbone:
    from torchvision.models import get_model_builder

    network = get_model_builder(f"resnet{depth}")()
    width = network.fc.in_features
    depths = {stage: len(network.get_submodule(stage)) for stage in RES_STAGES.values()}
    network = inflate(network, _pattern(depths), time_padding=time_padding)
    network.pool2 = nn.MaxPool3d((3, 1, 1), stride=(2, 1, 1), padding=(1, 0, 0))
    return Backbone(
        module=stack(network, "conv1", "bn1", "relu", "maxpool", "layer1", "pool2", "layer2", "layer3", "layer4"),
        feature_dim=width,
        input=InputSpec(frames=32, stride=2, size=224, resize=256, mean=IMAGENET_MEAN, std=IMAGENET_STD),
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
    def build(*, time_padding: str = "replicate") -> Backbone:
        return _build(depth, time_padding)

    build.__doc__ = f"""torchvision's ResNet-{depth}, inflated: 32 frames become 4. ImageNet checkpoints load, inflated.

    The pattern in time is the I3D of Wang et al.: conv1 is 5x7x7, and the first convolution (of deep ResNets a 1x1) of
    all blocks of res2, every second one of res3 and res4, and the middle one of res5 has 3 frames (as in the authors'
    code); conv1, pool1 (3x3x3) and pool2 (3x1x1, behind res2) halve the number of frames (their table 1).
    ``time_padding="zeros"`` pads as the published video checkpoints do; ``"replicate"`` makes a still clip equal the
    image (`specvid.models.backbones.inflate`).
    """
    build.__name__ = build.__qualname__ = f"i3d_r{depth}"
    register_backbone(build.__name__)(build)


for _depth in (18, 34, 50, 101, 152):
    _enter(_depth)
