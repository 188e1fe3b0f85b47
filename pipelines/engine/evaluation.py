"""The skeleton of scoring trained runs, the same for all tasks.

Each run is scored on the split that it was trained on, what it was trained on is refused, and the results are saved.
"""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Generic, Protocol, TypeVar

from lightning_fabric import Fabric

from specvid.config import read_config
from specvid.files import check_links
from specvid.pipelines.engine.config import TrainingConfig
from specvid.pipelines.engine.peers import naming_lost_processes
from specvid.pipelines.engine.run import WEIGHTS, RunFolder
from specvid.text import path_on_one_line

_FIX = "Give one run per split (--run RUN1 RUN2 RUN3, or --run 'runs/NAME-s{split}'), or --force to score all on all."


class Result(Protocol):
    """A test part, scored."""

    def entry(self) -> dict[str, Any]:
        """Its figures with all that must stand beside them: JSON, for results.json."""

    def save(self, run: RunFolder) -> Path:
        """Write its folder in ``eval/`` of a run, and its entry of results.json.

        Args:
            run: the run that was scored.

        Returns:
            The folder.
        """
        ...

    def describe(self, title: str, folder: Path | None = None) -> str:
        """All figures as text.

        Args:
            title: what was scored.
            folder: where the details are.

        Returns:
            Several lines.
        """
        ...


Config = TypeVar("Config", bound=TrainingConfig)
Scored = TypeVar("Scored", bound=Result)


@dataclass(frozen=True)
class TrainedRun(Generic[Config]):
    """A trained run.

    Args:
        folder: its folder.
        config: its settings.
    """

    folder: RunFolder
    config: Config

    @classmethod
    def open(cls, path: str | Path, kind: type[Config]) -> "TrainedRun[Config]":
        """Read the settings of a run.

        Args:
            path: its folder.
            kind: the config of the task that it must be of.

        Returns:
            The run.

        Raises:
            ValueError: the folder holds no run, or one of another task, or a link that leads out of it.
        """
        folder = RunFolder(path)
        content = folder.config()  # says so where this is no run at all
        if (task := content.get("task")) != kind.task:
            fix = f" Score it with `specvid eval {task}`." if task else ""
            if task == "pretrain":
                weights = folder.path / "last" / WEIGHTS
                fix = f" It knows no classes: `specvid train {kind.task} --weights {weights}` goes on from it."
            raise ValueError(f"run {str(path)!r} is of the task {task!r}, not of {kind.task!r}.{fix}")
        check_links(folder.path)  # results are written into it
        return cls(folder, read_config(kind, folder.path / "config.json"))


def evaluate_runs(
    runs: Sequence[TrainedRun[Config]],
    score: Callable[[TrainedRun[Config], int], Scored],
    *,
    fabric: Fabric,
    splits: Sequence[int] = (),
    any_split: bool = False,
    echo: Callable[[str], None],
) -> tuple[list[dict[str, Any]], list[Scored]]:
    """Score runs, print and save the figures.

    Args:
        runs: what to score.
        score: a run on a split, called in all processes.
        fabric: of this process.
        splits: as for `pair_runs`.
        any_split: as for `pair_runs`.
        echo: gets the printed text.

    Returns:
        The entry of each scoring with its ``run``, and what was scored.

    Raises:
        LostProcessError: another process of the job has ended.
    """
    entries: list[dict[str, Any]] = []
    results: list[Scored] = []
    names, trained = [str(run.folder.path) for run in runs], [run.config.clips.split for run in runs]
    for number, split in pair_runs(names, trained, splits, any_split=any_split):
        with naming_lost_processes(lambda: "nothing of this evaluation was saved; the same command starts again."):
            result = score(runs[number], split)
            results.append(result)
            entries.append({"run": names[number], **result.entry()})
            if fabric.is_global_zero:
                echo(result.describe(names[number], result.save(runs[number].folder)))
            fabric.barrier()
    return entries, results


def pair_runs(
    runs: Sequence[str], trained: Sequence[int], splits: Sequence[int], *, any_split: bool = False
) -> list[tuple[int, int]]:
    """Which run is scored on which split.

    Args:
        runs: names of the runs.
        trained: the split that each of them was trained on.
        splits: those to score on, each with the runs that were trained on it; none: every run on its own split.
        any_split: score every run on each of ``splits``, whatever it was trained on.

    Returns:
        (number of the run, split), in the order of ``splits``.

    Raises:
        ValueError: a split without a run, or a run whose split is not among ``splits``.
    """
    if not splits:
        return list(zip(range(len(runs)), trained, strict=True))
    if any_split:
        return [(number, split) for split in splits for number in range(len(runs))]
    about = ", ".join(f"{run} on {split}" for run, split in zip(runs, trained, strict=True))
    for split in splits:
        if split not in trained:
            raise ValueError(f"split {split} has no run that was trained on it (trained: {about}). {_FIX}")
    for run, split in zip(runs, trained, strict=True):
        if split not in splits:
            raise ValueError(
                f"run {run!r} was trained on split {split}, which is not among --splits {list(splits)}. {_FIX}"
            )
    return [(number, split) for split in splits for number in range(len(runs)) if trained[number] == split]


def refuse_leak(run: TrainedRun[Any], split: int, leaked: int, what: str, *, example: str = "") -> None:
    """Refuse to score a network on what it was trained on.

    Args:
        run: the run.
        split: to be scored on.
        leaked: how many of the test part were trained on.
        what: they are, e.g. ``clips``.
        example: the name of one of them.

    Raises:
        ValueError: there are any.
    """
    if leaked and split == run.config.clips.split:
        named = f", e.g. {path_on_one_line(example)}" if example else ""
        raise ValueError(
            f"run {str(run.folder.path)!r} was trained on {leaked} of the {what} in the test part of split "
            f"{split} as it is now{named}: the lists have changed since, or the weights that it began with knew "
            "them. The figure would be worthless: train anew, or give --force to print it anyway, marked."
        )
    if leaked:
        raise ValueError(
            f"run {str(run.folder.path)!r} was trained on split {run.config.clips.split}, and so on {leaked} of the "
            f"{what} in the test part of split {split}: the figure would be worthless. "
            "Give a run trained on that split, or --force to print it anyway, marked."
        )
