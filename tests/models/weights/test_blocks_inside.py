"""Checkpoints of whole networks with blocks inside, of other projects: they compute here what they computed there."""

import copy
from pathlib import Path

import pytest
import torch
from published_blocks import AlexHex7, SlowFast, SpatialCGNL, SpatialStage, randomise
from slowfast_names import slowfast_names
from torch import Tensor, nn

import specvid
from specvid.models.blocks import create_block
from specvid.models.insertion.published import PLACEMENTS

NLN = "nl@res3.2, nl@res3.end, nl@res4.2, nl@res4.4, nl@res4.end"


def image_network(block: nn.Module, *, name: str) -> nn.Module:
    """torchvision's ResNet with a block before the last child of layer3, whose index it shifts, as SNL's repository."""
    models = pytest.importorskip("torchvision.models")
    torch.manual_seed(0)
    network = models.get_model(name, weights=None, num_classes=5).double()
    children = list(network.layer3)
    network.layer3 = nn.Sequential(*children[:-1], block, children[-1])
    return settle_norms(network, torch.randn(4, 3, 48, 48, dtype=torch.float64))


def settle_norms(network: nn.Module, x: Tensor) -> nn.Module:
    """Running statistics of the network's own features, so that they neither vanish nor explode.

    It comes back in eval mode, in float64, with numbers that float32 holds.
    """
    for module in network.modules():
        if isinstance(module, nn.modules.batchnorm._BatchNorm):
            module.reset_running_stats()
            module.momentum = None  # the plain mean of all batches
    with torch.no_grad():
        network.train()
        network(x)
    network.eval()
    return network.float().double()


def saved(folder: Path, state: dict[str, Tensor]) -> Path:
    torch.save(state, folder / "theirs.pth")
    return folder / "theirs.pth"


def same(ours: Tensor, theirs: Tensor) -> None:
    """Logits, both in float64."""
    assert theirs.std() > 1e-3
    torch.testing.assert_close(ours, theirs, rtol=1e-9, atol=1e-9)


BLOCKS = {
    "snl@layer3.5": lambda: SpatialStage(1024, kind="snl"),
    "snl(units=3)@res4": lambda: SpatialStage(256, kind="snl", units=3),
    "ns@res4": lambda: SpatialStage(256, kind="ns"),
    "nl@res4": lambda: SpatialStage(256, kind="nl"),
    "cgnl(kernel=gaussian, scale=False, groups=8)@res4": lambda: SpatialCGNL(256, groups=8, order=2, use_scale=False),
    "nl(kernel=dot)@res4": lambda: AlexHex7(256, kernel="dot", sub_sample=True, norm=True, dims=2),
}


@pytest.mark.parametrize("blocks", BLOCKS)
def test_image_networks_with_a_block_in_layer3(blocks: str, tmp_path: Path) -> None:
    name = "resnet50" if blocks == "snl@layer3.5" else "resnet18"
    theirs = image_network(randomise(BLOCKS[blocks](), std=0.05), name=name)
    path = saved(tmp_path, {f"module.{key}": value for key, value in theirs.state_dict().items()})
    model = specvid.create_model(name, blocks=blocks, num_classes=5, weights=str(path)).eval()
    report = model.loaded
    assert (report.missing, report.unexpected, report.mismatched) == ({}, {}, {})
    images = torch.randn(2, 3, 48, 48, dtype=torch.float64, generator=torch.Generator().manual_seed(1))
    with torch.no_grad():
        same(model.double()(images.unsqueeze(2)), theirs(images))
        bare = copy.deepcopy(model)
        for key, parameter in bare.named_parameters():
            if key.endswith(".gate"):
                parameter.zero_()
        assert (bare(images.unsqueeze(2)) - theirs(images)).abs().max() > 1e-3  # the block does something
    again = specvid.create_model(**model.config).eval()  # what the weights determine is in the configuration
    again.load_state_dict(model.state_dict())


