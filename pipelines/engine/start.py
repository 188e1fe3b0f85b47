"""Opening a run's folder: a new one, or one to continue; never one that would be overwritten."""

import dataclasses
import importlib.util
from pathlib import Path

from lightning_fabric import Fabric

from specvid import __version__
from specvid.config import differences, to_dict
from specvid.pipelines.engine.config import ABOUT_THE_RUN, MAY_CHANGE_ON_RESUME, TrainingConfig
from specvid.pipelines.engine.processes import from_rank_zero
from specvid.pipelines.engine.run import RunFolder


def start_run(fabric: Fabric, config: TrainingConfig) -> RunFolder:
    """Open the folder ``config.runs / config.name`` (or its ``default_name``), with ``config.json`` in it.

    With ``resume="auto"`` a started run is continued, if it was started with the same settings. Otherwise a name that
    was given must be free, and a made one gets a number (``-2``) where it is not.

    Args:
        fabric: of this process; all processes get the same folder.
        config: of the task.

    Returns:
        The folder.

    Raises:
        ValueError: the name is taken, or the run was started with other settings.
    """
    path = from_rank_zero(lambda: _open(config), rank=fabric.global_rank, broadcast=fabric.broadcast)
    return RunFolder(path)


def _open(config: TrainingConfig) -> str:
    """The folder's path, on the main process."""
    if config.train.wandb and importlib.util.find_spec("wandb") is None:
        raise ValueError("wandb is asked for, but it is not installed. Run `pip install wandb`, or leave out --wandb.")
    base = Path(config.runs)
    run = RunFolder(base / (config.name or config.default_name))
    if run.started and config.resume == "auto":
        changed = differences(run.config(), to_dict(config), but=MAY_CHANGE_ON_RESUME | ABOUT_THE_RUN)
        if changed:
            raise ValueError(
                f"run {str(run.path)!r} was started with other settings ({'; '.join(changed)}). "
                "Continue it with the ones in its config.json, or choose another --name."
            )
        return str(run.path)
    if run.started and config.name:
        raise ValueError(
            f"run {str(run.path)!r} exists already. Continue it with --resume auto, or choose another --name."
        )
    number = 2
    while run.started:
        run = RunFolder(base / f"{config.default_name}-{number}")
        number += 1
    own = to_dict(dataclasses.replace(config, name=run.name))
    run.start({"specvid": __version__, "task": config.task, **own})
    return str(run.path)
