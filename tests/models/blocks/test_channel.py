"""Channel blocks: their formulas, position by position; recorded modules; those of timm and of the authors, live."""

from pathlib import Path

import pytest
import torch
from published_blocks import randomise
from safetensors.torch import load_file
from torch import Tensor, nn
from torch.nn import functional as F

import specvid
from specvid.models.blocks import create_block, from_official

GOLDEN = Path(__file__).parents[2] / "golden" / "channel"
CHANNELS, SIZES = 8, (2, 3, 4)

# What the references were made with, by the names of their own constructors (manifest.json of the golden files).
CONSTRUCTORS = {
    "se": {"input_channels": 16, "squeeze_channels": 6},
    "eca": {"channel": 16, "k_size": 3},
    "gc": {"in_channels": 16, "ratio": 0.25, "pooling_type": "att", "fusion_types": ["channel_add"]},
}


@pytest.mark.parametrize("name", CONSTRUCTORS)
@pytest.mark.parametrize("dims", [2, 3])
def test_equals_the_recorded_module(name: str, dims: int) -> None:
    numbers = load_file(GOLDEN / f"{name}.safetensors")
    state = {key.removeprefix("param."): value for key, value in numbers.items() if key.startswith("param.")}
    block = from_official(name, state, constructor=CONSTRUCTORS[name], dims=dims)
    x = numbers["x"].clone().requires_grad_()
    y = block(x) if dims == 2 else block(x.unsqueeze(2)).squeeze(2)
    y.backward(numbers["grad_y"])
    torch.testing.assert_close(y, numbers["y"], rtol=0, atol=1e-5)
    torch.testing.assert_close(x.grad, numbers["grad_x"], rtol=0, atol=1e-5)


def test_every_recorded_file_is_compared() -> None:
    assert {file.stem for file in GOLDEN.iterdir()} == set(CONSTRUCTORS)


def _random(name: str, *, dims: int = 3, **options) -> tuple[nn.Module, Tensor]:
    block = randomise(create_block(name, CHANNELS, dims=dims, identity=False, **options))
    return block, torch.randn(2, CHANNELS, *SIZES[3 - dims :], dtype=torch.float64)


def _bottleneck(layer: nn.Module, m: Tensor) -> Tensor:
    """W_2 relu(norm(W_1 m + b_1)) + b_2 of one vector (C,)."""
    w1, w2 = layer.reduce.weight[:, :, 0], layer.expand.weight[:, :, 0]
    hidden = w1 @ m + (0 if layer.reduce.bias is None else layer.reduce.bias)
    if layer.norm is not None:
        deviation = (hidden - hidden.mean()).square().mean().add(layer.norm.eps).sqrt()
        hidden = (hidden - hidden.mean()) / deviation * layer.norm.weight + layer.norm.bias
    return w2 @ hidden.clamp_min(0) + (0 if layer.expand.bias is None else layer.expand.bias)


@pytest.mark.parametrize("bias", [False, True])
def test_se_is_its_formula(bias: bool) -> None:
    block, x = _random("se", bias=bias, inner=3)
    for sample, y in zip(x, block(x), strict=True):
        gate = 1 / (1 + torch.exp(-_bottleneck(block.excite, sample.flatten(1).mean(1))))
        torch.testing.assert_close(y, sample * gate[:, None, None, None])


def test_eca_is_its_formula() -> None:
    block, x = _random("eca", kernel=3)
    weight = block.conv.weight[0, 0].tolist()
    for sample, y in zip(x, block(x), strict=True):
        m = [0.0, *sample.flatten(1).mean(1).tolist(), 0.0]
        for channel in range(CHANNELS):
            logit = sum(weight[k] * m[channel + k] for k in range(3))
            torch.testing.assert_close(y[channel], sample[channel] / (1 + torch.tensor(-logit).exp().double()))


@pytest.mark.parametrize("pooling", ["attention", "mean"])
@pytest.mark.parametrize("fusion", ["add", "mul", "add+mul"])
def test_gc_is_its_formula(fusion: str, pooling: str) -> None:
    block, x = _random("gc", fusion=fusion, pooling=pooling, inner=3)
    for sample, y in zip(x, block(x), strict=True):
        flat = sample.flatten(1)
        context = flat.mean(1)
        if pooling == "attention":
            weights = torch.exp(block.attention.weight[0, :, 0] @ flat)
            context = flat @ (weights / weights.sum())
        wanted = sample
        if "mul" in fusion:
            wanted = wanted * _bottleneck(block.mul, context).sigmoid()[:, None, None, None]
        if "add" in fusion:
            wanted = wanted + _bottleneck(block.add, context)[:, None, None, None]
        torch.testing.assert_close(y, wanted)


