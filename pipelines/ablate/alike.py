"""Rows of an ablation that are one training under two names."""

from collections.abc import Sequence
from dataclasses import replace
from typing import Any

from specvid.config import differences
from specvid.pipelines.ablate.effective import effective
from specvid.pipelines.ablate.grid import Arm
from specvid.pipelines.ablate.placing import sites
from specvid.pipelines.engine.config import ABOUT_THE_RUN


def merge_alike(arms: Sequence[Arm]) -> tuple[list[Arm], list[str]]:
    """Leave out rows that train what an earlier one does, once recipe and defaults fill in what they do not name.

    They are left out, not refused: of several recipes one may have what a variant gives the others.

    Args:
        arms: the rows, with all their settings.

    Returns:
        The rows that differ, and a sentence on each that was left out.
    """
    kept: list[tuple[dict[str, Any], Arm]] = []
    sentences: list[str] = []
    for arm in arms:
        own = _trained(arm)
        place = next((place for place, (settings, _) in enumerate(kept) if settings == own), None)
        if place is None:
            kept.append((own, arm))
            continue
        like = kept[place][1]
        kept[place] = own, replace(like, also=(*like.also, arm.name))
        sentences.append(f"row {arm.title!r} is left out: it is {like.title!r}, for {_why(like, arm)}")
    return [arm for _, arm in kept], sentences


def _trained(arm: Arm) -> dict[str, Any]:
    """What is trained: the settings, and of the blocks where they stand, whatever that is called."""
    own = effective(arm.resolved)
    net = own.get("net", {})
    return {**own, "net": {**net, "blocks": sites(net["blocks"], net["model"])}} if net.get("blocks") else own


def _why(first: Arm, other: Arm) -> str:
    """Why two rows are one training."""
    if first.blocks != other.blocks:
        return f"their blocks stand at the same place of {other.resolved['net']['model']}"
    if idle := differences(first.resolved, other.resolved, but=ABOUT_THE_RUN):
        return f"they differ in nothing that changes a result ({'; '.join(idle)})"
    return f"recipe {other.resolved.get('recipe') or 'none'}, --set and the defaults give both the same settings"