def test_video_network_with_a_block_in_layer3(tmp_path: Path) -> None:
    """The I3D of 1911.01059's repository: Hara et al.'s ResNet-50 with its spatio-temporal block."""
    torch.manual_seed(0)
    bare = specvid.create_model("resnet3d_50", shortcut="B", num_classes=5)
    theirs = bare.backbone
    block = randomise(SpatialStage(1024, kind="snl_2019", dims=3), std=0.02)
    theirs.layer3 = nn.Sequential(*list(theirs.layer3)[:5], block, theirs.layer3[5])
    bare.double()
    clip = torch.randn(2, 3, 8, 48, 48, dtype=torch.float64)
    settle_norms(bare, clip)
    state = theirs.state_dict() | {f"fc.{key}": value for key, value in bare.head.classifier.state_dict().items()}
    path = saved(tmp_path, state)
    model = specvid.create_model("resnet3d_50", shortcut="B", num_classes=5, blocks="snl_i3d", weights=str(path)).eval()
    assert model.loaded.missing == {}
    with torch.no_grad():
        same(model.double()(clip), bare.eval()(clip))


MODES = {"embedded_gaussian": "embedded", "gaussian": "gaussian", "dot_product": "dot"}


SLOW = [pytest.param(mode, marks=pytest.mark.slow) for mode in ("gaussian", "dot_product")]


@pytest.mark.parametrize("mode", ["embedded_gaussian", *SLOW])
def test_i3d_nl_of_mmaction2(mode: str, tmp_path: Path) -> None:
    """Its three configurations of I3D-NL, with random weights."""
    backbones = pytest.importorskip("mmaction.models.backbones", reason="pip install 'specvid[mmaction]'")
    torch.manual_seed(0)
    theirs = backbones.ResNet3d(
        depth=50,
        pretrained=None,
        pretrained2d=False,
        conv1_kernel=(5, 7, 7),
        conv1_stride_t=2,
        pool1_stride_t=2,
        inflate=((1, 1, 1), (1, 0, 1, 0), (1, 0, 1, 0, 1, 0), (0, 1, 0)),
        non_local=((0, 0, 0), (0, 1, 0, 1), (0, 1, 0, 1, 0, 1), (0, 0, 0)),
        non_local_cfg={"sub_sample": True, "use_scale": False, "norm_cfg": {"type": "BN3d"}, "mode": mode},
    ).double()
    for name, parameter in theirs.named_parameters():
        if "non_local_block" in name:
            nn.init.normal_(parameter, mean=float(name.endswith("bn.weight")), std=0.02)
    clip = torch.randn(2, 3, 16, 64, 64, dtype=torch.float64)
    settle_norms(theirs, clip)
    fc = nn.Linear(2048, 5)
    state = {f"backbone.{key}": value for key, value in theirs.state_dict().items()}
    state |= {f"cls_head.fc_cls.{key}": value for key, value in fc.state_dict().items()}
    blocks = NLN if mode == "embedded_gaussian" else NLN.replace("nl@", f"nl(kernel={MODES[mode]})@")
    model = specvid.create_model("i3d_r50", blocks=blocks, num_classes=5).eval()
    report = specvid.models.weights.load_weights(model, saved(tmp_path, {"state_dict": state}))
    assert (report.missing, report.unexpected, report.mismatched) == ({}, {}, {})
    messages = [message for message in report.adapted.values() if "block of another project" in message]
    assert len(messages) == 5
    assert ("do not determine" in messages[0]) == (mode == "embedded_gaussian")  # of two with the same keys
    assert "sub_sample=True" in model.config["blocks"]
    with torch.no_grad():
        same(model.double()(clip), fc.double()(theirs(clip).mean((2, 3, 4))))


def test_i3d_nln_of_slowfast(tmp_path: Path) -> None:
    """Five blocks that see pooled features, under SlowFast's names."""
    torch.manual_seed(0)
    bare = specvid.create_model("i3d_r50", variant="slowfast", num_classes=5)
    clip = torch.randn(2, 3, 8, 64, 64)
    settle_norms(bare, clip)
    body = slowfast_names({k: v for k, v in bare.backbone.state_dict().items() if "num_batches" not in k})
    assert "s3.pathway0_res0.branch2.a_bn.running_mean" in body
    theirs = {}
    for stage, children, channels in (("layer2", (1, 3), 512), ("layer3", (1, 3, 5), 1024)):
        for child in children:
            block = randomise(SlowFast(channels), std=0.02, seed=child).float().double()
            network = getattr(bare.backbone, stage)
            network[child] = nn.Sequential(network[child], block)
            prefix = f"s{int(stage[-1]) + 1}.pathway0_nonlocal{child}."
            theirs |= {prefix + key: value for key, value in block.state_dict().items()}
    head = {f"head.projection.{key}": value for key, value in bare.head.classifier.state_dict().items()}
    path = saved(tmp_path, {"model_state": body | theirs | head})
    model = specvid.create_model("i3d_r50", blocks="i3d_nln", num_classes=5).eval()
    report = specvid.models.weights.load_weights(model, path)
    assert (report.missing, report.unexpected, report.mismatched) == ({}, {}, {})
    assert "sub_sample=input" in model.config["blocks"]
    clip = clip.double()
    with torch.no_grad():
        same(model.double()(clip), bare.eval()(clip))


