"""The rows of an ablation, their names and command lines."""

import pytest
import torch

from specvid.cli.train_action import TRAIN_ACTION
from specvid.cli.train_reid import TRAIN_REID
from specvid.models import create_model
from specvid.pipelines.ablate.grid import AblationConfig, make_arms, resolve

GRID = AblationConfig(
    set=("data=DIR", "model=osnet_x0_25", "epochs=3", "flip_test=false"),
    blocks=("snl", "nl(gate=0.1)@conv4.-1"),
    places=("conv2.-1", "conv3.-1"),
    variants=("", "block-lr=10 gate_lr=100"),
    seeds=(0, 1),
)


def test_blocks_without_a_place_go_to_each_and_the_bare_network_comes_once() -> None:
    """Settings of blocks alone make no second bare network."""
    assert [(arm.blocks, dict(arm.variant)) for arm in make_arms(GRID)] == [
        ("", {}),
        ("snl@conv2.-1", {}),
        ("snl@conv2.-1", {"block-lr": "10", "gate-lr": "100"}),
        ("snl@conv3.-1", {}),
        ("snl@conv3.-1", {"block-lr": "10", "gate-lr": "100"}),
        ("nl(gate=0.1)@conv4.-1", {}),
        ("nl(gate=0.1)@conv4.-1", {"block-lr": "10", "gate-lr": "100"}),
    ]


def test_published_placements_bring_their_places_along() -> None:
    """They were to be given one, under which no block of their name is known."""
    given = ("i3d_nln", "nl_1, snl_r50", "i3d_nln, snl@res5", "snl", "i3d_nln, snl")
    grid = AblationConfig(task="action", set=("data=DIR", "model=i3d_r50"), blocks=given, places=("layer1.end",))
    arms = make_arms(grid)
    assert [arm.blocks for arm in arms] == ["", *given[:3], "snl@layer1.end", "i3d_nln, snl@layer1.end"]
    assert arms[1].name == "i3d_nln"
    with torch.device("meta"):
        for arm in resolve(grid, arms, TRAIN_ACTION.parse):
            create_model(arm.resolved["net"]["model"], blocks=arm.blocks)
    assert make_arms(AblationConfig(blocks=("i3d_nln",)))[1].blocks == "i3d_nln"


def test_of_several_blocks_those_without_a_place_get_one() -> None:
    """One of them had a place, and so none was to need one: --places was refused."""
    given = ("snl, nl@conv4.-1", "nl(gate=0.1, kernel=dot), i3d_nln")
    arms = make_arms(AblationConfig(blocks=given, places=("a", "b")))
    assert [arm.blocks for arm in arms[1:3]] == ["snl@a, nl@conv4.-1", "snl@b, nl@conv4.-1"]
    assert arms[3].blocks == "nl(gate=0.1, kernel=dot)@a, i3d_nln"


def test_a_bare_network_belongs_to_the_rows_of_its_own_settings() -> None:
    arms = make_arms(AblationConfig(set=("lr=1e-3",), blocks=("snl@a",), variants=("", "lr=1e-4", "block-lr=10")))
    bare = {arm.name: arm for arm in arms if not arm.blocks}
    assert bare.keys() == {"bare", "bare-lr-1e-4"}
    owners = {arm.name: [name for name, own in bare.items() if own.is_baseline_of(arm)] for arm in arms}
    assert owners == {
        "bare": [],
        "bare-lr-1e-4": [],
        "snl-a": ["bare"],
        "snl-a-lr-1e-4": ["bare-lr-1e-4"],
        "snl-a-block-lr-10": ["bare"],
    }


def test_the_command_line_of_a_training_parses() -> None:
    grid = AblationConfig(
        set=("data=DIR", "model=osnet_x0_25", "epochs=3", "tensorboard=false", "milestones=1,2", "freeze=conv1,conv2"),
        blocks=("snl(gate=0.1)@conv3.-1",),
        variants=("block-lr=10",),
        recipes=("osnet",),
        runs="some/runs",
    )
    bare, with_block = (TRAIN_REID.parse(arm.words(grid, 4)[2:]) for arm in make_arms(grid))
    assert (with_block.net.blocks, with_block.train.block_lr, with_block.train.seed) == (
        "snl(gate=0.1)@conv3.-1",
        10,
        4,
    )
    assert (bare.net.blocks, bare.train.epochs, bare.train.milestones) == ("", 3, (1, 2))
    assert bare.train.freeze == ("conv1", "conv2")
    assert (bare.train.tensorboard, bare.resume, bare.recipe, bare.runs) == (False, "auto", "osnet", "some/runs")
    assert with_block.name == "snl-gate-0.1-conv3.-1-block-lr-10-seed4"


