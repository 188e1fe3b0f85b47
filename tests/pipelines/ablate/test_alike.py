"""Rows that are one training under two names."""

import pytest

from specvid.cli.train_reid import TRAIN_REID
from specvid.pipelines.ablate.alike import merge_alike
from specvid.pipelines.ablate.grid import AblationConfig, Arm, make_arms, resolve


def merge(*variants: str, recipes: tuple[str, ...] = ()) -> tuple[list[Arm], list[str]]:
    settings = ("data=DIR", "model=osnet_x0_25", "epochs=3")
    grid = AblationConfig(set=settings, blocks=("snl@conv3.-1",), variants=variants, recipes=recipes)
    return merge_alike(resolve(grid, make_arms(grid), TRAIN_REID.parse))


@pytest.mark.parametrize("variant", ["block-lr=10 gate-lr=100", "gate_lr=100", "block-lr=10.0"])
def test_what_the_recipe_sets_already_makes_no_row(variant: str) -> None:
    """OSNet's recipe has these rates: one network was trained twice, and was two rows, equal to the last digit."""
    arms, (sentence,) = merge("", variant)
    assert [arm.title for arm in arms] == ["bare", "snl@conv3.-1"]
    assert sentence.startswith("row 'snl@conv3.-1 ")
    assert "' is left out: it is 'snl@conv3.-1', for recipe osnet, --set and the defaults give both" in sentence


@pytest.mark.parametrize(
    ("variant", "differs"), [("workers=37", "workers: "), ("save-every=5", "save_every: "), ("wandb=true", "wandb: ")]
)
def test_settings_that_change_nothing_make_no_row(variant: str, differs: str) -> None:
    arms, sentences = merge("", variant)
    assert len(arms) == len(sentences) == 2
    assert f"for they differ in nothing that changes a result ({differs}" in sentences[0]


@pytest.mark.parametrize("variant", ["devices=2", "nodes=2", "device=cpu", "precision=fp32", "max-steps=3"])
def test_what_decides_how_it_is_computed_makes_a_row(variant: str) -> None:
    """A batch norm over half a batch was the same training as one over all of it."""
    arms, sentences = merge("", variant)
    assert (len(arms), sentences) == (4, [])
    assert [arms[1].is_baseline_of(arm) for arm in arms] == [False, False, False, True]


def test_rows_that_differ_are_taken() -> None:
    arms, sentences = merge("", "block-lr=3 gate-lr=30", "lr=1e-4", "max-steps=5")
    assert (len(arms), sentences) == (7, [])


def test_of_several_recipes_one_may_have_what_a_variant_gives_the_others() -> None:
    arms, sentences = merge("", "block-lr=10 gate-lr=100", recipes=("mobile", "osnet"))
    assert (len(arms), len(sentences)) == (5, 1)


def test_a_row_keeps_its_bare_network_where_that_has_another_name() -> None:
    arms, sentences = merge("", "lr=3.5e-4 block-lr=3")
    assert [arm.title for arm in arms] == ["bare", "snl@conv3.-1", "snl@conv3.-1 lr=3.5e-4 block-lr=3"]
    assert len(sentences) == 1
    assert [arms[0].is_baseline_of(arm) for arm in arms] == [False, True, True]


def test_a_recipe_that_is_named_and_the_model_s_own_are_one() -> None:
    arms, sentences = merge("", recipes=("", "osnet"))
    assert (len(arms), len(sentences)) == (2, 2)


def test_what_is_set_already_makes_no_row_and_is_said() -> None:
    """It went without a word."""
    arms, sentences = merge("", "epochs=3")
    assert [(arm.title, arm.also) for arm in arms] == [
        ("bare", ("bare-epochs-3",)),
        ("snl@conv3.-1", ("snl-conv3.-1-epochs-3",)),
    ]
    assert sentences[0].startswith("row 'bare epochs=3' is left out: it is 'bare', for recipe osnet, --set and")


def test_places_of_one_site_are_one_row() -> None:
    """``conv4.-1``, ``conv4.1`` and ``conv4:1`` were three rows, each trained with every seed."""
    places = ("conv4.-1", "conv4.1", "conv4:1", "conv4.0", "conv4.end", "conv4.1.no_such_place")
    grid = AblationConfig(set=("data=DIR", "model=osnet_x0_25"), blocks=("snl", "nl"), places=places)
    arms, sentences = merge_alike(resolve(grid, make_arms(grid), TRAIN_REID.parse))
    kept = [f"{block}@{places[index]}" for block in ("snl", "nl") for index in (0, 3, 4, 5)]
    assert [arm.blocks for arm in arms] == ["", *kept]
    assert len(sentences) == 4
    assert sentences[0] == (
        "row 'snl@conv4.1' is left out: it is 'snl@conv4.-1', for their blocks stand at the same place of osnet_x0_25"
    )