def test_placements_are_strings_of_blocks() -> None:
    def paths(blocks: str) -> list[str]:
        with torch.device("meta"):
            model = specvid.create_model("i3d_r50", blocks=blocks)
        return [name for name, _ in model.named_modules() if "_before_" in name or "_after_" in name]

    assert paths("i3d_nln") == paths(NLN) != []
    assert paths("i3d_nln") != paths("nl@res3:2, nl@res4:3")
    model = specvid.create_model("resnet18", blocks="nl_1, snl@res3")
    assert model.config["blocks"] == "nl@res4, snl@res3"
    with pytest.raises(ValueError, match=r"does not say which block goes where; Did you mean 'i3d_nln'\?"):
        specvid.create_model("resnet18", blocks="i3d_nl")


@pytest.mark.parametrize("name", PLACEMENTS)
def test_every_placement_stands_in_a_resnet(name: str) -> None:
    with torch.device("meta"):
        model = specvid.create_model("resnet50", blocks=name)
    assert sum(getattr(module, "insertion", None) is not None for module in model.modules()) > 0


def test_mistakes_are_named_and_nothing_is_loaded(tmp_path: Path) -> None:
    theirs = image_network(
        randomise(AlexHex7(256, kernel="embedded", sub_sample=False, norm=True, dims=2)), name="resnet18"
    )
    path = str(saved(tmp_path, theirs.state_dict()))
    cases = {
        "": r"has a block \(layer3.1.\*: W.0.bias.*before child 1 of layer3.*blocks='nl@layer3.1'$",
        "nl@layer3.end": "before child 1 of layer3, where the model has none",
        "nl@layer3": r"do not determine 'kernel': create the model with blocks='nl\(kernel=...\)@...'",
        "nl(kernel=embedded, bias=False)@layer3": "with bias=True, but the model was created with bias=False",
        "tsm@layer3": "has a part without weights at its place",
        "snl@layer3": "official module 'snl' has no key",
    }
    for blocks, message in cases.items():
        model = specvid.create_model("resnet18", blocks=blocks, num_classes=5)
        before = {key: value.clone() for key, value in model.state_dict().items()}
        with pytest.raises(ValueError, match=message):
            specvid.models.weights.load_weights(model, path)
        assert model.config["blocks"] == blocks
        after = model.state_dict()
        assert before.keys() == after.keys()
        assert all(torch.equal(before[key], after[key]) for key in before)
    model = specvid.create_model("resnet18", num_classes=5)
    report = specvid.models.weights.load_weights(model, path, strict=False)
    assert report.missing == {}
    assert len(report.unexpected) == 12


def test_the_answer_names_the_places_of_all_blocks(tmp_path: Path) -> None:
    blocks = {f"layer{s}.{c}.non_local_block.theta.conv.weight": torch.ones(2) for s, c in ((2, 1), (2, 3), (3, 5))}
    body = specvid.create_model("i3d_r50").backbone.state_dict()
    state = {name.replace("conv1.weight", "conv1.conv.weight"): value for name, value in body.items()} | blocks
    with pytest.raises(ValueError, match=r"blocks='nl@layer2.2, nl@layer2.end, nl@layer3.end'$"):
        specvid.create_model("i3d_r50", weights=str(saved(tmp_path, state)))


def test_a_block_knows_what_it_was_created_with() -> None:
    block = create_block("cheb", 8, dims=2, order=3)
    assert (block.config.name, block.config.channels, block.config.dims) == ("cheb", 8, 2)
    assert block.config.options == {"order": 3}
    assert copy.deepcopy(block).config == block.config
