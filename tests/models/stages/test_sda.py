"""Selective depth attention: the recorded modules, and stages of networks wrapped by it and unwrapped again."""

import copy
import threading
from pathlib import Path
from typing import Any

import pytest
import torch
from safetensors.torch import load_file
from torch import Tensor, nn
from torchvision.models.resnet import Bottleneck, ResNet

import specvid
from specvid.models.blocks import from_official
from specvid.models.stages import DepthStage, SelectiveDepth
from specvid.models.tree import describe

GOLDEN = Path(__file__).parents[2] / "golden" / "stages"
CLIP = torch.randn(2, 3, 4, 32, 32, generator=torch.Generator().manual_seed(0))
# what the references were made with (manifest.json of the golden files)
CONSTRUCTORS: dict[str, dict[str, Any]] = {
    "sda": {"inplanes": 16, "planes": 16, "blocks": 3, "stride": 1, "r": 2, "L": 6},
    "sda_stage": {"inplanes": 16, "planes": 8, "blocks": 3, "stride": 2, "r": 16, "L": 8},
}
# network -> a stage, options
STAGES = {
    "r3d_tiny": ("layer2", {}),
    "resnet18": ("layer4", {}),
    "r3d_18": ("res5", {}),
    "timm:resnet18": ("layer4", {}),
    "mmaction:ResNet3d": ("layer4", {"depth": 18}),
    "mmaction:ResNet": ("layer4", {"depth": 18}),
}
FAST = ("r3d_tiny", "resnet18")


@pytest.mark.parametrize(("name", "dims"), [("sda", 2), ("sda", 3), ("sda_stage", 2)])
def test_equals_the_recorded_module(name: str, dims: int) -> None:
    numbers = load_file(GOLDEN / f"{name}.safetensors")
    state = {key.removeprefix("param."): value for key, value in numbers.items() if key.startswith("param.")}
    module = from_official(name, state, constructor=CONSTRUCTORS[name], dims=dims)
    x = numbers["x"].clone().requires_grad_()
    y = module(x) if dims == 2 else module(x.unsqueeze(3)).squeeze(2)
    y.backward(numbers["grad_y"])
    torch.testing.assert_close(y, numbers["y"], rtol=0, atol=1e-5)
    torch.testing.assert_close(x.grad, numbers["grad_x"], rtol=0, atol=1e-5)


def test_every_recorded_file_is_compared() -> None:
    assert {file.stem for file in GOLDEN.iterdir()} == set(CONSTRUCTORS)


def test_sda_resnet50_has_the_authors_number_of_parameters() -> None:
    """Stages of 5, 6, 12 and 5 bottlenecks of 8 groups; a batch norm of 2048 channels stands before the classifier."""
    torch.manual_seed(0)
    network = ResNet(Bottleneck, [5, 6, 12, 5], groups=8, width_per_group=8)
    stages = ", ".join(f"sda(identity=False)@layer{number}" for number in range(1, 5))
    specvid.insert(network, stages, torch.randn(1, 3, 32, 32))
    assert sum(p.numel() for p in network.parameters()) + 2 * 2048 == 27_219_880


def _model(name: str, blocks: str = "", **more: Any) -> nn.Module:
    for scheme, library in (("timm:", "timm"), ("mmaction:", "mmaction.models")):
        if name.startswith(scheme):
            pytest.importorskip(library)
    torch.manual_seed(0)
    options = {"num_classes": 3, "input": {"frames": 4}, **STAGES[name][1], **more}
    return specvid.create_model(name, blocks=blocks, **options).eval()


def _wake(model: nn.Module) -> None:
    """Give the mixtures an effect, and branches that start at 0 too."""
    for module in model.modules():
        if isinstance(module, SelectiveDepth) and module.gate is not None:
            nn.init.ones_(module.gate)
        if isinstance(module, (nn.BatchNorm2d, nn.BatchNorm3d)):
            nn.init.ones_(module.weight)


@pytest.mark.parametrize("name", [n if n in FAST else pytest.param(n, marks=pytest.mark.slow) for n in STAGES])
def test_wraps_a_stage(name: str) -> None:
    """A fresh one is the identity; then it is its formula, with what the blocks give before their last ReLU."""
    stage = STAGES[name][0]
    bare, model = _model(name), _model(name, f"sda@{stage}")
    assert torch.equal(model(CLIP), bare(CLIP))
    assert set(bare.state_dict()) <= set(model.state_dict())
    (wrapped,) = [module for module in model.modules() if isinstance(module, DepthStage)]
    _wake(model)
    seen: list[Tensor] = []
    watched = [*(wrapped.get_submodule(one.name) for one in wrapped.blocks), wrapped]
    hooks = [module.register_forward_hook(lambda *args: seen.append(args[2])) for module in watched]
    model(CLIP)
    for hook in hooks:
        hook.remove()
    *maps, y = seen
    assert all(one.min() < 0 for one in maps)
    sda = wrapped.sda
    u = sum(maps).flatten(2).mean(-1)
    v = sda.norm(u @ sda.reduce.weight.T).relu()
    w = torch.stack([v @ one.weight.T + one.bias for one in sda.expand]).softmax(0)
    mixed = sum(a.reshape(*a.shape, *(1 for _ in z.shape[2:])) * z for a, z in zip(w, maps, strict=True))
    torch.testing.assert_close(y, mixed.relu())
    model.train()(CLIP).square().sum().backward()
    assert [key for key, p in wrapped.named_parameters() if p.grad is None or not p.grad.any()] == []


