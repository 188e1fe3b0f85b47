"""Scoring action recognisers: views through a network, and trained runs on test lists, one run per split."""

from collections.abc import Callable, Sequence
from dataclasses import replace
from functools import partial
from pathlib import Path
from typing import Any, cast

import numpy as np
import torch
from lightning_fabric import Fabric
from rich.progress import track
from torch import nn
from torch.utils.data import DataLoader

from specvid.datasets.clips.samplers import ShardSampler
from specvid.datasets.clips.transforms import TestTransform
from specvid.datasets.clips.videos import TestViews
from specvid.eval.classification import average_views
from specvid.files import output_folder
from specvid.pipelines.action.config import ActionClipsConfig, ActionConfig, ActionEvaluationConfig
from specvid.pipelines.action.data import ActionLists, clip_spec, make_views, read_lists, read_set
from specvid.pipelines.action.entries import mean_over_splits
from specvid.pipelines.action.fusion import check_fusion, fuse
from specvid.pipelines.action.results import ActionResult, ClipScores, result_of
from specvid.pipelines.action.sides import keep_sides, learned_of
from specvid.pipelines.engine.config import ComputeConfig
from specvid.pipelines.engine.evaluation import TrainedRun, evaluate_runs, pair_runs, refuse_leak
from specvid.pipelines.engine.fabric import make_fabric
from specvid.pipelines.engine.gather import gather_rows
from specvid.pipelines.engine.layout import for_inference
from specvid.pipelines.engine.listing import load_listing
from specvid.pipelines.engine.loading import load, loader_options
from specvid.pipelines.engine.log import console, status
from specvid.pipelines.engine.log import echo as to_stdout
from specvid.pipelines.engine.run import RunFolder
from specvid.pipelines.networks.config import NetworkConfig
from specvid.pipelines.networks.finite import require_finite
from specvid.pipelines.networks.opening import open_network
from specvid.text import path_on_one_line


def evaluate(
    runs: Sequence[str | Path],
    config: ActionEvaluationConfig | None = None,
    *,
    splits: Sequence[int] = (),
    compute: ComputeConfig | None = None,
    echo: Callable[[str], None] = to_stdout,
) -> dict[str, Any]:
    """Score runs on the test lists of their splits; print and save the figures.

    Args:
        runs: their folders.
        config: views, checkpoint and data.
        splits: which ones, each with a run that was trained on it; none: each run on its own split.
        compute: device, precision, batch size and workers.
        echo: gets the printed text.

    Returns:
        ``{"evaluations": [...], "mean": {...}}``, or ``"fused"`` instead of the mean.

    Raises:
        ValueError: a folder that is no run, a split without its run, test clips that were trained on, or runs that
            cannot be fused.
    """
    config, compute = config or ActionEvaluationConfig(), compute or ComputeConfig()
    if config.out:
        output_folder("out", config.out)
    trained = [TrainedRun.open(run, ActionConfig) for run in runs]
    if config.fuse != "none":
        _check_fusion(trained, splits, config)
    fabric = make_fabric(compute)
    score = partial(_score, fabric=fabric, config=config, compute=compute)
    entries, results = evaluate_runs(trained, score, fabric=fabric, splits=splits, any_split=config.force, echo=echo)
    if config.fuse != "none":
        by_run = dict(zip([entry["run"] for entry in entries], results, strict=True))
        fused = fuse(by_run, config.fuse)
        folder = RunFolder(
            config.out or Path(runs[0]).parent / "+".join(["fused", *(Path(run).name for run in by_run)])
        )
        if fabric.is_global_zero:
            echo(fused.describe(str(folder.path), fused.save(folder)))
        return {"evaluations": entries, "fused": fused.entry()}
    mean = mean_over_splits(entries) if len(entries) > 1 else {}
    if mean and fabric.is_global_zero:
        echo(mean["text"])
    return {"evaluations": entries, "mean": mean}


def _score(
    run: TrainedRun[ActionConfig], split: int, *, fabric: Fabric, config: ActionEvaluationConfig, compute: ComputeConfig
) -> ActionResult:
    """One run on one split's test list."""
    network = NetworkConfig(run=str(run.folder.path), checkpoint=config.checkpoint, trust=config.trust)
    opened = open_network(network)
    model, metadata = opened.model, opened.metadata
    trained_on = _clips_of(run, config)
    lists, leaked = read_test(run, replace(trained_on, split=split))
    if lists.classes != metadata["classes"]:
        raise ValueError(
            f"run {str(run.folder.path)!r} knows {len(metadata['classes'])} classes, data {trained_on.data!r} has "
            f"{len(lists.classes)} others. Give the data set that it was trained on."
        )
    for warning in lists.warnings if fabric.is_global_zero else ():
        status(f"warning: {warning}")
    if not config.force:
        refuse_leak(run, split, len(leaked), "clips", example=min(leaked, default=""))
    if config.min_readable is not None:
        trained_on = replace(trained_on, min_readable=config.min_readable)
    clips = config.clips or (1 if trained_on.sampling == "segments" else 10)
    views = make_views(lists.test, clip_spec(model.input, trained_on), clips=clips, crops=config.crops)
    model = for_inference(fabric, model)
    title, multilabel = f"{run.folder.name}, split {split}", lists.is_multilabel
    scores = score_views(fabric, model, views, compute=compute, title=title, multilabel=multilabel)
    selected_by = metadata["best_is"] if config.checkpoint == "best" else ""
    return result_of(
        lists,
        scores,
        checkpoint=config.checkpoint,
        views=views,
        thresholds=metadata.get("thresholds"),
        leaked=len(leaked),
        selected_by=selected_by,
    )


