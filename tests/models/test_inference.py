"""`VideoModel.for_inference`: the same numbers in float64, of any backbone and block; what must stand is not folded."""

import pytest
import torch
from torch import Tensor, nn
from torch.nn.modules.batchnorm import _BatchNorm

from specvid.models import VideoModel, create_model
from specvid.models.blocks import create_block
from specvid.models.blocks.block import NonlocalBlock
from specvid.models.blocks.unit import Unit
from specvid.models.convolutions import Convolution
from specvid.models.inference.batch_norms import fold_batch_norms

NONLOCAL = ("snl", "snl_2019", "gsnl", "nl", "ns", "a2", "relu_dot", "dnl", "cheb", "cayley", "arma", "heat")
UNFOLDED = ("cgnl", "cc")  # a group norm; no weights


def trained(module: nn.Module) -> nn.Module:
    """A network as if it had been trained: no norm and no gate stands where it started."""
    generator = torch.Generator().manual_seed(1)
    with torch.no_grad():
        for part in module.modules():
            if isinstance(part, _BatchNorm):
                part.running_mean.normal_(generator=generator).mul_(0.1)
                part.running_var.uniform_(0.5, 2, generator=generator)
                part.weight.uniform_(0.5, 1.5, generator=generator)
                part.bias.normal_(generator=generator).mul_(0.1)
            if isinstance(part, Unit):
                part.strength.normal_(generator=generator)
    return module.double().eval()


def network(name: str, blocks: str = "", **options) -> VideoModel:
    torch.manual_seed(0)
    return trained(create_model(name, blocks=blocks, num_classes=4, **options))


def clip(model: VideoModel, frames: int = 4, size: tuple[int, int] = (32, 32)) -> Tensor:
    return torch.randn(2, model.input.channels, frames, *size, dtype=torch.float64)


@pytest.mark.parametrize("name", ["r3d_tiny", "osnet_ain_x0_25", "mobilenet_v2", "timm:resnet18"])
def test_networks_compute_the_same(name: str) -> None:
    model = network(name)
    folded = model.for_inference()
    assert folded.folded.kept == () and folded.folded.norms == sum(isinstance(m, _BatchNorm) for m in model.modules())
    x = clip(model, size=(64, 32))
    with torch.no_grad():
        torch.testing.assert_close(folded(x), model(x), rtol=1e-9, atol=1e-9)
        torch.testing.assert_close(folded.embed(x), model.embed(x), rtol=1e-9, atol=1e-9)
    assert any(isinstance(m, _BatchNorm) for m in model.modules())  # the network itself is as it was


@pytest.mark.slow
@pytest.mark.parametrize(
    "name",
    [
        *("efficientnet_b0", "mobilenet_v3_small", "densenet121", "regnet_y_400mf", "swin_t", "s3d", "i3d_inception"),
        *("i3d_r50", "resnet3d_18", "r2plus1d_18", "mc3_18"),
        *("timm:efficientnet_b0", "timm:resnetv2_50", "timm:repvgg_a0", "timm:vit_tiny_patch16_224"),
    ],
)
def test_more_networks_compute_the_same(name: str) -> None:
    model = network(name)
    folded = model.for_inference()
    x = clip(model, model.input.frames, model.input.crop)
    with torch.no_grad():
        torch.testing.assert_close(folded(x), model(x), rtol=1e-9, atol=1e-9)


@pytest.mark.parametrize(
    "options", ["", "(norm=none)", "(norm=group)", "(gating=channel)", "(relu=False)", "(mode=t)", "(mode=t+s)"]
)
@pytest.mark.parametrize("masked", [False, True])
def test_options_of_blocks(options: str, masked: bool) -> None:
    model = network("r3d_tiny", f"snl{options}@layer2.-1")
    folded = model.for_inference()
    assert folded.folded.units == (0 if "group" in options else 2 if "t+s" in options else 1)
    x = clip(model)
    mask = torch.tensor([[True] * 4, [True, True, False, False]]) if masked else None
    with torch.no_grad():
        torch.testing.assert_close(folded(x, mask), model(x, mask), rtol=1e-9, atol=1e-9)


@pytest.mark.parametrize("name", [*NONLOCAL, *UNFOLDED])
def test_every_nonlocal_block(name: str) -> None:
    torch.manual_seed(0)
    block = trained(create_block(name, 8, dims=3))
    x = torch.randn(2, 8, 3, 4, 5, dtype=torch.float64)
    with torch.no_grad():
        expected = block(x)
        for unit in block.units:
            assert unit.fold() == (name not in UNFOLDED)
        torch.testing.assert_close(block(x), expected, rtol=1e-9, atol=1e-9)
    block(x.requires_grad_()).sum().backward()  # a gradient of the input, for those who look inside
    assert x.grad.isfinite().all()


@pytest.mark.parametrize("positions", [(2, 3, 3), (2, 20, 20)])
@pytest.mark.parametrize("dtype", [torch.float64, torch.float32, torch.bfloat16])
def test_many_and_few_positions_in_every_precision(positions: tuple[int, ...], dtype: torch.dtype) -> None:
    torch.manual_seed(0)
    block = trained(create_block("snl", 16, dims=3))
    x = torch.randn(3, 16, *positions, dtype=torch.float64)
    with torch.no_grad():
        expected = block(x)
        block.units[0].fold()
        close = {torch.float64: 1e-9, torch.float32: 1e-5, torch.bfloat16: 0.1}[dtype]
        torch.testing.assert_close(block.to(dtype)(x.to(dtype)).double(), expected, rtol=close, atol=close)


