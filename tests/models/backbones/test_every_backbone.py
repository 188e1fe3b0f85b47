"""Each backbone computes what the published network computes, with its checkpoint."""

import numpy as np
import pytest
import torch
import torchvision
from shared_data import shared
from torch import nn
from torch.nn import functional as F
from trained_norms import randomise_norms

import specvid
from specvid.models.backbones.inflate import inflate, inflate_weight
from specvid.models.backbones.registry import build_backbone, register_backbone
from specvid.models.spec import Backbone, InputSpec

VIDEO = {"r3d_18": (4, 32), "mc3_18": (4, 32), "r2plus1d_18": (4, 32), "s3d": (16, 224)}
VIDEO |= {"swin3d_t": (4, 64), "mvit_v1_b": (16, 224), "mvit_v2_s": (16, 224)}
IMAGE = ("resnet18", "resnet50", "mobilenet_v2", "efficientnet_b0", "mobilenet_v3_small", "swin_t")
MORE_IMAGE = (
    "resnext50_32x4d",
    "wide_resnet50_2",
    "efficientnet_v2_s",
    "convnext_tiny",
    "densenet121",
    "regnet_y_400mf",
)
SLOW = ("mvit_v1_b", "mvit_v2_s", *MORE_IMAGE)


def some_slow(*names: str) -> list:
    return [pytest.param(name, marks=[pytest.mark.slow] if name in SLOW else []) for name in names]


def video_network(name: str) -> nn.Module:
    torch.manual_seed(0)
    network = getattr(torchvision.models.video, name)(num_classes=11).eval()
    randomise_norms(network)
    return network


def image_network(name: str) -> nn.Module:
    torch.manual_seed(0)
    network = getattr(torchvision.models, name)(num_classes=11).eval()
    randomise_norms(network)
    return network


@pytest.mark.parametrize("name", some_slow(*VIDEO))
def test_video_networks_equal_torchvision(name: str, tmp_path) -> None:
    network = video_network(name)
    torch.save(network.state_dict(), tmp_path / "weights.pth")
    model = specvid.create_model(name, num_classes=11, weights=tmp_path / "weights.pth").eval()
    assert not model.loaded.missing
    assert not model.loaded.unexpected
    assert not model.loaded.mismatched
    frames, size = VIDEO[name]
    x = torch.randn(1, 3, frames, size, size)
    with torch.no_grad():
        torch.testing.assert_close(model(x), network(x), rtol=1e-4, atol=1e-5)
        assert model.forward_features(x).shape[1] == model.feature_dim


@pytest.mark.parametrize("name", some_slow(*IMAGE, *MORE_IMAGE))
def test_image_networks_equal_torchvision(name: str, tmp_path) -> None:
    network = image_network(name)
    torch.save(network.state_dict(), tmp_path / "weights.pth")
    model = specvid.create_model(name, num_classes=11, weights=tmp_path / "weights.pth").eval()
    assert not model.loaded.missing
    assert not model.loaded.unexpected
    assert not model.loaded.mismatched
    clip = torch.randn(2, 3, 3, 64, 64)
    with torch.no_grad():
        frames = torch.stack([network(clip[:, :, t]) for t in range(3)])
        torch.testing.assert_close(model(clip), frames.mean(0), rtol=1e-4, atol=1e-5)
        assert model.forward_features(clip).shape == (2, model.feature_dim, 3, 2, 2)


@pytest.mark.parametrize(("name", "dim"), [("resnet50", 2048), ("mobilenet_v2", 1280)])
def test_last_stride_keeps_the_resolution(name: str, dim: int) -> None:
    clip = torch.randn(1, 3, 1, 64, 64)
    assert specvid.create_model(name, last_stride=1).eval().forward_features(clip).shape == (1, dim, 1, 4, 4)
    with pytest.raises(ValueError, match="last_stride is 3; it must be 1 or 2"):
        specvid.create_model(name, last_stride=3)


@pytest.mark.parametrize("name", ["i3d_r50"])
def test_a_still_clip_through_the_inflated_network_equals_the_image(name: str, tmp_path) -> None:
    network = image_network("resnet50")
    torch.save(network.state_dict(), tmp_path / "imagenet.pth")
    model = specvid.create_model(name, num_classes=11, weights=tmp_path / "imagenet.pth").eval()
    inflated = [how for how in model.loaded.adapted.values() if how.startswith("inflated")]
    assert len(inflated) == len([p for p in network.parameters() if p.ndim == 4])
    image = torch.randn(2, 3, 64, 64)
    with torch.no_grad():
        torch.testing.assert_close(
            model(image[:, :, None].expand(-1, -1, 8, -1, -1)), network(image), rtol=1e-4, atol=1e-5
        )
        zeros = specvid.create_model(
            name, time_padding="zeros", num_classes=11, weights=tmp_path / "imagenet.pth"
        ).eval()
        assert (
            zeros(image[:, :, None].expand(-1, -1, 8, -1, -1)) - network(image)
        ).abs().max() > 1e-3  # the ends differ


def test_i3d_r50_has_the_shapes_of_the_paper() -> None:
    """Table 1 of Wang et al. 2018: 32 frames of 224 x 224 become 4 of 7 x 7."""
    backbone = build_backbone("i3d_r50")
    with torch.device("meta"):
        x = torch.empty(1, 3, 32, 224, 224)
    assert backbone.module.to("meta")(x).shape == (1, 2048, 4, 7, 7)
    kernels = {name: m.kernel_size for name, m in backbone.module.named_modules() if isinstance(m, nn.Conv3d)}
    temporal = [name for name, kernel in kernels.items() if kernel[0] > 1]
    assert kernels["conv1"] == (5, 7, 7)
    assert temporal == ["conv1"] + [f"layer1.{i}.conv1" for i in range(3)] + ["layer2.0.conv1", "layer2.2.conv1"] + [
        f"layer3.{i}.conv1" for i in (0, 2, 4)
    ] + ["layer4.1.conv1"]


