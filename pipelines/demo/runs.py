"""What the trainings of the demo share: finished runs are used again, and seeds become one figure."""

import dataclasses
import shutil
import statistics
import tempfile
from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path
from typing import Any, TypeVar

from specvid import __version__
from specvid.config import differences, to_dict
from specvid.files import write_json
from specvid.models.backbones.receptive_field import receptive_field
from specvid.models.backbones.registry import build_backbone
from specvid.pipelines.action.config import ActionConfig
from specvid.pipelines.engine.config import ABOUT_THE_RUN, MAY_CHANGE_ON_RESUME
from specvid.pipelines.engine.jobs import run_commands
from specvid.pipelines.engine.log import status
from specvid.pipelines.engine.run import RunFolder
from specvid.pipelines.reid.config import ReidConfig

BLOCK = "snl@layer2.-1"

Config = TypeVar("Config", ActionConfig, ReidConfig)
Results = dict[str, Any]
"""What a run's results.json holds."""


def with_and_without(
    recipe: Config, root: Path, *, prefix: str, seeds: Iterable[int], afresh: bool
) -> dict[str, list[Results]]:
    """Train the same network without and with the block, at the same time where there are the cores.

    Args:
        recipe: The training, whatever its seed, name and blocks.
        root: Folder of the runs ``{prefix}bare-seed0``, ``{prefix}snl-seed0`` and so on.
        prefix: Begins the names of the runs.
        seeds: Of the trainings.
        afresh: Whether the data was made anew, so that finished runs do not count.

    Returns:
        ``{"": results of the bare network, BLOCK: results with the block}``, one for each seed.

    Raises:
        ValueError: a training failed.
    """
    configs = {
        (blocks, seed): dataclasses.replace(
            recipe,
            name=f"{prefix}{'snl' if blocks else 'bare'}-seed{seed}",
            runs=str(root),
            net=dataclasses.replace(recipe.net, blocks=blocks),
            train=dataclasses.replace(recipe.train, seed=seed, precision="fp32"),  # the same figures everywhere
        )
        for seed in seeds
        for blocks in ("", BLOCK)
    }
    for config in configs.values():
        remove_outdated(config, afresh=afresh)
    found = {key: RunFolder(Path(config.runs) / config.name) for key, config in configs.items()}
    train_all([configs[key] for key, run in found.items() if not run.results().get("evaluations")])
    results: dict[str, list[Results]] = {"": [], BLOCK: []}
    for (blocks, _), run in found.items():
        results[blocks].append(run.results())
    return results


def remove_outdated(config: ActionConfig | ReidConfig, *, afresh: bool = False) -> None:
    """Remove a run of the name of a training that is another one: the folder is the demo's own.

    Args:
        config: The training.
        afresh: Remove it too where only its data is another.
    """
    run = RunFolder(Path(config.runs) / config.name)
    if run.started:
        other = differences(run.config(), to_dict(config), but=MAY_CHANGE_ON_RESUME | ABOUT_THE_RUN)
        if other or afresh:
            shutil.rmtree(run.path)


def train_all(configs: Sequence[ActionConfig | ReidConfig]) -> None:
    """Train and score, a process for each, with its lines after its name.

    Args:
        configs: The trainings, of one folder of runs; one that was killed goes on.

    Raises:
        ValueError: One failed.
    """
    with tempfile.TemporaryDirectory() as settings:
        commands = {}
        for config in configs:
            file = Path(settings) / f"{config.name}.json"
            write_json(file, {"specvid": __version__, "task": config.task, **to_dict(config)})
            words = ["--name", config.name, "--runs", config.runs, "--resume", "auto"]
            commands[config.name] = ["train", config.task, "--config", str(file), *words]
        stopped = "what was trained stands; `specvid demo` goes on."
        logs = Path(configs[0].runs) / "logs" if configs else Path(settings)
        for name, problem in run_commands(commands, logs=logs, stopped=stopped, on_line=_say):
            if problem:
                raise ValueError(f"training {name!r} failed: {problem} ({logs / name}.txt).")


def _say(name: str, line: str) -> None:
    if line:
        status(f"{name}: {line}")


def describe_seeds(runs: Sequence[Mapping[str, Any]]) -> str:
    """The seeds of runs as text.

    Args:
        runs: results.json of each.

    Returns:
        ``seed 0``, or over which seeds there is a mean.
    """
    seeds = [run["config"]["train"]["seed"] for run in runs]
    return f"seed {seeds[0]}" if len(seeds) == 1 else f"mean and deviation over seeds {', '.join(map(str, seeds))}"


def figure(shares: Sequence[float]) -> str:
    """A figure of one or more seeds as text.

    Args:
        shares: in [0, 1].

    Returns:
        ``81.07 ± 0.42``, in percent; without deviation where there is one share.
    """
    percent = [100 * share for share in shares]
    deviation = f" ± {statistics.stdev(percent):.2f}" if len(percent) > 1 else ""
    return f"{statistics.fmean(percent):.2f}{deviation}"


def network_cells(model: str, blocks: str, runs: Sequence[Mapping[str, Any]]) -> list[str]:
    """Cells of a table row: the network, its parameters, and what each position of its last feature map sees.

    Args:
        model: name of the backbone.
        blocks: inserted into it.
        runs: results.json of each.

    Returns:
        The cells.
    """
    frames, height, width = receptive_field(build_backbone(model))
    sees = "all of the clip" if blocks else f"{frames} frames x {height} x {width} px"
    network = f"{model} with {blocks}" if blocks else f"{model}, bare"
    return [network, f"{runs[0]['training']['parameters']:,}", sees]
