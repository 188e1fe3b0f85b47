"""The demo's second part: identities known by their gait alone, with and without one spectral block."""

import dataclasses
import statistics
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Any

from specvid.datasets.synthetic.reid import synthesize_mars
from specvid.pipelines.demo.runs import BLOCK, describe_seeds, figure, network_cells, with_and_without
from specvid.pipelines.engine.log import console, echo
from specvid.pipelines.reid.config import ReidConfig
from specvid.pipelines.reid.recipes import tiny
from specvid.text import to_text

PROTOCOL = "mars-ap"
BETTER_BY = 0.05  # mAP, a share: what the demo is there to show


def demo_reid(root: Path, *, seeds: Iterable[int], recipe: ReidConfig | None = None, tracklets: int = 96) -> bool:
    """Synthesize walkers, train with and without the block, and print both scores.

    Tracklets and finished runs that are there are not made again; a killed training goes on where it was.

    Args:
        root: Folder of the tracklets (``walkers``) and the runs (``reid-bare-seed0``, ``reid-snl-seed0``, ...).
        seeds: Of the trainings.
        recipe: The training; the recipe ``tiny`` if not given.
        tracklets: Size of the data set, as in `synthesize_mars`.

    Returns:
        Whether the block makes the difference that the demo is there to show.
    """
    recipe = recipe or tiny()
    console.print(f"synthesizing walkers in MARS's layout: {root / 'walkers'}")
    data = synthesize_mars(root / "walkers", tracklets=tracklets, overwrite=True)
    recipe = dataclasses.replace(recipe, clips=dataclasses.replace(recipe.clips, data=str(data.root)))
    results = with_and_without(recipe, root, prefix="reid-", seeds=seeds, afresh=data.written)
    echo(f"\n{describe_task(results)}\n\n{to_text(rows(recipe.net.model, results))}")
    bare, block = (mean_map(results[blocks]) for blocks in ("", BLOCK))
    if block > bare + BETTER_BY:
        return True
    echo(f"This is not what the demo is there to show: mAP {100 * BETTER_BY:.0f} points better with the block.")
    return False


def describe_task(results: Mapping[str, list[dict[str, Any]]]) -> str:
    """What the networks have to do, and what the figures are of.

    Args:
        results: results.json of each run, by network.

    Returns:
        A paragraph.
    """
    runs = results[BLOCK]
    entry, score = final_entry(runs[0]), final_score(runs[0])
    return (
        "Walkers whose arms and legs go at an angle of their own: whose is it? (no frame says, nor any part of one)\n"
        f"{score['valid_queries']} of {score['queries']} queries, {score['gallery_tracklets']} gallery tracklets, "
        f"identities never trained on, protocol {PROTOCOL} ({entry['dataset']}), last epoch, {describe_seeds(runs)}."
    )


def rows(model: str, results: Mapping[str, list[dict[str, Any]]]) -> list[list[str]]:
    """The table of the demo.

    Args:
        model: name of the backbone.
        results: results.json of each run, by network.

    Returns:
        Rows of text, heading first.
    """
    table = [["network", "parameters", "each position sees", "mAP %", "rank-1 %", "protocol"]]
    for blocks, runs in results.items():
        scores = [final_score(run) for run in runs]
        figures = [figure([score[name] for score in scores]) for name in ("mAP", "rank1")]
        table.append([*network_cells(model, blocks, runs), *figures, PROTOCOL])
    return table


def mean_map(runs: list[dict[str, Any]]) -> float:
    """Mean of the final mAPs.

    Args:
        runs: results.json of each.

    Returns:
        A share in [0, 1].
    """
    return statistics.fmean(final_score(run)["mAP"] for run in runs)


def final_entry(results: Mapping[str, Any]) -> dict[str, Any]:
    """The evaluation that ended the training, whatever else the run was scored on since.

    Args:
        results: results.json of a run.

    Returns:
        The entry.
    """
    config = results["config"]
    wanted = {"split": config["clips"]["split"], "sampling": config["test_sampling"], "checkpoint": "last"}
    wanted |= {"rerank": "", "trained_on": 0}
    return next(
        entry for entry in results["evaluations"] if wanted.items() <= entry.items() and not entry.get("elsewhere")
    )


def final_score(results: Mapping[str, Any]) -> dict[str, Any]:
    """The figures of `final_entry` under `PROTOCOL`.

    Args:
        results: results.json of a run.

    Returns:
        The figures by name.
    """
    score: dict[str, Any] = final_entry(results)["protocols"][PROTOCOL]
    return score