@pytest.mark.parametrize(
    ("settings", "says"),
    [
        ({"set": ("epochs",)}, "must read name=value"),
        ({"set": ("=3",)}, "setting '=3' must read name=value"),
        ({"variants": ("=3",)}, "setting '=3' must read name=value"),
        ({"set": ("lr=1", "epochs=3", "lr=2")}, "'lr=1' and 'lr=2' are for one training, which has one lr"),
        ({"variants": ("block_lr=1 block-lr=2",)}, "'block_lr=1' and 'block-lr=2' are for one training, which has one"),
        ({"runs": ""}, "runs '' names no folder"),
        ({"set": ("--epochs=3",)}, "without dashes"),
        ({"set": ("help=1",)}, "setting 'help=1' is no setting: `specvid train reid --help` prints them"),
        ({"variants": ("help-all=1",)}, "setting 'help-all=1' is no setting"),
        ({"set": ("seed=3",)}, "the grid gives seed itself"),
        ({"variants": ("blocks=snl",)}, "the grid gives blocks itself"),
        ({"blocks": ("snl",)}, r"has no place: write snl@layer3\.-1, "),
        ({"blocks": ("snl",), "set": ("model=osnet_x0_25",)}, r"has no place: write snl@conv4\.-1, "),
        ({"blocks": ("snl",), "set": ("model=mobilenet_v2",)}, r"has no place: write snl@features\.12, "),
        ({"blocks": ("snl",), "recipes": ("tiny",)}, r"has no place: write snl@layer1\.-1, "),
        ({"blocks": ("snl",), "recipes": ("tinny",)}, "has no place: write snl@PLACE, "),
        ({"blocks": ("snl",), "set": ("model=hf:x",), "task": "action"}, "has no place: write snl@PLACE, "),
        ({"blocks": ("",)}, "blocks has an empty text"),
        ({"blocks": ("snl@a", " ")}, "blocks has an empty text"),
        ({"blocks": ("snl",), "places": ("",)}, "places has an empty text"),
        ({"blocks": ("snl", "nl", "snl"), "places": ("a",)}, "blocks has 'snl' twice"),
        ({"blocks": ("snl",), "places": ("a", "a")}, "places has 'a' twice"),
        ({"recipes": ("tiny", "tiny")}, "recipes has 'tiny' twice"),
        ({"places": ("a", "b")}, "places a b: no block goes there, for there are no --blocks"),
        ({"blocks": ("snl@a",), "places": ("b",)}, "places b: no block goes there, for each of --blocks has a place"),
        ({"jobs": 0}, "jobs 0 must be at least 1"),
        ({"blocks": ("i3d_nnl",)}, "Published placements bring theirs along: i3d_nln, nl_1, "),
        ({"blocks": ("i3d_nln, snl",)}, "block 'snl' has no place: write snl@layer3"),
        ({"blocks": ("nl(gate=0.1, kernel=dot), nl@a",)}, r"block 'nl\(gate=0.1, kernel=dot\)' has no place"),
        ({"blocks": ("snl(gate=@a",)}, r"snl\(gate=@a"),
        ({"seeds": (1, 1)}, "give each seed once"),
        ({"seeds": ()}, "at least one"),
    ],
)
def test_mistakes(settings: dict, says: str) -> None:
    with pytest.raises(ValueError, match=says):
        AblationConfig(**settings)


def test_rows_of_one_name_are_refused() -> None:
    with pytest.raises(ValueError, match=r"rows 'snl@a\.b' and 'snl@a\.b ' would both have"):
        make_arms(AblationConfig(blocks=("snl@a.b", "snl@a.b ")))


def test_a_block_that_stands_somewhere_twice_is_refused() -> None:
    with pytest.raises(ValueError, match=r"blocks has 'snl@a' twice, once by --places"):
        make_arms(AblationConfig(blocks=("snl", "snl@a"), places=("a",)))


def test_a_list_may_be_empty() -> None:
    """Milestones of a recipe could not be left out."""
    grid = AblationConfig(set=("data=DIR", "milestones=", "schedule=cosine", "epochs=1"))
    (arm,) = resolve(grid, make_arms(grid), TRAIN_REID.parse)
    assert arm.resolved["train"]["milestones"] == []


def test_a_sign_makes_another_run() -> None:
    arms = make_arms(AblationConfig(blocks=("nl(gate=0.1)@conv3.-1", "nl(gate=-0.1)@conv3.-1", "nl@conv3.-1")))
    assert [arm.name for arm in arms] == ["bare", "nl-gate-0.1-conv3.-1", "nl-gate--0.1-conv3.-1", "nl-conv3.-1"]
