"""I3D-ResNet-50: an image ResNet inflated to video, as in "Non-local neural networks" (Wang et al., CVPR 2018)."""

from torch import nn

from specvid.models.backbones.inflate import inflate
from specvid.models.backbones.registry import register_backbone
from specvid.models.backbones.spec import IMAGENET_MEAN, IMAGENET_STD, Backbone, InputSpec, stack
from specvid.models.backbones.torchvision_image import RESNET50_WEIGHTS
from specvid.models.backbones.torchvision_video import RES_STAGES

# blocks of res2 to res5 whose first 1x1 convolution becomes 3x1x1
_TEMPORAL_BLOCKS = {"layer1": (0, 1, 2), "layer2": (0, 2), "layer3": (0, 2, 4), "layer4": (1,)}


@register_backbone("i3d_r50")
def i3d_r50(*, time_padding: str = "replicate") -> Backbone:
    """torchvision's ResNet-50, inflated: 32 frames become 4. 27.2 M parameters. Its ImageNet checkpoints load,
    inflated.

    The pattern in time is the I3D of Wang et al.: conv1 is 5x7x7, and the first 1x1 of all blocks of res2, every
    second one of res3 and res4, and the middle one of res5 is 3x1x1 (as in the authors' code); conv1, pool1 (3x3x3)
    and pool2 (3x1x1, behind res2) halve the number of frames (their table 1). ``time_padding="zeros"`` pads as the
    published video checkpoints do; ``"replicate"`` makes a still clip equal the image
    (`specvid.models.backbones.inflate`).
    """
    from torchvision.models import resnet50

    network = inflate(resnet50(), _time, time_padding=time_padding)
    network.pool2 = nn.MaxPool3d((3, 1, 1), stride=(2, 1, 1), padding=(1, 0, 0))
    return Backbone(
        module=stack(network, "conv1", "bn1", "relu", "maxpool", "layer1", "pool2", "layer2", "layer3", "layer4"),
        feature_dim=2048,
        input=InputSpec(frames=32, stride=2, size=224, resize=256, mean=IMAGENET_MEAN, std=IMAGENET_STD),
        aliases=RES_STAGES,
        pretrained=RESNET50_WEIGHTS,
    )


def _time(name: str) -> tuple[int, int]:
    """(kernel, stride) in time of the layer called ``name``."""
    if name in ("conv1", "maxpool"):
        return (5, 2) if name == "conv1" else (3, 2)
    stage, _, rest = name.partition(".")
    block, _, layer = rest.partition(".")
    return (3, 1) if layer == "conv1" and int(block) in _TEMPORAL_BLOCKS[stage] else (1, 1)