def _check_fusion(
    trained: Sequence[TrainedRun[ActionConfig]], splits: Sequence[int], config: ActionEvaluationConfig
) -> None:
    """Refuse runs that cannot be fused before the first of them is scored, which can take hours."""
    names = [str(run.folder.path) for run in trained]
    pairs = pair_runs(names, [run.config.clips.split for run in trained], splits, any_split=config.force)
    tested = []
    for number, split in pairs:
        run, clips = trained[number], replace(_clips_of(trained[number], config), split=split)
        found, before = read_set(clips), load_listing(run.folder.path)
        tested.append((names[number], keep_sides(found, before) if _is_drawn(run, clips) and before else found))
    check_fusion(tested, config.fuse)


def read_test(run: TrainedRun[ActionConfig], clips: ActionClipsConfig) -> tuple[ActionLists, list[str]]:
    """The clips to score a run on.

    Args:
        run: the run.
        clips: data set and split, all of it.

    Returns:
        The lists, with the run's own test part where it was drawn by it; and the names of the clips in the test part
        that the run was trained or validated on, which make the figure worthless.

    Raises:
        ValueError: a wrong folder, list or split, or lists of the run that were altered.
    """
    lists, before = read_lists(clips), load_listing(run.folder.path)
    if before is None:  # of a version that kept none
        split = run.config.clips.split
        own = lists if clips.split == split else read_lists(replace(clips, split=split))
        return lists, sorted({r.name for r in lists.test} & {r.name for r in (*own.train, *own.validation)})
    if _is_drawn(run, clips):
        lists = keep_sides(lists, before)
    return lists, learned_of(lists, before, same_place=clips.data == run.config.clips.data)


def _is_drawn(run: TrainedRun[ActionConfig], clips: ActionClipsConfig) -> bool:
    """Whether the test part is the draw of the run, and not one that the data bring."""
    return clips.test_fraction > 0 and clips.split == run.config.clips.split


def _clips_of(run: TrainedRun[ActionConfig], config: ActionEvaluationConfig) -> ActionClipsConfig:
    """The data set that a run was trained on, all of it, where it lies now."""
    return replace(run.config.clips, data=config.data or run.config.clips.data, limit=0)


def score_views(
    fabric: Fabric,
    model: nn.Module,
    views: TestViews,
    *,
    compute: ComputeConfig,
    title: str = "scoring",
    multilabel: bool = False,
) -> ClipScores:
    """Run a network over test views: each process takes a share, every clip is scored once.

    Args:
        fabric: of this process.
        model: bare, on its device, in eval mode.
        views: the clips, each with its views.
        compute: batch size (views at once) and workers.
        title: of the progress bar.
        multilabel: a clip may have several classes.

    Returns:
        The scores of all clips, in every process.

    Raises:
        ValueError: logits are not finite.
    """
    own = list(ShardSampler(len(views), rank=fabric.global_rank, world=fabric.world_size))
    views_per_clip = views.clips * cast(TestTransform, views.transform).crops
    size = max(1, compute.batch_size // views_per_clip)
    on_gpu, options = fabric.device.type == "cuda", loader_options(compute.workers)
    batches = load(
        lambda done, _: DataLoader(views, batch_size=size, sampler=own[done * size :], pin_memory=on_gpu, **options),
        views.guard,
    )
    quiet = not (fabric.is_global_zero and console.is_terminal)
    rows: list[tuple[int, tuple[np.ndarray, str, str, str]]] = []
    count = -(-len(own) // size)
    for batch in track(batches, title, total=count, console=console, disable=quiet, transient=True):
        logits_nc = view_logits(fabric, model, batch["video"].flatten(0, 1), compute.batch_size)
        logits_bvc = logits_nc.reshape(len(batch["index"]), views_per_clip, -1)
        columns = (batch["index"].tolist(), logits_bvc, batch["error"], batch["repeated"], batch["unusual"])
        for index, logits_vc, error, *remarks in zip(*columns, strict=True):
            if not error:
                require_finite(logits_vc, model, path_on_one_line(views.records[index].path))
            missing = np.full(logits_vc.shape[1], np.nan)
            shares = missing if error else average_views(logits_vc, multilabel=multilabel)
            rows.append((index, (shares, error, *remarks)))
    rows_nc, *remarks = zip(*gather_rows(fabric, rows, len(views)), strict=True)
    return ClipScores(np.stack(rows_nc), *map(list, remarks))


@torch.inference_mode()
def view_logits(fabric: Fabric, model: nn.Module, views: torch.Tensor, batch_size: int) -> np.ndarray:
    """Run a network over views.

    Args:
        fabric: of this process.
        model: bare, on its device, in eval mode.
        views: (N, 3, T, H, W).
        batch_size: views at once.

    Returns:
        Logits (N, C), float32.
    """
    with fabric.autocast():
        parts = [model(fabric.to_device(part)).float().cpu() for part in views.split(batch_size)]
    return torch.cat(parts).numpy()