def test_a_block_with_gates_at_zero_is_left_out() -> None:
    blocks = "snl@layer1.-1, snl(gate=0.5)@layer2.-1, se@layer2.-1"
    model = create_model("r3d_tiny", blocks=blocks, num_classes=4).eval()
    folded = model.for_inference()
    assert len(folded.folded.left_out) == 1 and "1 block with gates at 0 left out" in str(folded.folded)
    assert sum(isinstance(m, NonlocalBlock) for m in folded.modules()) == 1
    x = clip(model).float()
    with torch.no_grad():
        torch.testing.assert_close(folded(x), model(x), rtol=1e-5, atol=1e-5)


def test_it_is_neither_trained_nor_saved(tmp_path) -> None:
    folded = create_model("r3d_tiny", num_classes=4).for_inference()
    assert folded.eval() is folded
    with pytest.raises(ValueError, match="copy for inference, without norms to train"):
        folded.train()
    with pytest.raises(ValueError, match="save the network that it was made of"):
        folded.save_pretrained(tmp_path / "out")
    assert not (tmp_path / "out").exists()


class Odd(nn.Module):
    """Layers before norms that must stay, one of which may go."""

    def __init__(self) -> None:
        super().__init__()
        self.read_twice, self.norm_1 = nn.Conv2d(3, 4, 1), nn.BatchNorm2d(4)
        self.run_twice, self.norm_2, self.norm_3 = nn.Conv2d(4, 4, 1), nn.BatchNorm2d(4), nn.BatchNorm2d(4)
        self.hooked, self.norm_4 = nn.Conv2d(4, 4, 1), nn.BatchNorm2d(4)
        self.weighted, self.norm_5 = nn.utils.parametrizations.weight_norm(nn.Conv2d(4, 4, 1)), nn.BatchNorm2d(4)
        self.standardised, self.norm_6 = Standardised(4, 4, 1), nn.BatchNorm2d(4)
        self.plain, self.norm_7 = nn.Conv2d(4, 4, 3, padding=1, groups=2), nn.BatchNorm2d(4)
        self.hooked.register_forward_hook(lambda module, args, output: output * 2)

    def forward(self, x: Tensor) -> Tensor:
        y = self.read_twice(x)
        y = y + self.norm_1(y)
        y = self.norm_3(self.run_twice(self.norm_2(self.run_twice(y))))
        y = self.norm_5(self.weighted(self.norm_4(self.hooked(y))))
        return self.norm_7(self.plain(self.norm_6(self.standardised(y))))


class Standardised(nn.Conv2d):
    """A convolution whose weights are standardised in each forward pass."""

    def forward(self, x: Tensor) -> Tensor:
        weight = (self.weight - self.weight.mean((1, 2, 3), keepdim=True)) / self.weight.std((1, 2, 3), keepdim=True)
        return nn.functional.conv2d(x, weight, self.bias)


def test_only_what_the_norm_alone_reads_is_folded() -> None:
    torch.manual_seed(0)
    model = network("r3d_tiny")
    model.backbone, model.dims = trained(Odd()), 2
    model.head, model.pool = nn.Identity(), nn.Identity()
    x = torch.randn(2, 3, 5, 6, dtype=torch.float64)
    with torch.no_grad():
        expected = model.backbone(x)
        model.outputs = lambda clip: model.backbone(clip[:, :, 0])
        norms, kept = fold_batch_norms(model)
        assert norms == 1
        assert kept == tuple(f"backbone.norm_{i}" for i in range(1, 7))
        torch.testing.assert_close(model.backbone(x), expected, rtol=1e-9, atol=1e-9)


class Picky(nn.Module):
    """A pooling that small maps do not pass, nor others than those of its size."""

    def __init__(self, side: int) -> None:
        super().__init__()
        self.side = side

    def forward(self, x: Tensor, mask: Tensor | None) -> Tensor:
        if x.shape[-1] != self.side:
            raise RuntimeError("maps of another size")
        return x.mean((2, 3, 4))


@pytest.mark.parametrize(("side", "folds"), [(28, True), (27, False)])  # of 112 px, of no clip that the network takes
def test_a_network_that_takes_one_size_is_run_at_it(side: int, folds: bool) -> None:
    model = network("r3d_tiny", input={"size": 112, "resize": 112})
    assert model.forward_features(clip(model, size=(112, 112))).shape[-1] == 28
    model.pool = Picky(side)
    folded = model.for_inference()
    assert bool(folded.folded.norms) == folds and bool(folded.folded.kept) != folds


def test_replaced_convolutions_of_one_kernel_become_plain_ones_with_their_norms() -> None:
    model = network("r3d_tiny", conv="phc(n=2)@layer2.0.conv2, dcd@layer2.1.conv2, linear_conv@layer1.0.conv1")
    folded = model.for_inference()
    merged = ("layer1.0.conv1", "layer2.0.conv2")
    assert folded.folded.merged == merged and str(folded.folded).endswith("2 replaced convolutions merged")
    assert all(type(folded.backbone.get_submodule(path)) is nn.Conv3d for path in merged)
    assert [type(m).__name__ for m in folded.modules() if isinstance(m, Convolution)] == ["DynamicDecomposition"]
    norms = sum(isinstance(m, _BatchNorm) for m in model.modules())
    assert folded.folded.norms == norms - 3  # two in dcd, and the one behind it
    x = clip(model)
    with torch.no_grad():
        torch.testing.assert_close(folded(x), model(x), rtol=1e-9, atol=1e-9)
    assert model.config["conv"].startswith("phc") and isinstance(model.backbone.layer1[0].conv1, Convolution)
