"""What a grid would train: its rows, and which of their trainings are finished."""

from collections.abc import Sequence

from specvid.pipelines.ablate.grid import AblationConfig, Arm
from specvid.pipelines.ablate.job import is_finished
from specvid.text import counted, to_markdown


def describe_plan(config: AblationConfig, arms: Sequence[Arm]) -> str:
    """The rows of a grid with the names of their runs, and how many trainings they are.

    Args:
        config: the grid.
        arms: its rows, with all their settings.

    Returns:
        Markdown.

    Raises:
        ValueError: a finished run has other settings than the grid gives it.
    """
    finished = {arm.name: [seed for seed in config.seeds if is_finished(config, arm, seed)] for arm in arms}
    table = [["row", "blocks", "settings", "seeds", "finished"]]
    for arm in arms:
        settings = " ".join(filter(None, [str(arm.resolved.get("recipe") or ""), *map("=".join, arm.variant)]))
        seeds = " ".join(map(str, finished[arm.name]))
        table.append([arm.name, arm.blocks or "-", settings or "-", " ".join(map(str, config.seeds)), seeds or "-"])
    total, done = len(arms) * len(config.seeds), sum(map(len, finished.values()))
    grid = f"{counted(len(arms), 'row')} x {counted(len(config.seeds), 'seed')}"
    return f"{to_markdown(table)}\n\n{grid}: {counted(total, 'training')}, {done} of them finished."
