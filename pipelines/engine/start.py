"""Opening a run's folder: a new one, or one to continue; never one that would be overwritten."""

import dataclasses
from collections.abc import Mapping
from contextlib import ExitStack
from pathlib import Path
from typing import Any

from lightning_fabric import Fabric

from specvid import __version__
from specvid.config import differences, to_dict
from specvid.files import only_writer
from specvid.pipelines.engine.config import ABOUT_THE_RUN, MAY_CHANGE_ON_RESUME, TrainingConfig
from specvid.pipelines.engine.listing import Listing, check_listing, load_listing
from specvid.pipelines.engine.log import log
from specvid.pipelines.engine.processes import from_rank_zero
from specvid.pipelines.engine.run import WEIGHTS, RunFolder

_LENGTH = ("epochs", "milestones")
_ENDS = frozenset({*_LENGTH, "early_stop"})  # what says when a training ends; a continued one may do so later


def start_run(fabric: Fabric, config: TrainingConfig, *, held: ExitStack, listing: Listing | None = None) -> RunFolder:
    """Open the folder ``config.runs / config.name`` (or its ``default_name``), with ``config.json`` in it.

    With ``resume="auto"`` a started run is continued, if it was started with the same settings; it may get another
    ``early_stop``, and more epochs where its schedule does not depend on their number. Otherwise a name that was given
    must be free, and a made one gets a number (``-2``) where it is not.

    Args:
        fabric: of this process; all processes get the same folder.
        config: of the task.
        held: as long as it is open, no other job may write the folder.
        listing: what is trained on; the run keeps it, and is continued with the same alone.

    Returns:
        The folder.

    Raises:
        ValueError: the name is taken, the run was started with other settings, classes or clips, or another job is
            writing it.
    """
    path = from_rank_zero(lambda: _open(config, listing, held), rank=fabric.global_rank, broadcast=fabric.broadcast)
    return RunFolder(path)


def _open(config: TrainingConfig, listing: Listing | None, held: ExitStack) -> str:
    """The folder's path, on the main process."""
    base = Path(config.runs)
    run = RunFolder(base / (config.name or config.default_name))
    number = 2
    while not _start(run, config, listing, held):
        if config.resume == "auto":
            return _resume(run, config, listing, held)
        if config.name:
            raise ValueError(
                f"run {str(run.path)!r} exists already. Continue it with --resume auto, or choose another --name."
            )
        run = RunFolder(base / f"{config.default_name}-{number}")
        number += 1
    return str(run.path)


def _resume(run: RunFolder, config: TrainingConfig, listing: Listing | None, held: ExitStack) -> str:
    """Go on with a run: the folder's path."""
    held.enter_context(only_writer(run.path))
    before, now = run.config(), to_dict(config)
    changed, longer = _changed(before, now)
    if changed and not longer:
        raise ValueError(
            f"run {str(run.path)!r} was started with other settings ({'; '.join(changed)}). "
            "Continue it with the ones in its config.json, or choose another --name."
        )
    kept = load_listing(run.path)
    if kept is not None and listing is not None:
        fix = _train_on(run, task=config.task, epochs=now["train"]["epochs"])
        if warning := check_listing(run.path, kept, listing, fix=fix):
            log.warning(warning)
    if longer:
        _check_more_epochs(run, before["train"], now["train"], task=config.task)
        run.start({**before, "train": {**before["train"], **{name: now["train"][name] for name in _ENDS}}})
    return str(run.path)


def other_settings(run: RunFolder, config: TrainingConfig) -> list[str]:
    """What keeps a started run from being continued with a config.

    Args:
        run: its folder, with a config.json.
        config: with which it would be continued.

    Returns:
        ``"setting: old -> new"`` for each setting; empty where it may be continued.

    Raises:
        ValueError: its config.json cannot be read.
    """
    before, now = run.config(), to_dict(config)
    changed, longer = _changed(before, now)
    return [] if longer and not _why_no_longer(before["train"], now["train"]) else changed


def _changed(before: Mapping[str, Any], now: Mapping[str, Any]) -> tuple[list[str], bool]:
    """The settings that a continued run may not change; and whether they are those alone that say when it ends."""
    changed = differences(before, now, but=MAY_CHANGE_ON_RESUME | ABOUT_THE_RUN)
    return changed, bool(changed) and not differences(before, now, but=MAY_CHANGE_ON_RESUME | ABOUT_THE_RUN | _ENDS)


def _start(run: RunFolder, config: TrainingConfig, listing: Listing | None, held: ExitStack) -> bool:
    """Start a run; False where its folder is taken, also by a job that began at the same moment."""
    if run.started:
        return False
    with ExitStack() as own:
        own.enter_context(only_writer(run.path))
        if run.started:
            return False
        if listing is not None:  # before the config, with which a run is started
            listing.save(run.path)
        content = to_dict(dataclasses.replace(config, name=run.name))
        run.start({"specvid": __version__, "task": config.task, **content})
        held.push(own.pop_all())
    return True


def _check_more_epochs(run: RunFolder, before: Mapping[str, Any], now: Mapping[str, Any], *, task: str) -> None:
    """Refuse epochs that a run cannot get.

    Args:
        run: its folder.
        before: how it was to be trained.
        now: how it is to be trained on.
        task: of the run.

    Raises:
        ValueError: the rates of the epochs that are done would have been others.
    """
    epochs, more = before["epochs"], now["epochs"]
    why = _why_no_longer(before, now)
    if not why:
        return
    fix = _train_on(run, task=task, epochs=max(1, more - epochs))
    raise ValueError(f"run {str(run.path)!r} was started with epochs = {epochs}, not {more}: {why}. T{fix[1:]}")


def _why_no_longer(before: Mapping[str, Any], now: Mapping[str, Any]) -> str:
    """Why a run cannot get other epochs; empty where it can."""
    if all(before[name] == now[name] for name in _LENGTH):
        return ""
    epochs, more = before["epochs"], now["epochs"]
    by_length = before["schedule"] in ("cosine", "onecycle") or before["warmup"] or before["block_warmup"]
    done, wanted = list(before["milestones"]), list(now["milestones"])
    if not by_length and more >= epochs and [m for m in wanted if m < epochs] == done:
        return ""
    what = f"schedule {before['schedule']!r}" + (", with its warm-up," if before["warmup"] else "")
    return f"its {what} spans them all" if by_length else "what is done would have been trained in another way"


def _train_on(run: RunFolder, *, task: str, epochs: int) -> str:
    """The command that goes on from a run's weights, in words."""
    return (
        f"train on from its weights in a run of its own: specvid train {task} --config {run.path / 'config.json'} "
        f"--weights {run.path / 'last' / WEIGHTS} --epochs {epochs} --name {run.name}-2"
    )
