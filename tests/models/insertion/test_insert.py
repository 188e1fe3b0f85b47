"""Places mean what ``list.insert`` means, and inserting changes nothing but adding the blocks."""

import copy
import pickle

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from torch import Tensor, nn

from specvid.models import create_model
from specvid.models.clip import ForwardPass
from specvid.models.insertion import insert as insertion_module
from specvid.models.insertion.grammar import Place
from specvid.models.insertion.insert import insert_blocks
from specvid.models.insertion.inserted_block import InsertedBlock
from specvid.models.insertion.places import resolve, stages, trace
from specvid.models.spec import Backbone, InputSpec

INPUT = InputSpec(frames=4, stride=1, size=8, resize=8)


class Recorder(nn.Module):
    """A block that remembers what it was given, and adds one, so that it can be seen in the result."""

    def __init__(self, channels: int, dims: int) -> None:
        super().__init__()
        self.channels, self.dims = channels, dims
        self.one = nn.Parameter(torch.ones(()))
        self.seen: list[tuple[tuple[int, ...], Tensor | None]] = []

    def forward(self, x: Tensor, mask: Tensor | None = None) -> Tensor:
        assert x.shape[1] == self.channels
        assert x.ndim == self.dims + 2
        self.seen.append((tuple(x.shape), mask))
        return x + self.one


class Residual(nn.Module):
    """Not a container: its layers are reached by hooks only. ``act`` runs twice, ``unused`` never."""

    def __init__(self, channels: int) -> None:
        super().__init__()
        self.conv, self.norm = nn.Conv3d(channels, channels, 1), nn.BatchNorm3d(channels)
        self.act, self.unused = nn.ReLU(inplace=True), nn.Conv3d(channels, channels, 1)
        self.tail = nn.ModuleList([nn.Identity(), nn.Sequential(nn.Identity(), nn.Identity())])

    def forward(self, x: Tensor) -> Tensor:
        y = self.act(self.norm(self.conv(self.act(x))))
        for layer in self.tail:
            y = layer(y)
        return x + y


@pytest.fixture
def recorders(monkeypatch: pytest.MonkeyPatch) -> None:
    """Makes `insert_blocks` insert recorders, whatever block is asked for."""

    def create(name: str, channels: int, dims: int, options: dict[str, object]) -> nn.Module:
        return Recorder(channels, dims)

    monkeypatch.setattr(insertion_module, "_block", create)


def residual_backbone() -> Backbone:
    torch.manual_seed(0)
    stem = nn.Conv3d(3, 5, 1)
    module = nn.Sequential()
    module.add_module("stem", stem)
    module.add_module("stage", nn.Sequential(Residual(5), Residual(5), Residual(5)))
    return Backbone(module, 5, INPUT, aliases={"res2": "stage"})


def order(network: nn.Sequential) -> list[str]:
    """Names of the children, with the inserted ones as '*'."""
    return ["*" if isinstance(child, InsertedBlock) else name for name, child in network.named_children()]


@pytest.mark.usefixtures("recorders")
@settings(deadline=None, max_examples=40)
@given(size=st.integers(1, 6), data=st.data())
def test_places_in_a_container_are_those_of_list_insert(size: int, data: st.DataObject) -> None:
    index = data.draw(st.integers(-size, size - 1) | st.just("end"))
    stage = nn.Sequential(*(nn.Conv3d(3, 3, 1) for _ in range(size)))
    expected: list[str] = [str(i) for i in range(size)]
    expected.insert(size if index == "end" else index, "*")
    paths = insert_blocks(Backbone(nn.Sequential(stage), 3, INPUT), f"snl@0.{index}")
    assert order(stage) == expected
    assert len(paths) == 1


@pytest.mark.usefixtures("recorders")
@settings(deadline=None, max_examples=40)
@given(places=st.lists(st.integers(-4, 3).map(str) | st.just("end"), max_size=5))
def test_all_places_mean_the_bare_network(places: list[str]) -> None:
    """Reference: each gap of the bare stage collects its blocks; none shifts another, whatever their order."""
    stage = nn.Sequential(*(nn.Conv3d(3, 3, 1) for _ in range(4)))
    gaps = [0] * 5
    for place in places:
        gaps[4 if place == "end" else int(place) % 4] += 1
    expected = [name for i in range(5) for name in ["*"] * gaps[i] + [str(i)] * (i < 4)]
    blocks = ", ".join(f"snl@0.{place}" for place in places)
    insert_blocks(Backbone(nn.Sequential(stage), 3, INPUT), blocks)
    assert order(stage) == expected


