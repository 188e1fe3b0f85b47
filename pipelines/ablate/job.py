"""Running the trainings of an ablation: each in a process of its own, several at a time, finished ones never again."""

import os
import subprocess
import sys
from collections.abc import Iterator, Mapping
from concurrent.futures import ThreadPoolExecutor, as_completed
from pathlib import Path
from typing import Any

from specvid.pipelines.ablate.grid import AblationConfig, Arm
from specvid.pipelines.engine.log import status
from specvid.pipelines.engine.run import RunFolder
from specvid.pipelines.engine.signals import Interrupted, handling

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
    jobs, running, failed = config.jobs or os.cpu_count() or 1, set[subprocess.Popen[bytes]](), {}

    def stop(number: int) -> None:
        for process in list(running):
            process.terminate()  # a training saves itself
        raise Interrupted(number, f"{config.runs} holds what was trained; the same command goes on.")

    with handling(stop), ThreadPoolExecutor(jobs) as pool:
        futures = {pool.submit(_train, config, arm, seed, jobs, running): arm.run_name(seed) for arm, seed in todo}
        try:
            for number, future in enumerate(as_completed(futures), start=done + 1):
                problem = future.result()
                status(f"{number} of {done + len(todo)}: {futures[future]}{f' FAILED: {problem}' if problem else ''}")
                if problem:
                    failed[futures[future]] = problem
        except BaseException:
            pool.shutdown(wait=False, cancel_futures=True)
            raise
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


def _train(config: AblationConfig, arm: Arm, seed: int, jobs: int, running: set[subprocess.Popen[bytes]]) -> str:
    """Train in a process of its own; returns the last line of its log where it fails."""
    folder = Path(config.runs) / "logs"
    folder.mkdir(parents=True, exist_ok=True)
    log = folder / f"{arm.run_name(seed)}.txt"
    threads = str(max(1, (os.cpu_count() or 1) // jobs))
    environment = {"OMP_NUM_THREADS": threads, "MKL_NUM_THREADS": threads} | dict(os.environ)
    # In a session of its own: a Ctrl-C reaches it once, through `stop`, and it saves itself.
    command = [sys.executable, "-m", "specvid", *arm.words(config, seed)]
    with log.open("wb") as file:
        process = subprocess.Popen(
            command, stdout=file, stderr=subprocess.STDOUT, env=environment, start_new_session=True
        )
        running.add(process)
        code = process.wait()
        running.discard(process)
    if is_finished(config, arm, seed):
        return ""
    lines = log.read_text(encoding="utf-8", errors="replace").strip().splitlines()
    return lines[-1] if lines else f"exit code {code}"


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
    except (TypeError, ValueError):
        return str("" if saved is None else saved) == text
