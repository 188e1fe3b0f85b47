"""GhostNet, G-Ghost, HorNet, MobileNetV2: published numbers of parameters, timm's GhostNet, formulas, names."""

import math

import pytest
import torch
from torch import Tensor, nn
from trained_norms import randomise_norms

import specvid
from specvid.models.about import count_parameters
from specvid.models.backbones.g_ghost_regnet import GhostStage
from specvid.models.backbones.hornet import DEPTHS, ORDERS


@pytest.mark.parametrize(
    ("name", "parameters"),
    [
        ("ghostnet", 5_182_508),
        ("g_ghost_regnet_x_3_2gf", 10_511_000),
        ("hornet_tiny", 22_409_512),
        ("mobilenet_v2", 3_504_872),
    ],
)
def test_the_published_number_of_parameters(name: str, parameters: int) -> None:
    with torch.device("meta"):
        assert count_parameters(specvid.create_model(name, num_classes=1000)) == parameters


def test_mobilenet_v2_inflates_to_video(tmp_path) -> None:
    """A still clip gives in every frame what the image network gives, with the same weights."""
    torch.manual_seed(0)
    image = specvid.create_model("mobilenet_v2").eval()
    randomise_norms(image)
    torch.save(image.backbone.state_dict(), tmp_path / "weights.pth")
    video = specvid.create_model("inflated:mobilenet_v2", weights=tmp_path / "weights.pth").eval()
    assert video.dims == 3
    clip = torch.randn(1, 3, 1, 32, 32).expand(-1, -1, 4, -1, -1)
    with torch.no_grad():
        torch.testing.assert_close(video.embed(clip), image.embed(clip), rtol=1e-4, atol=1e-5)


def test_ghostnet_equals_timm(tmp_path) -> None:
    timm = pytest.importorskip("timm")
    torch.manual_seed(0)
    network = timm.create_model("ghostnet_100", num_classes=11).eval()
    randomise_norms(network)
    torch.save(network.state_dict(), tmp_path / "weights.pth")
    model = specvid.create_model("ghostnet", num_classes=11, weights=tmp_path / "weights.pth").eval()
    assert not (model.loaded.missing or model.loaded.unexpected or model.loaded.mismatched)
    clip = torch.randn(1, 3, 2, 64, 64)
    with torch.no_grad():
        frames = torch.stack([network(clip[:, :, t]) for t in range(2)])
        torch.testing.assert_close(model(clip), frames.mean(0), rtol=1e-4, atol=1e-5)


def test_g_ghost_is_its_formula() -> None:
    """A stage of four blocks: 36 of 96 channels go through the two in the middle, 60 are ghosts of the first."""
    torch.manual_seed(0)
    stage = GhostStage(16, out=96, depth=4, group_width=48).double().eval()
    randomise_norms(stage)
    stage.double()
    x = torch.randn(2, 16, 6, 6, dtype=torch.float64)
    first = stage.base(x)
    middle = stage.layers[0](first[:, :36])
    last = stage.layers[1](middle)
    means = torch.cat((first, middle, last), dim=1).mean((2, 3))
    assert means.shape == (2, 96 + 2 * 36)

    def affine(layer: nn.Module, norm: nn.Module, y: Tensor) -> Tensor:
        y = torch.einsum("oc,nc...->no...", layer.weight.flatten(1), y).movedim(1, -1)
        y = (y - norm.running_mean) / (norm.running_var + norm.eps).sqrt() * norm.weight + norm.bias
        return y.movedim(-1, 1)

    mix = affine(stage.merge[4], stage.merge[5], affine(stage.merge[1], stage.merge[2], means).relu())
    ghosts = (affine(stage.cheap[0], stage.cheap[1], first[:, 36:]) + mix[:, :, None, None]).relu()
    torch.testing.assert_close(stage(x), stage.end(torch.cat((last, ghosts), dim=1)))


def _theirs(state: dict[str, Tensor]) -> dict[str, Tensor]:
    """A checkpoint of ours under HorNet's names, with its shapes."""
    names = {"proj": "proj_in", "depthwise": "dwconv", "raises": "pws", "out": "proj_out"}
    found = {}
    for key, value in state.items():
        key = key.removeprefix("backbone.").removeprefix("tail.").replace("head.classifier", "head")
        if ".gnconv." in key:
            before, after = key.split(".gnconv.")
            module, rest = after.split(".", 1)
            key, value = f"{before}.gnconv.{names[module]}.{rest}", value.unsqueeze(-1) if value.ndim == 3 else value
        found[key] = value
    return found


