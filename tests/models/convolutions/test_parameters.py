"""Numbers of parameters that papers and authors' code have."""

import torch
from torch import nn
from torchvision.models import resnet50

import specvid


def count(module: nn.Module) -> int:
    return sum(parameter.numel() for parameter in module.parameters())


def test_dcd_resnet50_has_the_authors_number_of_parameters() -> None:
    """All convolutions but those of the stem and the shortcuts, and the classifier, one position of 2048 channels."""
    with torch.device("meta"):
        network = resnet50()
        network.fc = nn.Conv1d(2048, 1000, 1)
    places = [f"{path}" for path, layer in network.named_modules() if isinstance(layer, nn.Conv2d)]
    inside = [path for path in places if path != "conv1" and "downsample" not in path]
    text = ", ".join(f"dcd(bins=1)@{path}" for path in inside)
    report = specvid.replace_conv(network, f"{text}, dcd(inner=32, reduction=64)@fc")
    assert len(report.replaced) == 49
    assert count(network) == 29_835_056
