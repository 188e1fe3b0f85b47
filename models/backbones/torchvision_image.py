"""torchvision's image networks, run on each frame of a clip; inserted blocks see all frames together."""

import torch
from torch import nn

from specvid.models.backbones.registry import register_backbone
from specvid.models.backbones.spec import IMAGENET_MEAN, IMAGENET_STD, Backbone, InputSpec, Pretrained, stack
from specvid.models.backbones.torchvision_video import RES_STAGES

_INPUT = InputSpec(frames=8, stride=8, size=224, resize=256, mean=IMAGENET_MEAN, std=IMAGENET_STD)


def _imagenet(file: str) -> Pretrained:
    return Pretrained(f"https://download.pytorch.org/models/{file}", data="ImageNet-1k", licence="BSD-3-Clause")


RESNET50_WEIGHTS = {
    "imagenet": _imagenet("resnet50-11ad3fa6.pth"),
    "imagenet_v1": _imagenet("resnet50-0676ba61.pth"),
}


@register_backbone("resnet18")
def resnet18() -> Backbone:
    """ResNet-18 (He et al., CVPR 2016) per frame. 11.2 M parameters."""
    from torchvision.models import resnet18

    return _resnet(resnet18(), 512, {"imagenet": _imagenet("resnet18-f37072fd.pth")})


@register_backbone("resnet50")
def resnet50(*, last_stride: int = 2) -> Backbone:
    """ResNet-50 (He et al., CVPR 2016) per frame. 23.5 M parameters.

    ``last_stride=1``: layer4 keeps the resolution of layer3, as usual in person re-identification (Luo et al., CVPRW
    2019).
    """
    from torchvision.models import resnet50

    network = resnet50()
    _set_stride(last_stride, network.layer4[0].conv2, network.layer4[0].downsample[0])
    return _resnet(network, 2048, RESNET50_WEIGHTS)


@register_backbone("mobilenet_v2")
def mobilenet_v2(*, last_stride: int = 2) -> Backbone:
    """MobileNetV2 (Sandler et al., CVPR 2018) per frame. 2.2 M parameters. Its stages are the children of
    ``features``.

    ``last_stride=1``: everything from ``features.14`` on keeps the resolution of ``features.13``.
    """
    from torchvision.models import mobilenet_v2

    weights = {
        "imagenet": _imagenet("mobilenet_v2-7ebf99e0.pth"),
        "imagenet_v1": _imagenet("mobilenet_v2-b0353104.pth"),
    }
    network = mobilenet_v2()
    _set_stride(last_stride, network.features[14].conv[1][0])
    return _features(network, weights)


@register_backbone("efficientnet_b0")
def efficientnet_b0() -> Backbone:
    """EfficientNet-B0 (Tan & Le, ICML 2019) per frame. 4.0 M parameters. Its stages are ``features.1`` to
    ``features.7``.
    """
    from torchvision.models import efficientnet_b0

    return _features(efficientnet_b0(), {"imagenet": _imagenet("efficientnet_b0_rwightman-7f5810bc.pth")})


def _set_stride(last_stride: int, *layers: nn.Module) -> None:
    if last_stride not in (1, 2):
        raise ValueError(f"last_stride is {last_stride!r}; it must be 1 or 2")
    for layer in layers:
        layer.stride = (last_stride, last_stride)


def _resnet(network: nn.Module, feature_dim: int, weights: dict[str, Pretrained]) -> Backbone:
    return Backbone(
        module=stack(network, "conv1", "bn1", "relu", "maxpool", "layer1", "layer2", "layer3", "layer4"),
        feature_dim=feature_dim,
        input=_INPUT,
        dims=2,
        aliases=RES_STAGES,
        pretrained=weights,
    )


def _features(network: nn.Module, weights: dict[str, Pretrained]) -> Backbone:
    network.to(memory_format=torch.channels_last)  # depthwise convolutions train 1.4x as fast on a CPU
    return Backbone(
        module=stack(network, "features"),
        feature_dim=1280,
        input=_INPUT,
        dims=2,
        classifier="classifier.1",
        pretrained=weights,
    )
