"""Blocks in networks that are not ours, and out again."""

import copy
import threading

import pytest
import torch
from torch import Tensor, nn

import specvid
from specvid.models.insertion.inserted_block import InsertedBlock


class Video(nn.Module):
    """A network with a stage, and a step that cannot run on the meta device."""

    def __init__(self) -> None:
        super().__init__()
        self.stem = nn.Conv3d(3, 8, 3, padding=1)
        self.stage = nn.Sequential(nn.Conv3d(8, 8, 3, padding=1), nn.BatchNorm3d(8), nn.Conv3d(8, 8, 1))
        self.head = nn.Linear(8, 2)

    def forward(self, x: Tensor) -> Tensor:
        y = self.stage(self.stem(x))
        assert float(y.abs().max()) < 1e6
        return self.head(y.mean((2, 3, 4)))


def clip(seed: int = 1) -> Tensor:
    return torch.randn(2, 3, 4, 8, 8, generator=torch.Generator().manual_seed(seed))


def test_in_and_out_again() -> None:
    torch.manual_seed(0)
    network = Video()
    network.stage[1].running_mean.normal_()
    before, stand = copy.deepcopy(network.state_dict()), torch.get_rng_state()
    network.train()
    network.stage[1].eval()  # a frozen norm
    added = specvid.insert(network, "snl@stage.-1, gc@stem.end", clip())
    assert torch.equal(stand, torch.get_rng_state())
    assert (network.training, network.stage[1].training) == (True, False)
    assert sorted(added) == ["stage.snl_before_2", "stem.gc_after"]
    assert all(torch.equal(network.state_dict()[key], value) for key, value in before.items())
    bare = Video()
    bare.load_state_dict(before)
    with torch.no_grad():
        torch.testing.assert_close(network.eval()(clip(2)), bare.eval()(clip(2)))
        for name, parameter in network.named_parameters():
            if "snl" in name or "gc" in name:
                nn.init.normal_(parameter, std=0.3)
        assert (network(clip(2)) - bare(clip(2))).abs().max() > 1e-3
        twin = copy.deepcopy(network)
        assert torch.equal(twin(clip(2)), network(clip(2)))
        assert sorted(specvid.remove(network)) == sorted(added)
        assert torch.equal(network(clip(2)), bare(clip(2)))
    assert list(network.state_dict()) == list(before)
    assert not any(module._forward_hooks or module._forward_pre_hooks for module in network.modules())


@pytest.mark.parametrize("frames", [None, 4])
def test_image_networks(frames: int | None) -> None:
    """Blocks see each image for itself, or all frames of a clip together."""
    torchvision = pytest.importorskip("torchvision")
    torch.manual_seed(0)
    network = torchvision.models.resnet18(weights=None).eval()
    images = clip().transpose(1, 2).flatten(0, 1)
    added = specvid.insert(network, "nl@layer3", images, frames=frames)
    (path,) = added
    block = network.get_submodule(path)
    assert isinstance(block, InsertedBlock) and block.dims == (2 if frames is None else 3)
    for parameter in block.parameters():
        nn.init.normal_(parameter, std=0.3)
    other = images.clone()
    other[3] = 0  # another last frame of the first clip
    with torch.no_grad():
        changed = (network(images) - network(other)).abs().amax(1) > 1e-7
    assert changed.tolist() == ([False] * 3 + [True] + [False] * 4 if frames is None else [True] * 4 + [False] * 4)
    if frames:
        with pytest.raises(ValueError, match="6 images are not clips of 4 frames"):
            network(images[:6])
    specvid.remove(network)
    network(images[:6])


def test_blocks_are_where_the_network_is() -> None:
    network = Video().double().eval()
    (path,) = specvid.insert(network, "snl@stage", clip().double())
    assert {p.dtype for p in network.get_submodule(path).parameters()} == {torch.float64}
    assert not network.get_submodule(path).training


@pytest.mark.parametrize(
    ("blocks", "example", "frames", "message"),
    [
        ("snl@stages", clip(), None, "place 'stages' is unknown.*Did you mean 'stage'"),
        ("snk@stage", clip(), None, "block 'snk' is unknown"),
        ("snl@head", clip(), None, "no block can stand|cannot stand"),
        ("snl@stage", clip()[0, 0], None, r"the example has shape \(4, 8, 8\)"),
        ("snl@stage", clip(), 4, "frames=4 does not fit"),
    ],
)
def test_mistakes_change_nothing(blocks: str, example: Tensor, frames: int | None, message: str) -> None:
    network = Video()
    with pytest.raises(ValueError, match=message):
        specvid.insert(network, blocks, example, frames=frames)
    with pytest.raises(ValueError, match="there are no inserted blocks in this Video"):
        specvid.remove(network)


def test_a_video_model_is_created_with_its_blocks() -> None:
    model = specvid.create_model("r3d_tiny")
    for call in (lambda: specvid.insert(model, "snl@layer2", clip()), lambda: specvid.remove(model)):
        with pytest.raises(ValueError, match="this is a VideoModel"):
            call()


def test_what_is_no_network_or_runs_no_modules_is_refused() -> None:
    network = Video()
    for call, says in (
        (lambda: specvid.insert("snl@stage", network, clip()), r"str is no nn.Module; the order is insert\(network"),
        (lambda: specvid.insert(network, "snl@stage", (1, 3, 4, 8, 8)), "the example is a tuple, and must be a tensor"),
        (lambda: specvid.insert(network, None, clip()), "blocks None is a NoneType, and must be a text"),
        (
            lambda: specvid.insert(torch.compile(network, backend="eager"), "snl@stage", clip()),
            "this is a OptimizedModule, compiled code .*; insert before compiling",
        ),
        (lambda: specvid.remove(torch.jit.script(nn.Sequential(nn.ReLU()))), "Module, compiled code"),
    ):
        with pytest.raises(ValueError, match=says):
            call()


@pytest.mark.parametrize("wrapped", [False, True])
def test_stages_have_their_names_in_papers(wrapped: bool) -> None:
    """So a published placement is a string for anybody's ResNet, also in DataParallel."""
    models = pytest.importorskip("torchvision.models")
    network = models.resnet18(weights=None).eval()
    outer = nn.DataParallel(network) if wrapped else network
    added = specvid.insert(outer, "nl_1, gc@res3.end", torch.randn(2, 3, 32, 32))
    assert [path.removeprefix("module.") for path in added] == ["layer2.gc_after_1", "layer3.nl_before_1"]


def test_replicas_of_data_parallel_know_their_clips() -> None:
    """They run in threads of their own, and in what is inside of it."""
    models = pytest.importorskip("torchvision.models")
    outer = nn.DataParallel(models.resnet18(weights=None).eval())
    images = torch.randn(4, 3, 32, 32)
    with torch.no_grad():
        before = outer(images)
    specvid.insert(outer, "snl@res4", images, frames=4)
    results: list[Tensor] = []

    def replica() -> None:
        with torch.no_grad():
            results.append(outer.module(images))

    thread = threading.Thread(target=replica)
    thread.start()
    thread.join()
    assert torch.equal(results[0], before)
    with pytest.raises(ValueError, match="3 images are not clips of 4 frames"):
        outer(images[:3])
    specvid.remove(outer)
    with torch.no_grad():
        assert torch.equal(outer(images), before) and outer(images[:3]).shape == (3, 1000)
    assert not any("specvid_frames" in vars(module) for module in outer.modules())
