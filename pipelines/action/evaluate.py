"""Scoring trained runs on test lists, one run per split, and the mean over splits."""

import statistics
from collections.abc import Callable, Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

from lightning_fabric import Fabric

from specvid.config import from_dict
from specvid.pipelines.action.config import ActionConfig, ClipConfig
from specvid.pipelines.action.data import clip_spec, read_lists, views_of
from specvid.pipelines.action.results import describe, keep, summarise
from specvid.pipelines.action.scores import score_views
from specvid.pipelines.engine.config import EngineConfig
from specvid.pipelines.engine.fabric import make_fabric
from specvid.pipelines.engine.log import echo
from specvid.pipelines.engine.run import RunFolder
from specvid.pipelines.networks import open_model


def evaluate(
    runs: Sequence[str | Path],
    *,
    splits: Sequence[int] = (),
    clips: int | None = None,
    crops: int = 1,
    checkpoint: str = "last",
    data: str = "",
    force: bool = False,
    engine: EngineConfig | None = None,
    echo: Callable[[str], None] = echo,
) -> dict[str, Any]:
    """Scores each run on the test list of a split, prints and keeps the figures, and returns them.

    ``splits``: which ones; each needs a run that was trained on it (``pair``). Without, each run is scored on its own
    split. ``clips`` x ``crops``: views per video, by default 10 x 1 (1 x 1 for a run that samples segments). ``data``:
    the data set's folder, if it moved. ``echo`` gets the printed text. ``engine``: device, precision, batch size and
    workers. Returns ``{"evaluations": [...], "mean": {...}}``.
    """
    engine = engine or EngineConfig()
    fabric = make_fabric(engine)
    folders = [RunFolder(run) for run in runs]
    configs = [_config(folder, data) for folder in folders]
    trained = [config.clips.split for config in configs]
    entries = []
    for number, split in pair([str(folder.path) for folder in folders], trained, splits, force=force):
        views = clips or (1 if configs[number].clips.sampling == "segments" else 10), crops
        entry = _score(fabric, folders[number], configs[number].clips, split, views, checkpoint, force, engine, echo)
        entries.append({"run": str(folders[number].path), **entry})
    mean = average(entries) if len(entries) > 1 else {}
    if mean and fabric.is_global_zero:
        echo(mean["text"])
    return {"evaluations": entries, "mean": mean}


def pair(runs: Sequence[str], trained: Sequence[int], splits: Sequence[int], *, force: bool) -> list[tuple[int, int]]:
    """Which run (by number) is scored on which split: ``[(run, split), ...]``, in the order of splits.

    A run is scored on the split it was trained on. Raises ValueError for a split without a run, or a run whose split
    was not asked for. With ``force``, runs are scored on every split, whatever they were trained on.
    """
    if not splits:
        return list(zip(range(len(runs)), trained, strict=True))
    if force:
        return [(number, split) for split in splits for number in range(len(runs))]
    about = ", ".join(f"{run} on {split}" for run, split in zip(runs, trained, strict=True))
    fix = (
        "Give one run per split (--run RUN1 RUN2 RUN3, or --run 'runs/NAME-s{split}'), or --force to score all on all."
    )
    for split in splits:
        if split not in trained:
            raise ValueError(f"split {split} has no run that was trained on it (trained: {about}). {fix}")
    for run, split in zip(runs, trained, strict=True):
        if split not in splits:
            raise ValueError(
                f"run {run!r} was trained on split {split}, which is not among --splits {list(splits)}. {fix}"
            )
    return [(number, split) for split in splits for number in range(len(runs)) if trained[number] == split]


def average(entries: Sequence[Mapping[str, Any]]) -> dict[str, Any]:
    """The mean over splits of the mean over each split's runs, with sample deviations (n - 1), and its sentence."""
    splits = sorted({entry["split"] for entry in entries})
    figures: dict[str, Any] = {}
    for name in ("top1", "top5", "mean_class"):
        per_split = [statistics.fmean(entry[name] for entry in entries if entry["split"] == split) for split in splits]
        figures[name] = statistics.fmean(per_split)
        spread = per_split if len(splits) > 1 else [entry[name] for entry in entries]
        figures[f"{name}_deviation"] = statistics.stdev(spread)
    over = f"splits {', '.join(map(str, splits))}" if len(splits) > 1 else f"{len(entries)} runs on split {splits[0]}"
    clips = f"{sum(entry['scored'] for entry in entries)} of {sum(entry['listed'] for entry in entries)} clips scored"
    views = " and ".join(sorted({f"{entry['clips']} x {entry['crops']} views" for entry in entries}))
    title = " and ".join(sorted({entry["dataset"] for entry in entries}))
    honest = "" if not any(entry["trained_on"] for entry in entries) else ", NOT HONEST: clips were trained on"
    text = f"mean over {over}: top-1 {100 * figures['top1']:.2f} ± {100 * figures['top1_deviation']:.2f} % "
    return {**figures, "splits": splits, "runs": len(entries), "text": f"{text}({title}, {views}, {clips}{honest})"}


def _config(folder: RunFolder, data: str) -> ActionConfig:
    saved = {key: value for key, value in folder.config().items() if key != "specvid"}
    config = from_dict(ActionConfig, saved, where=f"config {folder.path / 'config.json'}")
    return replace(config, clips=replace(config.clips, data=data)) if data else config


def _score(
    fabric: Fabric,
    folder: RunFolder,
    trained_on: ClipConfig,
    split: int,
    views: tuple[int, int],
    checkpoint: str,
    force: bool,
    engine: EngineConfig,
    echo: Callable[[str], None],
) -> dict[str, Any]:
    """One run on one split's test list."""
    model, meta = open_model(folder, checkpoint)
    lists = read_lists(replace(trained_on, split=split))
    if lists.classes != meta["classes"]:
        raise ValueError(
            f"run {str(folder.path)!r} knows {len(meta['classes'])} classes, data {trained_on.data!r} has "
            f"{len(lists.classes)} others. Give the data set that it was trained on."
        )
    own = lists if split == trained_on.split else read_lists(trained_on)
    leaked = len({record.name for record in lists.test} & {record.name for record in (*own.train, *own.validation)})
    if leaked and not force:
        raise ValueError(
            f"run {str(folder.path)!r} was trained on split {trained_on.split}: {leaked} of the {len(lists.test)} test "
            f"clips of split {split} were among its training clips, so the figure would be worthless. "
            "Give a run trained on that split, or --force to print it anyway, marked."
        )
    clips, crops = views
    dataset = views_of(lists.test, clip_spec(model.input, trained_on), clips=clips, crops=crops)
    scores = score_views(
        fabric,
        fabric.to_device(model),
        dataset,
        classes=len(lists.classes),
        batch_size=engine.batch_size,
        workers=engine.workers,
        title=f"{folder.name}, split {split}",
    )
    entry, score = summarise(lists, scores, checkpoint=checkpoint, clips=clips, crops=crops, leaked=leaked)
    if checkpoint == "best":
        entry["best_is"] = meta["best_is"]
    if fabric.is_global_zero:
        echo(describe(folder, entry, scores, keep(folder, lists, scores, entry, score)))
    return entry