@pytest.mark.parametrize(
    ("children", "count", "before"),
    [
        (6, 1, [5]),
        (6, 2, [2, 5]),
        (6, 3, [1, 3, 5]),
        (6, 5, [1, 2, 3, 4, 5]),
        (6, 6, [0, 1, 2, 3, 4, 5]),
        (4, 2, [1, 3]),
        (2, 5, [0, 0, 1, 1, 1]),
        (3, 2, [1, 2]),
    ],
)
def test_blocks_are_spread_evenly(children: int, count: int, before: list[int]) -> None:
    stage = nn.Sequential(*(nn.Identity() for _ in range(children)))
    sites = resolve(nn.Sequential(stage), Place("0", count), {})
    assert [(site.target, site.after) for site in sites] == [(f"0.{index}", False) for index in before]


@pytest.mark.parametrize(
    ("place", "target", "after"),
    [
        ("stage", "stage.2", False),
        ("res2", "stage.2", False),
        ("res2.0", "stage.0", False),
        ("stage.end", "stage.2", True),
        ("end", "stage", True),
        ("-1", "stage", False),
        ("stem", "stem", False),
        ("stem.end", "stem", True),
        ("stage.-3.norm", "stage.0.norm", False),
        ("stage.1.tail", "stage.1.tail.1", False),
        ("stage.1.tail.-1", "stage.1.tail.1", False),
        ("stage.1.tail.1.0", "stage.1.tail.1.0", False),
    ],
)
def test_places(place: str, target: str, after: bool) -> None:
    backbone = residual_backbone()
    (site,) = resolve(backbone.module, Place(place), backbone.aliases)
    assert (site.target, site.after) == (target, after)


def test_blocks_at_one_place_stand_in_the_order_given() -> None:
    backbone = residual_backbone()
    paths = insert_blocks(backbone, "nl@stage, snl@stage, ns@stem.end, snl@stage.2, nl@stage.1.end")
    assert paths == [
        "ns_after_stem",
        "stage.nl_before_2",
        "stage.snl_before_2",
        "stage.snl_before_2_2",
        "stage.nl_after_1",
    ]


@pytest.mark.usefixtures("recorders")
@pytest.mark.parametrize(
    ("place", "path"),
    [
        ("stage.1", "stage.snl_before_1"),
        ("stage.1.norm", "stage.1.norm.snl_before"),
        ("stage.1.norm.end", "stage.1.norm.snl_after"),
        ("stage.1.tail.0", "stage.1.tail.0.snl_before"),
        ("stage.1.tail.1", "stage.1.tail.1.snl_before_0"),
        ("stage.1.tail.end", "stage.1.tail.1.snl_after_1"),
    ],
)
def test_a_block_runs_once_and_copies_run_their_own(place: str, path: str) -> None:
    backbone = residual_backbone()
    network, x = backbone.module, torch.randn(2, 3, 4, 8, 8)
    before = network(x)
    bare_names = set(network.state_dict())
    assert insert_blocks(backbone, f"snl@{place}") == [path]
    assert set(network.state_dict()) == bare_names | {f"{path}.block.one"}
    assert "snl_" in repr(network)

    block = network.get_submodule(path).block
    y = network(x)
    assert block.seen == [((2, 5, 4, 8, 8), None)]
    assert not torch.equal(y, before)  # it adds one
    for twin in (copy.deepcopy(network), pickle.loads(pickle.dumps(network))):
        twin_block = twin.get_submodule(path).block
        assert torch.equal(twin(x), y)
        assert (len(twin_block.seen), len(block.seen)) == (2, 1)
        with torch.no_grad():
            twin_block.one.zero_()
        assert torch.equal(twin(x), before)
        assert torch.equal(network(x), y)
        block.seen.pop()


@pytest.mark.usefixtures("recorders")
def test_several_blocks_by_hooks_on_one_module() -> None:
    backbone = residual_backbone()
    paths = insert_blocks(backbone, "a@stage.0.norm, b@stage.0.norm, c@stage.0.norm.end")
    assert paths == ["stage.0.norm.a_before", "stage.0.norm.b_before", "stage.0.norm.c_after"]
    backbone.module(torch.randn(1, 3, 4, 8, 8))
    assert [len(backbone.module.get_submodule(path).block.seen) for path in paths] == [1, 1, 1]


@pytest.mark.parametrize("settings", [{"blocks": "snl@conv3.-1"}, {"conv": "dcd@conv3"}])
def test_a_place_that_is_not_there_names_the_backbone(settings: dict[str, str]) -> None:
    says = r"^backbone 'r3d_tiny': place 'conv3.*' is unknown: the backbone has no 'conv3'"
    with pytest.raises(ValueError, match=says):
        create_model("r3d_tiny", **settings)


