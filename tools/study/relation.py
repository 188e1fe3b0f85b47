"""Can a network say whether two real clips show the same action? Bare against blocks, behind frozen stages.

The set is one of ``specvid data synthesize relation``: a film shows two clips at different times in far corners.
MobileNetV2 as it comes runs once over eight frames of each film; what its bottlenecks give is saved. A layer of 32
channels then learns what each half of a film shows, and stands still; behind it the block, one more layer and a linear
classifier over the mean of all positions learn whether the two agree. So what is seen is given, and what is learned is
to relate it. Films to train on and to test on are of other groups of the source.

    specvid data synthesize relation relation --from UCF101 --scenes 300 --size 256 --tile 112
    python -m specvid.tools.study.relation --data relation --weights FILE --out runs/relation.csv --seeds 5

Rows are added to the CSV as they are measured, seeds outermost, and maps and settings are saved beside it; the same
command goes on where it stopped, and one of other settings needs another CSV.
"""

import argparse
import sys
import time
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, replace
from itertools import groupby
from pathlib import Path

import numpy as np
import torch
from torch import Tensor, nn
from torch.nn import functional as F

from specvid.datasets.clips.spec import ClipSpec
from specvid.datasets.layouts.action_set import ActionSet, VideoRecord
from specvid.datasets.layouts.registry import read_action
from specvid.datasets.layouts.tables import read_table
from specvid.models.insertion.anybody import insert
from specvid.pipelines.ablate import cells as of_seeds
from specvid.pipelines.engine.block_use import BlockWatch
from specvid.pipelines.engine.config import EngineConfig
from specvid.pipelines.engine.log import status
from specvid.pipelines.engine.optim import build_optimizer
from specvid.pipelines.engine.schedule import build_schedule
from specvid.pipelines.engine.seeds import seed_all
from specvid.text import to_markdown
from specvid.tools.study.command_line import by_name, require_batch, run, study_parser
from specvid.tools.study.frozen_network import Cut, frozen_stages, videos
from specvid.tools.study.rows import Rows, by_arm, difference, figures, verdict
from specvid.tools.study.settings import saved_maps, settings_of
from specvid.tools.study.trained import require_finite, strongest

FRAMES, SIZE, BATCH = 8, 256, 32
SEEN, RELATED = 32, 64
"""Channels of the layer that learns what the clips show, and of the one behind the block."""

CUT = Cut("mobilenet_v2", container="features", last_frozen="17")
"""Behind the last bottleneck."""

COLUMNS = ("arm", "seed", "top1", "actions", "gate", "share", "parameters", "seconds")
ARMS = ("bare", "snl", "nl", "cheb", "a2", "gc", "se")


@dataclass(frozen=True)
class Films:
    """One part of the set.

    Attributes:
        maps_ncthw: what the frozen stages give, float32.
        labels: whether the clips agree, int64 (N,).
        actions: of the first and the second clip, int64 (N, 2).
    """

    maps_ncthw: Tensor
    labels: Tensor
    actions: Tensor


class Relate(nn.Module):
    """What is learned behind frozen maps: a block at ``here``, a layer, and a classifier over the mean of positions.

    Args:
        block: as ``specvid.insert`` takes it, without its place; empty for none.
    """

    def __init__(self, block: str) -> None:
        super().__init__()
        self.here = nn.Identity()
        self.layer = _layer(SEEN, RELATED)
        self.classify = nn.Linear(RELATED, 2)
        if block:
            insert(self, f"{block}@here", torch.zeros(2, SEEN, 2, 2, 2))

    def forward(self, x_bcthw: Tensor) -> Tensor:
        """Say whether the clips agree.

        Args:
            x_bcthw: what was seen.

        Returns:
            Logits (B, 2).
        """
        return self.classify(self.layer(self.here(x_bcthw)).mean((2, 3, 4)))


def _layer(before: int, after: int) -> nn.Sequential:
    return nn.Sequential(nn.Conv3d(before, after, 1, bias=False), nn.BatchNorm3d(after), nn.ReLU())


