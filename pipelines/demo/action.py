"""The demo's first part: the same small network with and without one spectral block, on clips that need it."""

import dataclasses
import shutil
import statistics
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Any

from specvid.datasets.drawn import draw_ucf101
from specvid.eval.report import to_text
from specvid.models.backbones.receptive_field import receptive_field
from specvid.models.backbones.registry import build_backbone
from specvid.pipelines.action import train
from specvid.pipelines.action_config import ActionConfig
from specvid.pipelines.config_json import differences, to_dict
from specvid.pipelines.engine.config import MAY_CHANGE_ON_RESUME
from specvid.pipelines.engine.log import console, say
from specvid.pipelines.engine.run import RunFolder
from specvid.pipelines.recipes.action import get_recipe

BLOCK = "snl@layer2.-1"
BARE_AT_MOST, BLOCK_AT_LEAST = 0.65, 0.90  # top-1: what the demo is there to show

_ABOUT_THE_FOLDER = frozenset({"name", "runs", "resume", "specvid"})


def demo_action(root: Path, *, seeds: Iterable[int], recipe: ActionConfig | None = None, scenes: int = 14) -> bool:
    """Draw clips, train with and without the block, print both scores; True where the block makes the difference.

    ``root``: holds the clips (``ucf101``) and the runs (``bare-seed0``, ``snl-seed0``, ...); ``recipe``: the training,
    by default the recipe ``small``; ``scenes``: of `draw_ucf101`. Standing clips and finished runs are not made again;
    a killed training goes on where it was.
    """
    recipe = recipe or get_recipe("small")
    console.print(f"drawing clips in UCF-101's layout: {root / 'ucf101'}")
    drawn = draw_ucf101(root / "ucf101", scenes=scenes, overwrite=True)
    results: dict[str, list[dict[str, Any]]] = {"": [], BLOCK: []}
    for seed in seeds:
        for blocks, of_seeds in results.items():
            config = dataclasses.replace(
                recipe,
                name=f"{'snl' if blocks else 'bare'}-seed{seed}",
                runs=str(root),
                clips=dataclasses.replace(recipe.clips, data=str(drawn.root)),
                net=dataclasses.replace(recipe.net, blocks=blocks),
                train=dataclasses.replace(recipe.train, seed=seed),
            )
            of_seeds.append(run_once(config, afresh=drawn.drawn))
    say(f"\n{describe_task(results)}\n\n{to_text(rows(recipe.net.model, results))}")
    bare, block = (mean_top1(results[blocks]) for blocks in ("", BLOCK))
    if bare < BARE_AT_MOST and block > BLOCK_AT_LEAST:
        return True
    say(
        f"This is not what the demo is there to show: top-1 below {100 * BARE_AT_MOST:.0f} % without the block, "
        f"above {100 * BLOCK_AT_LEAST:.0f} % with it."
    )
    return False


def run_once(config: ActionConfig, *, afresh: bool = False) -> dict[str, Any]:
    """results.json of the run of ``config``: read where it is finished, trained where it is not.

    A run of this name with other settings, or of other clips (``afresh``), is removed: the folder is the demo's own.
    """
    run = RunFolder(Path(config.runs) / config.name)
    if run.started:
        other = differences(run.config(), to_dict(config), but=MAY_CHANGE_ON_RESUME | _ABOUT_THE_FOLDER)
        if other or afresh:
            shutil.rmtree(run.path)
    results = run.results()
    if results.get("evaluations"):
        return results
    return train(dataclasses.replace(config, resume="auto"))


def describe_task(results: dict[str, list[dict[str, Any]]]) -> str:
    """What is asked of the networks, and what the figures are of."""
    runs = results[BLOCK]
    entry = final_score(runs[0])
    seeds = [run["config"]["train"]["seed"] for run in runs]
    what = f"seed {seeds[0]}" if len(seeds) == 1 else f"mean and deviation over seeds {', '.join(map(str, seeds))}"
    return (
        "Two spots, far apart in space and time: do they move the same way? (2 classes, chance is 50 %)\n"
        f"Top-1 on {entry['scored']} of {entry['listed']} unseen clips, split {entry['split']}, "
        f"{entry['clips']} clip x {entry['crops']} crop, last epoch, {what}."
    )


def rows(model: str, results: dict[str, list[dict[str, Any]]]) -> list[list[str]]:
    """The table, heading first."""
    frames, height, width = receptive_field(build_backbone(model))
    sees = {"": f"{frames} frames x {height} x {width} px", BLOCK: "all of the clip"}
    table = [["network", "parameters", "each position sees", "top-1 %"]]
    for blocks, runs in results.items():
        scores = [100 * final_score(run)["top1"] for run in runs]
        deviation = f" ± {statistics.stdev(scores):.2f}" if len(scores) > 1 else ""
        network = f"{model} with {blocks}" if blocks else f"{model}, bare"
        parameters = f"{runs[0]['training']['parameters']:,}"
        table.append([network, parameters, sees[blocks], f"{statistics.fmean(scores):.2f}{deviation}"])
    return table


def mean_top1(runs: list[dict[str, Any]]) -> float:
    """Mean of the final scores, a share in [0, 1]."""
    return statistics.fmean(final_score(run)["top1"] for run in runs)


def final_score(results: Mapping[str, Any]) -> dict[str, Any]:
    """The score that ended the training, whatever else the run was scored on since."""
    config = results["config"]
    wanted = {"split": config["clips"]["split"], "clips": config["test_clips"], "crops": config["test_crops"]}
    wanted["checkpoint"] = "last"
    return next(entry for entry in results["evaluations"] if wanted.items() <= entry.items())
