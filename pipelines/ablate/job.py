"""Running the trainings of an ablation: each in a process of its own, several at a time, finished ones never again."""

import os
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

from specvid.config import differences, to_dict
from specvid.pipelines.ablate.check import TASKS, check_trainings
from specvid.pipelines.ablate.failures import enough, reason, would_all_fail
from specvid.pipelines.ablate.figures import METRICS
from specvid.pipelines.ablate.grid import AblationConfig, Arm
from specvid.pipelines.ablate.progress import Progress
from specvid.pipelines.ablate.scored import read_scored
from specvid.pipelines.engine.config import ABOUT_THE_RUN, MAY_CHANGE_ON_RESUME
from specvid.pipelines.engine.jobs import commands_at_once, run_commands
from specvid.pipelines.engine.log import status
from specvid.pipelines.engine.run import RunFolder
from specvid.text import counted

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
    todo = unfinished(config, arms)
    check_trainings(config, todo)
    total, jobs = len(arms) * len(config.seeds), config.jobs or 0
    at_once, logs = commands_at_once(jobs, len(todo)), Path(config.runs) / "logs"
    progress = Progress({arm.run_name(seed): arm.name for arm, seed in todo}, done=total - len(todo), at_once=at_once)
    status(
        f"{counted(total, 'training')}, {progress.done} of them finished"
        + (f"; {at_once} at a time, what each prints is in {logs}" if todo else "")
    )
    commands = {arm.run_name(seed): arm.words(config, seed) for arm, seed in todo}
    trainings = {arm.run_name(seed): (arm, seed) for arm, seed in todo}
    rows = len({arm.name for arm, _ in todo})
    ended = run_commands(
        commands,
        logs=logs,
        stopped=f"{config.runs} holds what was trained; the same command goes on.",
        jobs=jobs,
        on_start=lambda name: status(progress.start(name)),
        gives_up=lambda ended: would_all_fail(ended, rows),
    )
    failed, first = dict[str, str](), dict[str, str]()
    for name, last in ended:
        arm, seed = trainings[name]
        if is_finished(config, arm, seed):
            status(progress.end(name, figure=first_figure(config, arm, seed)))
            continue
        failed[name] = last or "it was not scored"
        like = first.setdefault(reason(name, failed[name]), name)
        status(progress.end(name, problem=f": {failed[name]}" if like == name else f" as {like}"))
    if left := total - progress.done:
        status(f"stopped: the last {enough(rows)} trainings failed in the same way; {left} more not started")
    return failed


def first_figure(config: AblationConfig, arm: Arm, seed: int) -> str:
    """The figure that decides, of a finished run.

    Args:
        config: the grid.
        arm: the row, with all its settings.
        seed: of the run.

    Returns:
        E.g. ``mAP 22.32``; empty where it has none: the table says why, once all are trained.
    """
    metric = (config.metrics or METRICS[config.task])[0]
    try:
        run = RunFolder(Path(config.runs) / arm.run_name(seed))
        share = read_scored(run, arm, config.task, config.protocol).values.get(metric)
    except ValueError:
        return ""
    return "" if share is None else f"{metric} {100 * share:.2f}"


def unfinished(config: AblationConfig, arms: Sequence[Arm]) -> list[tuple[Arm, int]]:
    """The trainings that are left, the seeds outermost.

    Args:
        config: the grid.
        arms: its rows, with all their settings.

    Returns:
        Rows with seeds.

    Raises:
        ValueError: a finished run has other settings than the grid gives it.
    """
    return [(arm, seed) for seed in config.seeds for arm in arms if not is_finished(config, arm, seed)]


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
    saved = _with_defaults(run.config(), to_dict(TASKS[config.task][0]()))
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
