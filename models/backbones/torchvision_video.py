"""torchvision's 3D convolutional networks.

ResNets of 18 layers (Tran et al., CVPR 2018) and S3D (Xie et al., ECCV 2018).
"""

from collections.abc import Callable

from torch import nn

from specvid.models.backbones.registry import register_backbone
from specvid.models.spec import Backbone, InputSpec, Pretrained, stack

# torchvision samples Kinetics at 15 frames / s: every second frame of an ordinary video
_INPUT_18 = InputSpec(frames=16, stride=2, size=112, resize=(128, 171))
RES_STAGES = {"res2": "layer1", "res3": "layer2", "res4": "layer3", "res5": "layer4"}


@register_backbone("r3d_18")
def r3d_18() -> Backbone:
    """ResNet3D-18: full 3x3x3 convolutions. 33.2 M parameters.

    Returns:
        The backbone, randomly initialised.
    """
    from torchvision.models.video import r3d_18

    return _resnet_18(r3d_18, "r3d_18-b3b3357e.pth")


@register_backbone("mc3_18")
def mc3_18() -> Backbone:
    """MC3-18: 3x3x3 convolutions in the stem and layer1, 1x3x3 above. 11.5 M parameters.

    Returns:
        The backbone, randomly initialised.
    """
    from torchvision.models.video import mc3_18

    return _resnet_18(mc3_18, "mc3_18-a90a0ba3.pth")


@register_backbone("r2plus1d_18")
def r2plus1d_18() -> Backbone:
    """R(2+1)D-18: each 3D convolution factored into a spatial and a temporal one. 31.3 M parameters.

    Returns:
        The backbone, randomly initialised.
    """
    from torchvision.models.video import r2plus1d_18

    return _resnet_18(r2plus1d_18, "r2plus1d_18-91a641e6.pth")


@register_backbone("s3d")
def s3d() -> Backbone:
    """S3D: Inception with separable spatial and temporal convolutions. 7.9 M parameters.

    It takes at least 14 frames of 224 x 224 px. Its stages are the children of ``features``; the names of Inception's
    modules are aliases of them.

    Returns:
        The backbone, randomly initialised.
    """
    from torchvision.models.video import s3d

    inception = {5: "3b", 6: "3c", 8: "4b", 9: "4c", 10: "4d", 11: "4e", 12: "4f", 14: "5b", 15: "5c"}
    return Backbone(
        module=stack(s3d(), "features"),
        feature_dim=1024,
        input=InputSpec(frames=64, stride=2, size=224, resize=256),
        aliases={f"Mixed_{name}": f"features.{index}" for index, name in inception.items()},
        classifier="classifier.1",
        window=(2, 7, 7),
        pretrained={"kinetics400": _kinetics("s3d-d76dad2f.pth")},
    )


def _resnet_18(builder: Callable[[], nn.Module], file: str) -> Backbone:
    return Backbone(
        module=stack(builder(), "stem", "layer1", "layer2", "layer3", "layer4"),
        feature_dim=512,
        input=_INPUT_18,
        aliases=RES_STAGES,
        pretrained={"kinetics400": _kinetics(file)},
    )


def _kinetics(file: str) -> Pretrained:
    return Pretrained(f"https://download.pytorch.org/models/{file}", data="Kinetics-400", licence="BSD-3-Clause")