def test_goes_with_blocks_copies_weights_and_threads(tmp_path: Path) -> None:
    model = _model("resnet18", "snl@layer4.-1, gc@layer4.end, sda(least=8)@layer4")
    _wake(model)
    wanted = model(CLIP)
    specvid.models.weights.save_weights(model, tmp_path / "model.safetensors")
    twin = specvid.create_model(**model.config, weights=tmp_path / "model.safetensors").eval()
    assert torch.equal(twin(CLIP), wanted)
    assert torch.equal(copy.deepcopy(model)(CLIP), wanted)
    results: list[Tensor] = []
    threads = [threading.Thread(target=lambda: results.append(model(CLIP))) for _ in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert len(results) == 4
    assert all(torch.equal(one, wanted) for one in results)
    specvid.models.weights.save_weights(_model("resnet18"), tmp_path / "bare.safetensors")
    again = specvid.create_model(**model.config, weights=tmp_path / "bare.safetensors").eval()
    # 64 px: behind 32 px lies a map of 1 x 1, where PyTorch chooses its convolution by strides that mean nothing
    larger = torch.randn(2, 3, 4, 64, 64)
    assert torch.equal(again(larger), _model("resnet18")(larger))


def test_compiles_exports_and_runs_in_half_precision() -> None:
    torch.compiler.reset()
    model = _model("r3d_tiny", "sda@layer2")
    _wake(model)
    stage = next(module for module in model.modules() if isinstance(module, DepthStage))
    x = torch.randn(2, next(stage.parameters()).shape[1], 2, 8, 8)
    with torch.no_grad():
        wanted = stage(x)
        torch.testing.assert_close(torch.compile(stage, backend="eager", fullgraph=True)(x), wanted)
        torch.testing.assert_close(torch.export.export(stage, (x,)).module()(x), wanted)
        half = stage.to(torch.bfloat16)(x.bfloat16())
    assert half.dtype == torch.bfloat16
    assert (half.float() - wanted).norm() / wanted.norm() < 0.05


def test_in_and_out_of_anybodys_network() -> None:
    torch.manual_seed(0)
    network = ResNet(Bottleneck, [2, 1, 1, 1], groups=8, width_per_group=8).eval()
    x = torch.randn(2, 3, 32, 32)
    wanted, names = network(x), set(network.state_dict())
    specvid.insert(network, "sda@layer1, gc@layer2", x)
    assert torch.equal(network(x), wanted)
    _wake(network)
    changed = network(x)
    assert not torch.equal(changed, wanted)
    assert "layer1" in specvid.remove(network)
    assert set(network.state_dict()) == names
    torch.testing.assert_close(network(x), wanted)
    assert type(network.layer1) is nn.Sequential and type(network.layer1[0].relu) is nn.ReLU


def test_is_shown_in_the_tree_of_a_backbone() -> None:
    text = describe("r3d_tiny", blocks="sda@layer2", conv="dcd@layer1.0")
    (line,) = [line for line in text.splitlines() if line.startswith("+")]
    with torch.device("meta"):
        own = sum(p.numel() for p in SelectiveDepth(_width(), blocks=_blocks()).parameters())
    assert line.split()[:4] == ["+", "layer2.sda", f"{own:,}", "parameters"]
    assert f"{own:,} of them in inserted blocks" in text
    assert "4 x dcd (start: exact)" in text and "~" in text


def _blocks() -> int:
    return len(specvid.create_model("r3d_tiny").backbone.layer2)


def _width() -> int:
    return specvid.create_model("r3d_tiny").feature_dim


@pytest.mark.parametrize(
    ("blocks", "message"),
    [
        ("sda@conv1", "wraps a stage, an nn.Sequential of residual blocks"),
        ("sda@layer4:2", "wraps a stage"),
        ("sda@layer4, sda@res5", "'layer4' is wrapped twice"),
        ("sda(leest=3)@layer4", "Did you mean 'least'"),
        ("sda(least=0)@layer4", "least=0 of 'sda' is not possible"),
        ("sda@layer4.0.downsample", "is no stage of residual blocks: '0' does not end in a ReLU"),
    ],
)
def test_mistakes_are_named(blocks: str, message: str) -> None:
    with pytest.raises(ValueError, match=message):
        specvid.create_model("resnet18", blocks=blocks)
