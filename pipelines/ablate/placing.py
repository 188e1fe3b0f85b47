"""Where the blocks of a grid stand: the sites that their places mean, and a place for one that has none."""

from __future__ import annotations

from collections.abc import Mapping
from functools import cache
from typing import TYPE_CHECKING

from specvid.models.insertion.grammar import parse_blocks
from specvid.models.insertion.published import PLACEMENTS

if TYPE_CHECKING:
    from specvid.models import VideoModel


def sites(blocks: str, model: str) -> str:
    """Blocks with the sites that their places mean: ``layer2.-1``, ``layer2.3`` and ``layer2:1`` can be one.

    Args:
        blocks: in the grammar.
        model: the network that they go into.

    Returns:
        A text that is equal where the networks are; `blocks` where that is not known, as of a place that is wrong,
        which is said where it is inserted.
    """
    from specvid.models.insertion.places import resolve

    network = _bare(model)
    if network is None:
        return blocks
    try:
        return repr(
            [
                (one.block, one.options, resolve(network.backbone, one.place, network.aliases))
                for one in parse_blocks(blocks)
            ]
        )
    except ValueError:
        return blocks


def no_place(block: str, task: str, settings: Mapping[str, str], recipe: str = "") -> ValueError:
    """The error for a block without a place, with one of the network that the grid trains.

    Args:
        block: as it was given.
        task: ``reid`` or ``action``.
        settings: of every training, by name.
        recipe: that the trainings start from; empty for that of the model.

    Returns:
        The error, to be raised.
    """
    place = _place_in(settings.get("model") or _model_of(task, recipe))
    return ValueError(
        f"block {block!r} has no place: write {block}@{place}, or give --places. Published placements bring theirs "
        f"along: {', '.join(PLACEMENTS)}."
    )


def _model_of(task: str, recipe: str) -> str:
    """The network of trainings that name none; imported here: a grid is light to import."""
    from specvid.pipelines.action import recipes as of_action
    from specvid.pipelines.engine.recipes import get_recipe
    from specvid.pipelines.reid import recipes as of_reid

    try:
        if task == "reid":
            return get_recipe(of_reid.ReidConfig, recipe or of_reid.recipe_for("", "")).net.model
        return get_recipe(of_action.ActionConfig, recipe or of_action.recipe_for("", "")).net.model
    except ValueError:  # no recipe is called so, which is said later
        return ""


def _place_in(model: str) -> str:
    """A place late in a network, the papers' res4 where it has one; ``PLACE`` where it is not known."""
    from specvid.models.insertion.places import stages

    network = _bare(model)
    if network is None:
        return "PLACE"
    found = {path: count for path, count in stages(network.backbone).items() if "." not in path}
    late = network.aliases.get("res4") or (list(found)[-2] if len(found) > 1 else "")
    if late:
        return f"{late}.-1"
    if found:
        return next(f"{path}.{2 * count // 3}" for path, count in found.items())
    children = [name for name, _ in network.backbone.named_children()]
    return children[2 * len(children) // 3] if children else "PLACE"


@cache
def _bare(model: str) -> VideoModel | None:
    """A network for its names alone; None where it may be code of somebody else, or a download."""
    import torch

    from specvid.models.backbones.registry import list_backbones
    from specvid.models.factory import create_model

    if model not in list_backbones():
        return None
    with torch.device("meta"):
        return create_model(model)