@pytest.mark.parametrize("network", [torchvision.models.mobilenet_v2, torchvision.models.efficientnet_b0])
def test_inflate_any_image_network(network) -> None:
    torch.manual_seed(0)
    image_net = network(num_classes=5).eval().features
    randomise_norms(image_net)
    image = torch.randn(1, 3, 48, 48)
    with torch.no_grad():
        expected = image_net(image)
        names = list(image_net.state_dict())
        video_net = inflate(image_net, lambda name: (3, 1))
        assert list(video_net.state_dict()) == names
        y = video_net(image[:, :, None].expand(-1, -1, 4, -1, -1))
    torch.testing.assert_close(y, expected[:, :, None].expand_as(y), rtol=1e-4, atol=1e-5)


def test_inflate_weight() -> None:
    weight = torch.randn(2, 3, 5, 4)
    inflated = inflate_weight(weight, 3)
    assert inflated.shape == (2, 3, 3, 5, 4)
    torch.testing.assert_close(inflated.sum(2), weight)
    assert torch.equal(inflated[:, :, 0], inflated[:, :, 2])


@pytest.mark.parametrize(
    ("layer", "time", "message"),
    [
        (nn.Conv2d(2, 2, 3), (2, 1), "a kernel of 2 frames has no middle"),
        (nn.Conv2d(2, 2, 3, padding="same"), (3, 1), "only numbers of zeros inflate"),
        (nn.LPPool2d(2, 2), (1, 1), "LPPool2d, which cannot be inflated"),
    ],
)
def test_what_cannot_be_inflated_says_so(layer: nn.Module, time: tuple[int, int], message: str) -> None:
    with pytest.raises(ValueError, match=message):
        inflate(nn.Sequential(layer), lambda name: time)


@pytest.mark.data
def test_inception_i3d_equals_the_usual_port() -> None:
    golden = np.load(shared("golden/i3d_golden.npz"))
    weights = shared("weights/i3d_inception_rgb_k400.safetensors")
    model = specvid.create_model("i3d_inception", num_classes=400, weights=weights).eval()
    assert not model.loaded.missing
    assert not model.loaded.unexpected
    x = np.random.default_rng(0).uniform(-1, 1, (1, 3, 32, 224, 224)).astype(np.float32)
    with torch.no_grad():
        features = model.forward_features(torch.from_numpy(x))
        pooled = F.avg_pool3d(features, (2, 7, 7), stride=1)
        logits = model.head.classifier(pooled[..., 0, 0].mT).mT
        averaged = model.head(model.pool(features)).logits
    np.testing.assert_allclose(pooled, golden["features"], atol=1e-4)
    np.testing.assert_allclose(logits, golden["logits"], atol=1e-4)
    np.testing.assert_allclose(averaged, golden["logits"].mean(2), atol=1e-4)


def test_inception_i3d_pads_as_tensorflow_does() -> None:
    """ceil(size / stride) positions whatever the size, the odd zero at the end."""
    backbone = build_backbone("i3d_inception")
    pool = backbone.module.get_submodule("MaxPool3d_2a_3x3")
    assert torch.equal(pool(torch.arange(1.0, 6.0).expand(1, 1, 1, 5, 5))[0, 0, 0, 0], torch.tensor([2.0, 4.0, 5.0]))
    assert torch.equal(pool(torch.arange(1.0, 7.0).expand(1, 1, 1, 6, 6))[0, 0, 0, 0], torch.tensor([3.0, 5.0, 6.0]))


@pytest.mark.parametrize("name", specvid.list_backbones())
def test_facts_of_every_backbone(name: str) -> None:
    backbone = build_backbone(name)
    (height, width), frames = backbone.input.crop, backbone.input.frames
    batch = (1, 3, frames, height, width) if backbone.dims == 3 else (frames, 3, height, width)
    features = backbone.output_format.to_map(backbone.module.to("meta")(torch.empty(batch, device="meta")))
    assert features.ndim == backbone.dims + 2
    assert features.shape[1] == backbone.feature_dim
    assert all(backbone.module.get_submodule(path) for path in backbone.aliases.values())
    assert all(published.url.startswith("https://") and published.licence for published in backbone.pretrained.values())


def test_input_spec() -> None:
    spec = InputSpec(frames=8, stride=2, size=[256, 128], resize=256)
    assert (spec.size, spec.crop) == ((256, 128), (256, 128))
    assert spec.override({"size": 64}).crop == (64, 64)
    with pytest.raises(ValueError, match=r"input field 'sise' is unknown\. Did you mean 'size'"):
        spec.override({"sise": 64})
    for wrong, message in [
        ({"frames": 0}, "frames is 0"),
        ({"size": [1, 2, 3]}, "takes 2 numbers"),
        ({"size": 0}, "size is 0"),
    ]:
        with pytest.raises(ValueError, match=message):
            spec.override(wrong)


def test_registering_twice_is_a_mistake() -> None:
    with pytest.raises(ValueError, match="'r3d_18' is registered twice"):
        register_backbone("r3d_18")(lambda: None)
    with pytest.raises(ValueError, match="dims is 1; it must be 2"):
        Backbone(nn.Identity(), 3, InputSpec(1, 1, 1, 1), dims=1)
