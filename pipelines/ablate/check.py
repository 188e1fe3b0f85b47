"""What a grid needs, before anything of it is trained: each row is prepared as its trainings will be."""

from collections import defaultdict
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path
from typing import Any

from specvid.config import from_dict
from specvid.files import output_folder
from specvid.pipelines.ablate.advice import as_settings
from specvid.pipelines.ablate.figures import check_figures_of
from specvid.pipelines.ablate.grid import AblationConfig, Arm
from specvid.pipelines.action.config import ActionConfig
from specvid.pipelines.action.train import ActionTask
from specvid.pipelines.engine.devices import resolve_precision
from specvid.pipelines.engine.log import status
from specvid.pipelines.engine.run import RunFolder
from specvid.pipelines.engine.start import other_settings
from specvid.pipelines.engine.training import check
from specvid.pipelines.reid.config import ReidConfig
from specvid.pipelines.reid.train import ReidTask
from specvid.text import counted

TASKS: Mapping[str, tuple[Any, Any]] = {"reid": (ReidConfig, ReidTask), "action": (ActionConfig, ActionTask)}
"""The config of a training, and what trains with it."""


def check_trainings(config: AblationConfig, todo: Sequence[tuple[Arm, int]]) -> None:
    """Read the data and build the network of each row that has something left to train, with its weights.

    Runs that were started before must have been so with the settings of their rows: they are continued. What speaks
    against networks without weights is printed, which else stood in the logs alone.

    Args:
        config: the grid.
        todo: the trainings that are left.

    Raises:
        ValueError: a run was started with other settings; the folder of the runs, or data, weights, network, device,
            blocks or frozen parts of a row do not fit; or the data have no such figures: it is said once, before hours
            of training.
    """
    output_folder("runs", config.runs)
    kind, task = TASKS[config.task]
    for arm, seed in todo:
        output_folder("run", str(Path(config.runs) / arm.run_name(seed)))
        _require_own_settings(config, kind, arm, seed)
    rows = {arm.name: arm for arm, _ in todo}.values()
    if not rows:
        return
    status(f"checking {counted(len(rows), 'network')}")
    by_clips = defaultdict(list)  # their lists are read once, and may be too large to keep all of them
    for arm in rows:
        own = from_dict(kind, arm.resolved)
        by_clips[own.clips].append((arm, own))
    warnings: dict[str, None] = {}
    for clips, group in by_clips.items():
        with _naming("" if len(by_clips) == 1 else group[0][0].title):
            lists = task.read_lists(clips)
            check_figures_of(config, lists)
        for arm, own in group:
            with _naming(arm.title):
                warnings[check(task, own, lists)] = None
    for warning in filter(None, warnings):
        status(f"warning: {as_settings(warning)}", style="yellow")


@contextmanager
def _naming(row: str) -> Iterator[None]:
    """Errors name the row, where it is one of several that could be meant, and its settings as the grid has them."""
    try:
        yield
    except ValueError as error:
        raise ValueError(f"row {row!r}: " * bool(row) + as_settings(str(error))) from error


def _require_own_settings(config: AblationConfig, kind: Any, arm: Arm, seed: int) -> None:
    """Refuse a run that was started with other settings than its row has: its training would fail."""
    run = RunFolder(Path(config.runs) / arm.run_name(seed))
    if not run.started:
        return
    wanted = from_dict(kind, {**arm.resolved, "train": {**arm.resolved["train"], "seed": seed}})
    changed = other_settings(run, replace(wanted, train=resolve_precision(wanted.train)))  # as a training compares it
    if changed:
        raise ValueError(
            f"run {str(run.path)!r} was started with other settings than the grid gives it ({'; '.join(changed)}): "
            "give another --runs, or remove that folder."
        )
