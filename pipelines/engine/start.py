"""Opening a run's folder: a new one, or one to continue; never one that would be overwritten."""

import dataclasses
import importlib.util
from pathlib import Path
from typing import Any

from lightning_fabric import Fabric

from specvid import __version__
from specvid.config import differences, to_dict
from specvid.pipelines.engine.config import MAY_CHANGE_ON_RESUME
from specvid.pipelines.engine.processes import from_rank_zero
from specvid.pipelines.engine.run import RunFolder

_ABOUT_THE_FOLDER = frozenset({"name", "runs", "resume", "specvid"})


def start_run(fabric: Fabric, config: Any) -> RunFolder:
    """The folder ``config.runs / config.name`` (or its ``default_name``), with ``config.json`` in it.

    ``config``: a task's dataclass with ``name``, ``runs``, ``resume``, ``train`` (an EngineConfig) and a property
    ``default_name``.

    With ``resume="auto"`` a started run is continued, if it was started with the same settings. Otherwise a name that
    was given must be free, and a made one gets a number (``-2``) where it is not. Raises ValueError where that does
    not work out.
    """
    return RunFolder(from_rank_zero(lambda: _open(config), rank=fabric.global_rank, broadcast=fabric.broadcast))


def _open(config: Any) -> str:
    if config.train.wandb and importlib.util.find_spec("wandb") is None:
        raise ValueError("wandb is asked for, but it is not installed. Run `pip install wandb`, or leave out --wandb.")
    base = Path(config.runs)
    run = RunFolder(base / (config.name or config.default_name))
    if run.started and config.resume == "auto":
        changed = differences(run.config(), to_dict(config), but=MAY_CHANGE_ON_RESUME | _ABOUT_THE_FOLDER)
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
    run.start({"specvid": __version__, **to_dict(dataclasses.replace(config, name=run.name))})
    return str(run.path)