@torch.inference_mode()
def maps_of(records: Sequence[VideoRecord], weights: str) -> Tensor:
    """Run the frozen stages over films.

    Args:
        records: the films.
        weights: of MobileNetV2.

    Returns:
        Means of 2 x 2 x 2 positions, float16 (N, C, T, H, W).
    """
    model = frozen_stages(CUT, weights, frames=FRAMES, stride=2, size=SIZE, resize=SIZE)
    found = []
    for film in videos(records, ClipSpec.of(model.input)):
        frames_tchw = film[0].transpose(0, 1).contiguous(memory_format=torch.channels_last)
        found.append(F.avg_pool3d(model.backbone(frames_tchw).transpose(0, 1), 2).half())
    return torch.stack(found)


def actions_of(folder: Path, records: Sequence[VideoRecord]) -> Tensor:
    """What the clips of films show, as ``films.csv`` has it.

    Args:
        folder: of the set.
        records: its films.

    Returns:
        Numbers of the actions of the first and the second clip, (N, 2).

    Raises:
        ValueError: the set has no such table, or a film is not in it.
    """
    table = folder / "films.csv"
    if not table.is_file():
        raise ValueError(f"{table} is not there: give a folder that `specvid data synthesize relation` made.")
    rows = read_table(table, ("film", "first action", "second action"), ())
    shown = {row["film"]: (row["first action"], row["second action"]) for row in rows}
    for record in records:
        if record.path.stem not in shown:
            raise ValueError(f"{table} lacks the film {record.path.stem!r}: have the set made anew.")
    numbers = {name: number for number, name in enumerate(sorted({name for pair in shown.values() for name in pair}))}
    return torch.tensor([[numbers[name] for name in shown[record.path.stem]] for record in records])


def train_and_score(arm: str, seed: int, train: Films, test: Films, options: argparse.Namespace) -> dict:
    """One training.

    Args:
        arm: the block, or ``bare``.
        seed: of the training.
        train: films to train on, as `learn_to_see` gives them.
        test: films to test on, likewise.
        options: of the command line.

    Returns:
        The row of the CSV, without ``actions``.

    Raises:
        ValueError: it diverged.
    """
    start = time.perf_counter()
    seed_all(seed)
    model = Relate("" if arm == "bare" else arm)
    fit(
        model,
        lambda batch: F.cross_entropy(model(train.maps_ncthw[batch]), train.labels[batch]),
        len(train.labels),
        EngineConfig(epochs=options.epochs, lr=options.lr, weight_decay=0.05, gate_lr=10.0, schedule="onecycle"),
        seed,
    )
    with torch.inference_mode(), BlockWatch(model) as watch:
        logits = torch.cat([model(x) for x in test.maps_ncthw.split(BATCH)])
    require_finite(logits, arm, seed)
    return {
        "arm": arm,
        "seed": seed,
        "top1": _share_right(logits, test.labels),
        **strongest(watch),
        "parameters": sum(parameter.numel() for parameter in model.parameters()),
        "seconds": round(time.perf_counter() - start, 1),
    }


def learn_to_see(train: Films, test: Films, seed: int) -> tuple[Films, Films, float]:
    """Train the layer that says what the clip of each half of a film shows, and see the films through it.

    Args:
        train: films to train on.
        test: films to test on.
        seed: of the training.

    Returns:
        Both parts with what the layer makes of their maps, and the share of the clips of ``test`` whose action a
        classifier over it gets right.
    """
    seed_all(seed)
    see, classify = _layer(train.maps_ncthw.shape[1], SEEN), nn.Linear(SEEN, int(train.actions.max()) + 1)

    def logits(x_bcthw: Tensor) -> Tensor:  # (2 B, K): the first clips, then the second ones
        halves = see(x_bcthw).chunk(2, dim=2)
        return classify(torch.cat([half.mean((2, 3, 4)) for half in halves]))

    fit(
        nn.ModuleList([see, classify]),
        lambda batch: F.cross_entropy(logits(train.maps_ncthw[batch]), train.actions[batch].T.flatten()),
        len(train.labels),
        EngineConfig(epochs=6, lr=3e-3, weight_decay=0.05, schedule="onecycle"),
        seed,
    )
    with torch.inference_mode():
        known = _share_right(logits(test.maps_ncthw), test.actions.T.flatten())
        seen = [see(films.maps_ncthw) for films in (train, test)]
    scale = seen[0].std()
    after = [replace(films, maps_ncthw=x.clone() / scale) for films, x in zip((train, test), seen, strict=True)]
    return after[0], after[1], known


