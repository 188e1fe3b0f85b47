"""Running the trainings of an ablation: each in a process of its own, several at a time, finished ones never again."""

import os
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

from specvid.config import differences, from_dict, to_dict
from specvid.files import output_folder
from specvid.pipelines.ablate.failures import reason, would_all_fail
from specvid.pipelines.ablate.grid import AblationConfig, Arm
from specvid.pipelines.action.config import ActionConfig
from specvid.pipelines.action.train import ActionTask
from specvid.pipelines.engine.config import ABOUT_THE_RUN, MAY_CHANGE_ON_RESUME
from specvid.pipelines.engine.jobs import run_commands
from specvid.pipelines.engine.log import status
from specvid.pipelines.engine.run import RunFolder
from specvid.pipelines.engine.training import check
from specvid.pipelines.reid.config import ReidConfig
from specvid.pipelines.reid.train import ReidTask

_KINDS: Mapping[str, type[ActionConfig] | type[ReidConfig]] = {"reid": ReidConfig, "action": ActionConfig}

# How, where and by which names it was computed, and what is checked by itself; a grid is trained to its end.
_UNCHECKED = (MAY_CHANGE_ON_RESUME - {"max_steps"}) | (ABOUT_THE_RUN - {"recipe"})


def run_grid(config: AblationConfig, arms: list[Arm]) -> dict[str, str]:
    """Train what is not finished, the seeds outermost: what is there when it stops is paired.

    Args:
        config: the grid.
        arms: its rows, with all their settings.

    Returns:
        For each run that failed, the last line of its log.

    Raises:
        Interrupted: a signal ended it; trainings save themselves, and the same command goes on.
        ValueError: a finished run has other settings than the grid gives it.
    """
    output_folder("runs", config.runs)
    todo = [(arm, seed) for seed in config.seeds for arm in arms if not is_finished(config, arm, seed)]
    check_trainings(config, list(dict.fromkeys(arm.name for arm, _ in todo)), arms)
    done = len(arms) * len(config.seeds) - len(todo)
    status(f"{done + len(todo)} trainings, {done} of them finished")
    commands = {arm.run_name(seed): arm.words(config, seed) for arm, seed in todo}
    rows = {arm.run_name(seed): (arm, seed) for arm, seed in todo}
    stopped = f"{config.runs} holds what was trained; the same command goes on."
    at_once = len({arm.name for arm, _ in todo})
    ended = run_commands(
        commands,
        logs=Path(config.runs) / "logs",
        stopped=stopped,
        jobs=config.jobs,
        gives_up=lambda ended: would_all_fail(ended, at_once),
    )
    number, failed, first = done, dict[str, str](), dict[str, str]()
    for number, (name, last) in enumerate(ended, start=done + 1):
        problem = "" if is_finished(config, *rows[name]) else last or "it was not scored"
        if problem:
            failed[name] = problem
            like = first.setdefault(reason(name, problem), name)
            problem = f" FAILED: {problem}" if like == name else f" FAILED as {like}"
        status(f"{number} of {done + len(todo)}: {name}{problem}")
    if left := done + len(todo) - number:
        status(f"stopped: each training fails in the same way; {left} more not started")
    return failed


def check_trainings(config: AblationConfig, names: Sequence[str], arms: Sequence[Arm]) -> None:
    """Read the data and build the network of each row with its weights, so that what is wrong is said once, before
    hours of training.

    Args:
        config: the grid.
        names: of the rows that have something left to train.
        arms: all rows, with all their settings.

    Raises:
        ValueError: data, weights, network, device, blocks or frozen parts of one do not fit.
    """
    settings = [arm.resolved for arm in arms if arm.name in names]
    if config.task == "reid":
        check(ReidTask, (from_dict(ReidConfig, own) for own in settings))
    else:
        check(ActionTask, (from_dict(ActionConfig, own) for own in settings))


def is_finished(config: AblationConfig, arm: Arm, seed: int) -> bool:
    """Whether a run is trained and scored.

    Args:
        config: the grid.
        arm: the row, with all its settings (`resolve`).
        seed: of the run.

    Returns:
        Whether it is.

    Raises:
        ValueError: it was trained with other settings than the grid gives it.
    """
    run = RunFolder(Path(config.runs) / arm.run_name(seed))
    if not run.results().get("evaluations"):
        return False
    saved = _with_defaults(run.config(), to_dict(_KINDS[config.task]()))
    wanted = dict(_as_trained(arm.resolved, saved))
    wanted["train"] = {**wanted["train"], "seed": seed}
    changed = differences(_in_place(saved), _in_place(wanted), but=_UNCHECKED)
    if changed:
        raise ValueError(
            f"run {str(run.path)!r} was trained with other settings than the grid gives it "
            f"({'; '.join(changed)}): give those, another --runs, or remove the run."
        )
    return True


def _with_defaults(saved: Mapping[str, Any], defaults: Mapping[str, Any]) -> dict[str, Any]:
    """The settings of a run, with those that it could not have in its version: it was trained as without them."""
    own = {
        name: _with_defaults(value, defaults[name])
        for name, value in saved.items()
        if isinstance(value, Mapping) and isinstance(defaults.get(name), Mapping)
    }
    return {**defaults, **saved, **own}


def _as_trained(wanted: Mapping[str, Any], saved: Mapping[str, Any]) -> Iterator[tuple[str, Any]]:
    """The settings of a row, with what ``auto`` became in a run."""
    for name, value in wanted.items():
        if isinstance(value, Mapping) and isinstance(saved.get(name), Mapping):
            yield name, dict(_as_trained(value, saved[name]))
        else:
            yield name, saved.get(name, value) if value == "auto" else value


def _in_place(settings: Mapping[str, Any]) -> dict[str, Any]:
    """Settings with the data set as an absolute path."""
    clips = settings.get("clips")
    if not isinstance(clips, Mapping) or not isinstance(clips.get("data"), str):
        return dict(settings)
    return {**settings, "clips": {**clips, "data": os.path.realpath(clips["data"])}}
