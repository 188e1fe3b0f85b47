"""The demo's first part: the same small network with and without one spectral block, on clips that need it."""

import dataclasses
import statistics
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Any

from specvid.datasets.synthetic import synthesize_ucf101
from specvid.pipelines.action.config import ActionConfig
from specvid.pipelines.action.recipes import small
from specvid.pipelines.demo.runs import BLOCK, describe_seeds, figure, network_cells, with_and_without
from specvid.pipelines.engine.log import console, echo
from specvid.text import to_text

BARE_AT_MOST, BLOCK_AT_LEAST = 0.65, 0.90  # top-1: what the demo is there to show


def demo_action(root: Path, *, seeds: Iterable[int], recipe: ActionConfig | None = None, scenes: int = 14) -> bool:
    """Synthesize clips, train with and without the block, and print both scores.

    Clips and finished runs that are there are not made again; a killed training goes on where it was.

    Args:
        root: Folder of the clips (``ucf101``) and the runs (``bare-seed0``, ``snl-seed0``, ...).
        seeds: Of the trainings.
        recipe: The training; the recipe ``small`` if not given.
        scenes: Size of the data set, as in `synthesize_ucf101`.

    Returns:
        Whether the block makes the difference that the demo is there to show.
    """
    recipe = recipe or small()
    console.print(f"synthesizing clips in UCF-101's layout: {root / 'ucf101'}")
    data = synthesize_ucf101(root / "ucf101", scenes=scenes, overwrite=True)
    recipe = dataclasses.replace(recipe, clips=dataclasses.replace(recipe.clips, data=str(data.root)))
    results = with_and_without(recipe, root, prefix="", seeds=seeds, afresh=data.written)
    echo(f"\n{describe_task(results)}\n\n{to_text(rows(recipe.net.model, results))}")
    bare, block = (mean_top1(results[blocks]) for blocks in ("", BLOCK))
    if bare < BARE_AT_MOST and block > BLOCK_AT_LEAST:
        return True
    echo(
        f"This is not what the demo is there to show: top-1 below {100 * BARE_AT_MOST:.0f} % without the block, "
        f"above {100 * BLOCK_AT_LEAST:.0f} % with it."
    )
    return False


def describe_task(results: dict[str, list[dict[str, Any]]]) -> str:
    """What the networks have to do, and what the figures are of.

    Args:
        results: results.json of each run, by network.

    Returns:
        A paragraph.
    """
    runs = results[BLOCK]
    entry = final_score(runs[0])
    return (
        "Two spots, far apart in space and time: do they move the same way? (2 classes, chance is 50 %)\n"
        f"Top-1 on {entry['scored']} of {entry['listed']} unseen clips, split {entry['split']}, "
        f"{entry['clips']} clip x {entry['crops']} crop, last epoch, {describe_seeds(runs)}."
    )


def rows(model: str, results: dict[str, list[dict[str, Any]]]) -> list[list[str]]:
    """The table of the demo.

    Args:
        model: name of the backbone.
        results: results.json of each run, by network.

    Returns:
        Rows of text, heading first.
    """
    table = [["network", "parameters", "each position sees", "top-1 %"]]
    for blocks, runs in results.items():
        table.append([*network_cells(model, blocks, runs), figure([final_score(run)["top1"] for run in runs])])
    return table


def mean_top1(runs: list[dict[str, Any]]) -> float:
    """Mean of the final scores.

    Args:
        runs: results.json of each.

    Returns:
        A share in [0, 1].
    """
    return statistics.fmean(final_score(run)["top1"] for run in runs)


def final_score(results: Mapping[str, Any]) -> dict[str, Any]:
    """The score that ended the training, whatever else the run was scored on since.

    Args:
        results: results.json of a run.

    Returns:
        The figures by name.
    """
    config = results["config"]
    wanted = {"split": config["clips"]["split"], "clips": config["test_clips"], "crops": config["test_crops"]}
    wanted["checkpoint"] = "last"
    return next(entry for entry in results["evaluations"] if wanted.items() <= entry.items())
