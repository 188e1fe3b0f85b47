"""Running the trainings of an ablation: each in a process of its own, several at a time, finished ones never again."""

from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

from specvid.pipelines.ablate.grid import AblationConfig, Arm
from specvid.pipelines.engine.jobs import run_commands
from specvid.pipelines.engine.log import status
from specvid.pipelines.engine.run import RunFolder

_UNCHECKED = frozenset({"data", "device", "devices", "workers", "tensorboard"})


def run_grid(config: AblationConfig, arms: list[Arm]) -> dict[str, str]:
    """Train what is not finished, the seeds outermost: what is there when it stops is paired.

    Args:
        config: the grid.
        arms: its rows.

    Returns:
        For each run that failed, the last line of its log.

    Raises:
        Interrupted: a signal ended it; trainings save themselves, and the same command goes on.
        ValueError: a finished run has other settings than the grid gives it.
    """
    todo = [(arm, seed) for seed in config.seeds for arm in arms if not is_finished(config, arm, seed)]
    done = len(arms) * len(config.seeds) - len(todo)
    status(f"{done + len(todo)} trainings, {done} of them finished")
    commands = {arm.run_name(seed): arm.words(config, seed) for arm, seed in todo}
    rows = {arm.run_name(seed): (arm, seed) for arm, seed in todo}
    stopped = f"{config.runs} holds what was trained; the same command goes on."
    ended = run_commands(commands, logs=Path(config.runs) / "logs", stopped=stopped, jobs=config.jobs)
    failed = {}
    for number, (name, last) in enumerate(ended, start=done + 1):
        problem = "" if is_finished(config, *rows[name]) else last or "it was not scored"
        status(f"{number} of {done + len(todo)}: {name}{f' FAILED: {problem}' if problem else ''}")
        if problem:
            failed[name] = problem
    return failed


def is_finished(config: AblationConfig, arm: Arm, seed: int) -> bool:
    """Whether a run is trained and scored.

    Args:
        config: the grid.
        arm: the row.
        seed: of the run.

    Returns:
        Whether it is.

    Raises:
        ValueError: it was trained with other settings than the grid gives it.
    """
    run = RunFolder(Path(config.runs) / arm.run_name(seed))
    if not run.results().get("evaluations"):
        return False
    saved = dict(_flat(run.config()))
    wanted = dict(arm.settings) | {"blocks": arm.blocks, "seed": str(seed)}
    for name, value in wanted.items():
        key = name.replace("-", "_")
        checked = key in saved and name not in _UNCHECKED and value != "auto"  # which saves what it became
        if checked and not _equal(saved[key], value):
            raise ValueError(
                f"run {str(run.path)!r} was trained with {name} {saved[key]!r}, not {value!r}: give another --runs, or "
                "remove it."
            )
    return True


def _flat(config: Mapping[str, Any]) -> Iterator[tuple[str, Any]]:
    for name, value in config.items():
        yield from _flat(value) if isinstance(value, Mapping) else [(name, value)]


def _equal(saved: Any, text: str) -> bool:
    """Whether a setting in config.json is that of a command line."""
    if isinstance(saved, bool):
        return str(saved).lower() == text
    if isinstance(saved, list):
        return [str(value) for value in saved] == text.split(",")
    try:
        return float(saved) == float(text)
    except (TypeError, ValueError, OverflowError):
        return str("" if saved is None else saved) == text