def _formula(state: dict[str, Tensor], x: Tensor) -> Tensor:
    """HorNet's forward pass from the names and shapes of its checkpoints."""

    def conv(key: str, y: Tensor, **geometry: int) -> Tensor:
        return nn.functional.conv2d(y, state[f"{key}.weight"], state[f"{key}.bias"], **geometry)

    def norm(key: str, y: Tensor) -> Tensor:
        mean, var = y.mean(1, keepdim=True), y.var(1, keepdim=True, unbiased=False)
        scaled = (y - mean) / (var + 1e-6).sqrt()
        return scaled * state[f"{key}.weight"][:, None, None] + state[f"{key}.bias"][:, None, None]

    for stage, (depth, order) in enumerate(zip(DEPTHS, ORDERS, strict=True)):
        step = f"downsample_layers.{stage}"
        x = norm(f"{step}.1", conv(f"{step}.0", x, stride=4)) if stage == 0 else x
        x = conv(f"{step}.1", norm(f"{step}.0", x), stride=2) if stage else x
        width = x.shape[1]
        widths = [width // 2 ** (order - 1 - k) for k in range(order)]
        for number in range(depth):
            block = f"stages.{stage}.{number}"
            y = conv(f"{block}.gnconv.proj_in", norm(f"{block}.norm1", x))
            p, a = y.split((widths[0], sum(widths)), dim=1)
            gates = (conv(f"{block}.gnconv.dwconv", a, padding=3, groups=a.shape[1]) / 3).split(widths, dim=1)
            p = p * gates[0]
            for k, gate in enumerate(gates[1:]):
                p = conv(f"{block}.gnconv.pws.{k}", p) * gate
            x = x + state[f"{block}.gamma1"][:, None, None] * conv(f"{block}.gnconv.proj_out", p)
            y = norm(f"{block}.norm2", x)
            weights = [state[f"{block}.pwconv{k}.{kind}"] for k in (1, 2) for kind in ("weight", "bias")]
            y = torch.einsum("oc,nchw->nohw", weights[0], y) + weights[1][:, None, None]
            y = y / 2 * (1 + torch.erf(y / math.sqrt(2)))
            y = torch.einsum("oc,nchw->nohw", weights[2], y) + weights[3][:, None, None]
            x = x + state[f"{block}.gamma2"][:, None, None] * y
    mean = norm("norm", x.mean((2, 3), keepdim=True)).flatten(1)
    return mean @ state["head.weight"].T + state["head.bias"]


def test_hornet_is_its_formula_and_reads_its_checkpoints(tmp_path) -> None:
    torch.manual_seed(0)
    source = specvid.create_model("hornet_tiny", num_classes=5)
    for parameter in source.parameters():
        nn.init.normal_(parameter, std=0.05)
    state = _theirs(source.state_dict())
    torch.save({"model": state}, tmp_path / "weights.pth")
    model = specvid.create_model("hornet_tiny", num_classes=5, weights=tmp_path / "weights.pth").eval()
    assert not (model.loaded.missing or model.loaded.unexpected or model.loaded.mismatched)
    clip = torch.randn(1, 3, 2, 32, 32)
    with torch.no_grad():
        wanted = torch.stack([_formula(state, clip[:, :, t]) for t in range(2)]).mean(0)
        torch.testing.assert_close(model(clip), wanted, rtol=1e-4, atol=1e-5)


@pytest.mark.parametrize(
    ("name", "place"), [("ghostnet", "blocks.6"), ("hornet_tiny", "stages.2"), ("g_ghost_regnet_x_3_2gf", "layer4")]
)
def test_blocks_go_into_them(name: str, place: str) -> None:
    torch.manual_seed(0)
    bare = specvid.create_model(name, num_classes=3).eval()
    torch.manual_seed(0)
    model = specvid.create_model(name, num_classes=3, blocks=f"snl@{place}.-1, gc@{place}").eval()
    x = torch.randn(1, 3, 2, 64, 64)
    with torch.no_grad():
        assert torch.equal(model(x), bare(x))


def test_a_wrong_width_is_named() -> None:
    with pytest.raises(ValueError, match="width=0 of backbone 'ghostnet' must be a number greater than 0"):
        specvid.create_model("ghostnet", width=0)