@pytest.mark.parametrize(
    ("blocks", "message"),
    [
        ("sln@stage", r"'sln@stage'.*'sln' is unknown.*Did you mean 'snl'"),
        ("snl(mdoe=st)@stage", r"'mdoe' is unknown.*Did you mean 'mode'"),
        ("snl@stgae", r"place 'stgae' is unknown: the backbone has no 'stgae'.*Did you mean 'stage'.*stage \(0 to 2"),
        ("snl@stage.3", r"'stage' has 3 children, 3 is out of range; use 0 to 2, -1 to -3, or 'end'"),
        ("snl@stage.-4", "-4 is out of range"),
        ("snl@stage.1.tial", r"'stage.1' has no 'tial'.*Did you mean 'stage.1.tail'"),
        ("snl@stem:2", "'stem' is not a stage"),
        ("snl@stage.1.act", "'stage.1.act': it runs 2 times"),
        ("snl@stage.1.unused", "'stage.1.unused': it never runs"),
        ("snl(dims=2)@stage", "dims=2; this backbone takes 3"),
        ("snl@res9", "Did you mean 'res2'"),
    ],
)
def test_mistakes_leave_the_network_as_it_was(blocks: str, message: str) -> None:
    backbone = residual_backbone()
    before = repr(backbone.module)
    with pytest.raises(ValueError, match=message):
        insert_blocks(backbone, f"snl@stage, {blocks}")
    assert repr(backbone.module) == before


def test_a_place_without_feature_maps_is_refused() -> None:
    network = nn.Sequential(nn.Conv3d(3, 4, 1), nn.Flatten(), nn.Identity())
    with pytest.raises(ValueError, match=r"what flows there has shape \(2, 1024\), not \(B, C, T, H, W\)"):
        insert_blocks(Backbone(network, 4, INPUT), "snl@2")


def test_trace_costs_no_arithmetic_and_changes_nothing() -> None:
    backbone = residual_backbone()
    state = copy.deepcopy(backbone.module.state_dict())
    random = torch.get_rng_state()
    seen = trace(backbone.module.train(), (1, 3, 32, 224, 224))
    assert seen["stage.1"].output == (1, 5, 32, 224, 224)
    assert (seen["stage.1.act"].calls, "stage.1.unused" in seen) == (2, False)
    assert all(torch.equal(value, state[name]) for name, value in backbone.module.state_dict().items())
    assert torch.equal(torch.get_rng_state(), random)
    assert not any(module._forward_hooks for module in backbone.module.modules())
    assert stages(backbone.module) == {"stage": 3}


@pytest.mark.usefixtures("recorders")
def test_blocks_of_an_image_network_see_whole_clips() -> None:
    network = nn.Sequential(nn.Conv2d(3, 6, 1), nn.Conv2d(6, 6, 1))
    insert_blocks(Backbone(network, 6, INPUT, dims=2), "snl@1, nl(dims=2)@end")
    several, single = network.snl_before_1.block, network.nl_after_1.block
    x = torch.randn(2 * 5, 3, 8, 8)
    with pytest.raises(ValueError, match="call the VideoModel"):
        network(x)
    mask = torch.ones(2, 5, dtype=torch.bool)
    with ForwardPass(5, mask):
        y = network(x)
    assert several.seen == [((2, 6, 5, 8, 8), mask)]
    assert single.seen == [((10, 6, 8, 8), None)]
    first, second = (layer for layer in network if isinstance(layer, nn.Conv2d))
    assert torch.allclose(y, second(first(x) + 1) + 1)


@pytest.mark.usefixtures("recorders")
def test_the_mask_of_a_video_network_is_pooled_to_its_time_steps() -> None:
    network = nn.Sequential(nn.Conv3d(3, 3, 1, stride=(2, 1, 1)), nn.Conv3d(3, 3, 1, stride=(2, 1, 1)))
    insert_blocks(Backbone(network, 3, INPUT), "snl@0, snl@1, snl@end")
    mask = torch.tensor([[1, 1, 1, 1, 1, 1, 1, 1], [1, 1, 1, 0, 0, 0, 0, 0], [0, 0, 0, 0, 0, 1, 0, 0]]).bool()
    with ForwardPass(8, mask):
        network(torch.randn(3, 3, 8, 4, 4))
    masks = [network.get_submodule(name).block.seen[0][1].int().tolist() for name in ("snl_before_0", "snl_before_1")]
    assert masks[0] == mask.int().tolist()
    assert masks[1] == [[1, 1, 1, 1], [1, 1, 0, 0], [0, 0, 1, 0]]
    assert network.snl_after_1.block.seen[0][1].int().tolist() == [[1, 1], [1, 0], [0, 1]]