def test_cbam_is_its_formula() -> None:
    block, x = _random("cbam", kernel=3, inner=3, bias=True)
    for sample, y in zip(x, block(x), strict=True):
        flat = sample.flatten(1)
        gate = (_bottleneck(block.excite, flat.mean(1)) + _bottleneck(block.excite, flat.amax(1))).sigmoid()
        middle = sample * gate[:, None, None, None]
        seen = torch.stack((middle.mean(0), middle.amax(0)))
        for t in range(2):
            for h in range(3):
                for w in range(4):
                    logit = torch.zeros((), dtype=torch.float64)
                    for i in range(-1, 2):
                        for j in range(-1, 2):
                            for k in range(-1, 2):
                                if 0 <= t + i < 2 and 0 <= h + j < 3 and 0 <= w + k < 4:
                                    tap = block.conv.weight[0, :, i + 1, j + 1, k + 1]
                                    logit = logit + tap @ seen[:, t + i, h + j, w + k]
                    norm = block.norm
                    scaled = (logit - norm.running_mean) / (norm.running_var + norm.eps).sqrt()
                    position = (scaled * norm.weight + norm.bias).sigmoid()
                    torch.testing.assert_close(y[:, t, h, w], middle[:, t, h, w] * position)


def test_ge_gathers_windows() -> None:
    block, x = _random("ge", extent=2, mlp=False)
    for sample, y in zip(x, block(x), strict=True):
        for t in range(2):
            for h in range(3):
                for w in range(4):
                    i, j, k = 2 * (t // 2), 2 * (h // 2), 2 * (w // 2)  # the window's middle
                    window = sample[:, max(0, i - 1) : i + 2, max(0, j - 1) : j + 2, max(0, k - 1) : k + 2]
                    torch.testing.assert_close(y[:, t, h, w], sample[:, t, h, w] * window.flatten(1).mean(1).sigmoid())


@pytest.mark.parametrize("extent", [2, 4])
def test_windows_of_ge_see_valid_positions_only(extent: int) -> None:
    block, x = _random("ge", extent=extent, mlp=False)
    mask = torch.rand(2, *SIZES, generator=torch.Generator().manual_seed(3)) > 0.4
    y, z = block(x, mask), block(torch.where(mask.unsqueeze(1), x, 1e3), mask)
    inside = mask.unsqueeze(1).expand_as(x)
    torch.testing.assert_close(y[inside], z[inside])
    ones = torch.where(mask.unsqueeze(1), 2.0, 1e3).double().expand_as(x)
    torch.testing.assert_close(block(ones, mask)[inside], 2 * torch.full_like(x, 2.0)[inside].sigmoid())


class Reference(nn.Module):
    """CBAM under the names of its authors: the maximum before the mean, biases in the bottleneck."""

    def __init__(self, channels: int, inner: int) -> None:
        super().__init__()
        self.ChannelGate = nn.Module()
        self.ChannelGate.mlp = nn.Sequential(
            nn.Flatten(), nn.Linear(channels, inner), nn.ReLU(), nn.Linear(inner, channels)
        )
        self.SpatialGate = nn.Module()
        self.SpatialGate.spatial = nn.Module()
        self.SpatialGate.spatial.conv = nn.Conv2d(2, 1, 7, padding=3, bias=False)
        self.SpatialGate.spatial.bn = nn.BatchNorm2d(1, eps=1e-5)

    def forward(self, x: Tensor) -> Tensor:
        mlp, spatial = self.ChannelGate.mlp, self.SpatialGate.spatial
        x = x * (mlp(x.mean((2, 3))) + mlp(x.amax((2, 3)))).sigmoid()[:, :, None, None]
        seen = torch.cat((x.amax(1, keepdim=True), x.mean(1, keepdim=True)), dim=1)
        return x * spatial.bn(spatial.conv(seen)).sigmoid()


class Gather(nn.Module):
    """Gather-excite under timm's names (of timm 1.0's own, only the form without parameters can be built)."""

    def __init__(self, channels: int, *, extent: int = 0, inner: int = 0, convolutions: bool = False) -> None:
        super().__init__()
        self.extent = extent
        self.gather = nn.Sequential() if convolutions else None
        for i in range(extent.bit_length() - 1 if convolutions else 0):
            self.gather.add_module(f"conv{i + 1}", nn.Conv2d(channels, channels, 3, 2, 1, groups=channels, bias=False))
            self.gather.add_module(f"norm{i + 1}", nn.BatchNorm2d(channels))
            if 2 ** (i + 1) < extent:
                self.gather.add_module(f"act{i + 1}", nn.ReLU())
        self.mlp = nn.Module()
        if inner:
            self.mlp.fc1, self.mlp.fc2 = nn.Conv2d(channels, inner, 1), nn.Conv2d(inner, channels, 1)

    def forward(self, x: Tensor) -> Tensor:
        if self.gather is not None:
            y = self.gather(x)
        elif self.extent:
            y = F.avg_pool2d(x, 2 * self.extent - 1, self.extent, self.extent - 1, count_include_pad=False)
        else:
            y = x.mean((2, 3), keepdim=True)
        if hasattr(self.mlp, "fc1"):
            y = self.mlp.fc2(self.mlp.fc1(y).relu())
        return x * F.interpolate(y, size=x.shape[2:]).sigmoid()


def _reference(kind: str) -> nn.Module:
    """A module of timm, or one under the names of others."""
    if kind == "cbam-authors":
        return Reference(CHANNELS, 3)
    if kind.startswith("ge"):
        return {
            "ge": lambda: Gather(CHANNELS, inner=3),
            "ge-4": lambda: Gather(CHANNELS, inner=3, extent=4),
            "ge-theta": lambda: Gather(CHANNELS, extent=4, convolutions=True),
            "ge-theta-plus": lambda: Gather(CHANNELS, inner=3, extent=2, convolutions=True),
        }[kind]()
    layers = pytest.importorskip("timm.layers", reason="pip install 'specvid[timm]'")
    return {
        "se": lambda: layers.SEModule(CHANNELS, rd_channels=3),
        "se-plain": lambda: layers.SEModule(CHANNELS, rd_channels=3, bias=False),
        "eca": lambda: layers.EcaModule(CHANNELS),
        "cbam": lambda: layers.cbam.CbamModule(CHANNELS, rd_channels=3),
    }[kind]()


GIVEN = {"eca": {"channels": CHANNELS}, "ge": {"extent": 0}, "ge-4": {"extent": 4}}


@pytest.mark.parametrize("dims", [2, 3])
@pytest.mark.parametrize(
    "kind", ["se", "se-plain", "eca", "cbam", "ge", "ge-4", "ge-theta", "ge-theta-plus", "cbam-authors"]
)
def test_equals_the_module_of_timm_or_the_authors(kind: str, dims: int) -> None:
    theirs = randomise(_reference(kind))
    name, given = kind.split("-")[0], GIVEN.get(kind, {})
    if dims == 3 and kind in ("ge-theta", "ge-theta-plus"):
        given = given | {"mode": "s"}  # its convolutions are those of an image
    torch.set_default_dtype(torch.float64)
    try:
        ours = from_official(name, theirs.state_dict(), dims=dims, **given)
    finally:
        torch.set_default_dtype(torch.float32)
    x = torch.randn(2, CHANNELS, 7, 6, dtype=torch.float64, requires_grad=True)
    y, wanted = ours(x) if dims == 2 else ours(x.unsqueeze(2)).squeeze(2), theirs(x)
    torch.testing.assert_close(y, wanted, rtol=1e-10, atol=1e-10)
    torch.testing.assert_close(
        torch.autograd.grad(y.square().sum(), x), torch.autograd.grad(wanted.square().sum(), x), rtol=1e-9, atol=1e-9
    )
    assert (wanted - x).abs().max() > 0.1


@pytest.mark.parametrize("pooling", ["att", "avg"])
@pytest.mark.parametrize("fusions", [("channel_add",), ("channel_mul",), ("channel_add", "channel_mul")])
def test_equals_the_context_block_of_mmcv(fusions: tuple[str, ...], pooling: str) -> None:
    cnn = pytest.importorskip("mmcv.cnn", reason="pip install 'specvid[mmaction]'")
    theirs = randomise(cnn.ContextBlock(CHANNELS, 0.5, pooling_type=pooling, fusion_types=fusions))
    ours = from_official("gc", theirs.state_dict()).double()
    x = torch.randn(2, CHANNELS, 7, 6, dtype=torch.float64)
    torch.testing.assert_close(ours(x), theirs(x), rtol=1e-5, atol=1e-5)  # ours holds the weights in float32


RESNET50 = [f"layer{stage}.{block}.bn3.end" for stage, n in enumerate((3, 4, 6, 3), start=1) for block in range(n)]


@pytest.mark.parametrize(("name", "added"), [("se", 2_514_944), ("eca", 80)])
def test_parameters_added_to_a_resnet50(name: str, added: int) -> None:
    """Published: behind the last norm of every residual branch."""

    def count(blocks: str) -> int:
        with torch.device("meta"):
            return sum(p.numel() for p in specvid.create_model("resnet50", blocks=blocks).parameters())

    assert count(", ".join(f"{name}@{place}" for place in RESNET50)) - count("") == added


@pytest.mark.parametrize("name", ["se", "eca", "gc", "cbam", "ge"])
@pytest.mark.parametrize(
    ("backbone", "place", "extra"),
    [
        ("resnet18", "layer2.0.bn2.end", ""),
        ("r3d_18", "layer2", ""),
        ("timm:resnet18", "layer2", "timm"),
        ("mmaction:ResNet3d", "layer2", "mmaction"),
    ],
)
def test_goes_into_networks_of_images_and_videos(name: str, backbone: str, place: str, extra: str) -> None:
    if extra:
        pytest.importorskip(extra, reason=f"pip install 'specvid[{extra}]'")
    options = {"depth": 18} if backbone.startswith("mmaction") else {}
    torch.manual_seed(0)
    bare = specvid.create_model(backbone, num_classes=3, **options).eval()
    torch.manual_seed(0)
    model = specvid.create_model(backbone, num_classes=3, blocks=f"{name}@{place}", **options).eval()
    x = torch.randn(1, 3, 4, 32, 32)
    with torch.no_grad():
        assert torch.equal(model(x), bare(x))


@pytest.mark.parametrize(
    ("call", "message"),
    [
        (lambda: create_block("se", 8, inner=0), r"inner=0 of block 'se' is not possible"),
        (lambda: create_block("se", 8, reduction=0), r"reduction=0 is not possible for block 'se'"),
        (lambda: create_block("se", 8, gate=1.0), r"option of block 'se' 'gate' is unknown"),
        (lambda: create_block("se", 8, mode="t+s"), r"mode='t\+s' goes with nonlocal blocks"),
        (lambda: create_block("eca", 8, kernel=4), r"kernel=4 of block 'eca' is not possible: it is an odd integer"),
        (lambda: create_block("cbam", 8, kernel=0), r"kernel=0 of block 'cbam' is not possible: it is an odd integer"),
        (lambda: create_block("gc", 8, fusion="sum"), r"fusion 'sum' is unknown"),
        (lambda: create_block("gc", 8, pooling="max"), r"pooling 'max' is unknown"),
        (lambda: create_block("ge", 8, extent=3), r"extent=3 of block 'ge' is not possible: choose from"),
        (lambda: create_block("ge", 8, gather="sum"), r"gather 'sum' is unknown"),
        (lambda: create_block("ge", 8, gather="conv"), r"gather='conv' of block 'ge' needs an extent"),
        (lambda: create_block("ge", 8, mlp=False), r"has no parameters to learn with.*identity=False"),
        (lambda: from_official("eca", {"conv.weight": torch.zeros(1, 1, 3)}), r"does not determine 'channels'"),
        (
            lambda: from_official("cbam", _reference("cbam").state_dict(), constructor={"no_spatial": True}),
            r"no_spatial=True is not possible here",
        ),
    ],
)
def test_wrong_options(call, message: str) -> None:
    with pytest.raises(ValueError, match=message):
        call()


def test_gates_do_not_halve_features_at_the_start() -> None:
    x = torch.randn(1, 8, 2, 3, 3)
    zeros = create_block("se", 8, identity=False)
    for parameter in zeros.parameters():
        nn.init.zeros_(parameter)
    assert torch.equal(zeros(x), x / 2)
    assert torch.equal(create_block("se", 8)(x), x)
    assert torch.equal(create_block("ge", 8, extent=2, gather="conv", mlp=False).eval()(x), x)
    assert torch.equal(create_block("gc", 8, fusion="add+mul")(x), x)


def test_kinds_are_listed_apart() -> None:
    assert specvid.list_blocks("channel") == ["cbam", "eca", "gc", "ge", "se"]
    assert specvid.list_blocks("long-range") == ["bot", "dgmn2", "gnconv", "halo", "hamburger", "pdc"]
    kinds = [name for kind in ("channel", "long-range", "nonlocal") for name in specvid.list_blocks(kind)]
    assert sorted(kinds) == specvid.list_blocks()
