"""What a training says of the weights that it starts from, and of a recipe that needs some."""

import re
from dataclasses import replace
from pathlib import Path

import pytest
from tiny_reid import synthesize_tiny_mars

from specvid import cli
from specvid.models.weights.report import LoadReport
from specvid.pipelines.action.config import ActionConfig
from specvid.pipelines.action.recipes import probe
from specvid.pipelines.engine.config import TrainingConfig
from specvid.pipelines.engine.recipes import FROM_WEIGHTS, RECIPES, describe_weights, get_recipe, without_weights
from specvid.pipelines.pretrain.config import PretrainConfig
from specvid.pipelines.pretrain.recipes import twins
from specvid.pipelines.reid.config import ReidConfig
from specvid.pipelines.reid.recipes import baseline

assert probe and twins and baseline  # their files register the recipes
KINDS: dict[str, type[TrainingConfig]] = {"action": ActionConfig, "reid": ReidConfig, "pretrain": PretrainConfig}


@pytest.mark.parametrize("task", KINDS)
def test_the_model_cards_say_which_recipes_start_from_weights(task: str) -> None:
    cards = (Path(__file__).parents[3] / "docs/models.md").read_text()
    rows = re.findall(r"^\| (`.+?`) \| [^|]+ \| ([^|]+) \|", cards.partition(f"`specvid train {task}`")[2], re.M)
    starts = {name: start for names, start in rows for name in re.findall(r"`(\w+)`", names)}
    kind = KINDS[task]
    assert FROM_WEIGHTS[kind] == {name for name in RECIPES[kind] if starts[name] != "nothing"}


def test_what_a_training_starts_from_is_said() -> None:
    osnet, resnet = get_recipe(ReidConfig, "osnet"), get_recipe(ReidConfig, "baseline")
    assert describe_weights(replace(osnet, train=replace(osnet.train, seed=3)), None) == "none, initialised by seed 3"
    report = LoadReport("imagenet", ("a", "b"), missing={"c": "new"})
    assert describe_weights(resnet, report) == "imagenet, by recipe baseline: 2 tensors loaded\n  missing: c: new"
    other = replace(resnet, net=replace(resnet.net, weights="own.pth"))
    assert describe_weights(other, LoadReport("own.pth", ("a",))) == "own.pth: 1 tensors loaded"


def test_frozen_parts_without_weights_are_named() -> None:
    small = get_recipe(ActionConfig, "small")
    assert without_weights(small) == ""
    frozen = replace(small, train=replace(small.train, freeze=("stem",)))
    assert without_weights(frozen) == (  # recipes that start from nothing are none of the fixes: it is one
        "the network starts from no weights, and --freeze stem keeps the random numbers that it begins with. Give "
        "--weights FILE, or the name of published ones, or leave out --freeze"
    )
    assert "recipe probe is for a network that starts from weights" in without_weights(
        get_recipe(ActionConfig, "probe")
    )


def test_a_recipe_that_needs_weights_is_not_silent_without(tmp_path: Path) -> None:
    data = synthesize_tiny_mars(tmp_path / "mars")
    words = (
        "--recipe osnet --model r3d_tiny --frames 2 --height 24 --width 12 --identities 2 --tracklets 2 --batch-size 4"
    )
    quick = f"--epochs 1 --max-steps 1 --workers 0 --device cpu --no-tensorboard --runs {tmp_path} --name a"
    assert cli.run(f"train reid --data {data} {words} {quick}".split()) == 0
    log = (tmp_path / "a/log.txt").read_text()
    assert "INFO weights: none, initialised by seed 0\n" in log
    assert "WARNING recipe osnet is for a network that starts from weights, and none are given: this one" in log
    assert "a --recipe that starts from nothing (tiny" in log