def fit(model: nn.Module, loss: Callable[[Tensor], Tensor], count: int, config: EngineConfig, seed: int) -> None:
    """Train, in random order, and leave the model in eval mode.

    Args:
        model: whose parameters learn.
        loss: of the films with these numbers.
        count: of the films.
        config: epochs, rates and schedule.
        seed: of the order.
    """
    model.train()
    optimizer = build_optimizer(model, config)
    schedule = build_schedule(optimizer, config, count // BATCH)
    for batch in _batches(count, config.epochs, seed):
        loss(batch).backward()
        optimizer.step()
        optimizer.zero_grad(set_to_none=True)
        schedule.step()
    model.eval()


def _batches(count: int, epochs: int, seed: int) -> Iterator[Tensor]:
    rng = np.random.default_rng(seed)
    for _ in range(epochs):
        whole = rng.permutation(count)[: count // BATCH * BATCH]
        yield from torch.as_tensor(whole).split(BATCH)


def _share_right(logits: Tensor, labels: Tensor) -> float:
    return float((logits.argmax(1) == labels).double().mean())


def _arm(text: str) -> str:
    """The name of a row, if what it names can be inserted; known before anything is computed for it."""
    name = text.strip()
    if name != "bare":
        Relate(name)
    return name


def _parts(data: ActionSet) -> tuple[tuple[str, Sequence[VideoRecord]], ...]:
    return ("train", data.train), ("test", data.test)


def summary(rows: Sequence[dict[str, str]]) -> str:
    """Top-1 of each block, and its paired difference to the bare network.

    Args:
        rows: of the CSV.

    Returns:
        A table in Markdown.
    """
    arms = by_arm(rows)
    table = [["block", "seeds", "top-1", "Δ top-1 [95 %]", "verdict", "gate", "share %", "parameters"]]
    for arm, seeds in arms.items():
        one = difference(seeds, arms.get("bare", {}), "top1") if arm != "bare" else None
        cells = [str(len(seeds)), of_seeds.spread(figures(seeds, "top1")), of_seeds.points(one)]
        gates, shares = figures(seeds, "gate"), figures(seeds, "share")
        cells += [verdict(one, shares), *of_seeds.use(gates, shares)]
        table.append([arm, *cells, f"{figures(seeds, 'parameters')[0]:,.0f}"])
    return to_markdown(table)


def measure(options: argparse.Namespace) -> str:
    """Measure what is missing.

    Args:
        options: of the command line.

    Returns:
        The table of all rows.

    Raises:
        ValueError: an unknown arm, wrong data or weights, or a CSV of other settings.
        OSError: the disk is full, or may not be written.
    """
    arms = by_name(options.arms or ARMS, _arm, str)
    data = read_action("folders", options.data)
    require_batch(len(data.train), BATCH)
    shown = {part: actions_of(Path(options.data), records) for part, records in _parts(data)}
    of_maps = settings_of("relation", data, options.weights)
    rows = Rows(options.out, COLUMNS, {**of_maps, "epochs": options.epochs, "lr": options.lr})
    todo = rows.missing(arms, range(options.seeds))
    if todo:

        def make() -> dict[str, Tensor]:
            return {part: maps_of(records, options.weights) for part, records in _parts(data)}

        maps = saved_maps(rows.path.with_suffix(".safetensors"), of_maps, make)
        scale = maps["train"].float().std()
        train, test = (
            Films(maps[part].float() / scale, torch.tensor([record.label for record in records]), shown[part])
            for part, records in _parts(data)
        )
        status(f"maps: {tuple(train.maps_ncthw.shape)}; {len(todo)} trainings to do")
    for seed, of_seed in groupby(todo, key=lambda one: one[1]):
        train_seen, test_seen, known = learn_to_see(train, test, seed)
        for arm, _ in of_seed:
            row = train_and_score(arm, seed, train_seen, test_seen, options)
            rows.add(row | {"actions": known})
            status(f"{arm}, seed {seed}: top-1 {100 * row['top1']:.2f}, {row['seconds']} s")
    return summary(rows.read())


def main(words: Sequence[str] | None = None) -> int:
    """Run the command line.

    Args:
        words: its words; those of the process if None.

    Returns:
        The exit code.
    """
    parser = study_parser(
        "relation",
        __doc__,
        data="folder that `specvid data synthesize relation` made",
        weights="of MobileNetV2",
        arms='rows: bare "snl" "nl(gate=0.1)"',
        seeds=5,
        epochs=20,
        lr=5e-3,
    )
    return run(parser, measure, words)


if __name__ == "__main__":
    sys.exit(main())
