"""Any convolutional image network, inflated: with its image weights a still clip gives what the image gives."""

from pathlib import Path

import pytest
import torch
from torch import nn

from specvid.models import create_model
from specvid.models.backbones.inflated import INFLATABLE
from specvid.models.backbones.registry import build_backbone
from specvid.models.video_model import VideoModel
from specvid.models.weights import load_weights

FAST = ("resnet18", "mobilenet_v3_small", "regnet_y_400mf")


def train_norms(network: VideoModel) -> None:
    """Norms as after training: any scales, and the statistics of images, so that signals neither fade nor explode."""
    norms = [module for module in network.modules() if isinstance(module, nn.modules.batchnorm._BatchNorm)]
    for norm in norms:
        nn.init.uniform_(norm.weight, 0.5, 1.5)
        nn.init.normal_(norm.bias, std=0.1)
        norm.momentum = 1.0
    with torch.no_grad():
        network.train()(torch.randn(2, 3, 4, 48, 48))
    network.eval()


@pytest.mark.parametrize(
    "name", [pytest.param(name, marks=[] if name in FAST else pytest.mark.slow) for name in INFLATABLE]
)
def test_a_still_clip_equals_the_image(name: str, tmp_path: Path) -> None:
    torch.manual_seed(0)
    image_network = create_model(name, num_classes=7)
    train_norms(image_network)
    image_network.double()  # a hundred norms in a row make much of the last digit of float32
    image = torch.randn(2, 3, 1, 48, 48, dtype=torch.float64)
    torch.save(image_network.state_dict(), tmp_path / "image.pth")
    model = create_model(f"inflated:{name}", num_classes=7).double().eval()
    report = load_weights(model, tmp_path / "image.pth")
    (tmp_path / "image.pth").unlink()
    assert (report.missing, report.unexpected, report.mismatched) == ({}, {}, {})
    still = image.expand(-1, -1, 4, -1, -1)
    with torch.no_grad():
        want = image_network(image)
        assert (want[0] - want[1]).abs().max() > 1e-3  # it does see the image
        torch.testing.assert_close(model(still), want, rtol=1e-7, atol=1e-7)
        moving = torch.cat([still[:, :, :3], still[:, :, 3:].flip(4)], 2)
        early = model.forward_features(moving)[:, :, :1] - model.forward_features(still)[:, :, :1]
        assert early.abs().max() > 1e-3  # and other frames


def test_frames_and_kernels() -> None:
    backbone = build_backbone("inflated:resnet18", time=5)
    kernels = {layer.kernel_size for layer in backbone.module.modules() if isinstance(layer, nn.Conv3d)}
    assert kernels == {(5, 7, 7), (5, 3, 3), (1, 1, 1)}
    assert backbone.module(torch.zeros(1, 3, 3, 32, 32)).shape == (1, 512, 3, 1, 1)


@pytest.mark.parametrize(
    ("name", "options", "message"),
    [
        ("resnet81", {}, "backbone to inflate 'resnet81' is unknown. Did you mean 'resnet"),
        ("convnext_tiny", {}, "'inflated:convnext_tiny' is not possible.*not made of convolutions alone"),
        ("resnet18", {"time": 4}, "time=4 of backbone 'inflated:resnet18': a kernel has an odd number of frames"),
        ("resnet18", {"time_padding": "zero"}, "time_padding 'zero' is unknown. Did you mean 'zeros'"),
        ("resnet18", {"times": 3}, "'times' is unknown. Did you mean 'time'"),
    ],
)
def test_mistakes(name: str, options: dict, message: str) -> None:
    with pytest.raises(ValueError, match=message):
        create_model(f"inflated:{name}", **options)
