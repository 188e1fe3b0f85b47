"""Does a block help on real tracklets? Blocks behind the frozen stages of a network, many seeds in the time of one.

OSNet, or MobileNetV2, as it comes runs once over eight frames of each tracklet, evenly spaced; what conv4 (the
bottleneck ``features.13``) gives is saved, of each frame and its mirror image (another stage: ``--last-frozen conv3``).
A training then has the block, what stands behind it, and the head alone: seconds, so that twenty paired seeds are
affordable. Batches, losses, optimiser, scores and the report on gates are those of ``specvid train reid``; augmentation
is what features allow: mirror images, and one frame from each part of a tracklet.

    python -m specvid.tools.study.frozen_blocks --data MARS --weights FILE --out runs/frozen.csv --seeds 20

Rows are added to the CSV as they are measured, seeds outermost, and maps and settings are saved beside it; the same
command goes on where it stopped, and one of other settings needs another CSV. Other blocks, rates and places behind
what stands still go by ``--arms "gc@features.17.end x10"``.
"""

import argparse
import sys
import time
from collections.abc import Iterator, Sequence
from functools import partial

import numpy as np
import torch
from torch import Tensor

from specvid.datasets.clips.samplers import IdentitySampler
from specvid.datasets.layouts.mars import read_mars
from specvid.datasets.layouts.reid_set import ReidSet, labels_of
from specvid.models import VideoModel
from specvid.pipelines.ablate import cells as of_seeds
from specvid.pipelines.ablate.statistics import pooled, what_seeds_show
from specvid.pipelines.engine.block_use import BlockWatch
from specvid.pipelines.engine.config import EngineConfig
from specvid.pipelines.engine.log import status
from specvid.pipelines.engine.optim import build_optimizer
from specvid.pipelines.engine.schedule import build_schedule
from specvid.pipelines.engine.seeds import seed_all
from specvid.pipelines.reid.config import ReidLossConfig
from specvid.pipelines.reid.features import as_reid_features
from specvid.pipelines.reid.loss import ReidLoss
from specvid.text import counted, to_markdown
from specvid.tools.study.command_line import by_name, run, study_parser
from specvid.tools.study.frozen_network import CUTS, Cut, Maps, frozen_stages, outputs, trained_part
from specvid.tools.study.rated_blocks import RatedBlocks
from specvid.tools.study.rows import Rows, by_arm, difference, figures, verdict
from specvid.tools.study.settings import saved_maps, settings_of
from specvid.tools.study.trained import require_finite, strongest

IDENTITIES, TRACKLETS = 8, 4
"""Of a batch."""
FRAMES = 8
"""Of a tracklet, spread evenly over it, whose maps are saved; those of mars-mid have no more."""
COLUMNS = ("arm", "seed", "mAP", "rank1", "gate", "gate_max", "share", "parameters", "seconds")


MODELS = ("osnet_x0_25", "mobilenet_v2")

ARMS = (
    RatedBlocks(),
    RatedBlocks("snl"),
    RatedBlocks("snl", 10, 100),
    RatedBlocks("snl(gate=0.1)"),
    RatedBlocks("snl(gate=1.0)"),
    RatedBlocks("snl(gating=channel)", 10, 100),
    RatedBlocks("nl", 10, 100),
    RatedBlocks("cheb", 10, 100),
    RatedBlocks("a2", 10, 100),
    RatedBlocks("gc", 10),
    RatedBlocks("se", 10),
)


def train_and_score(
    arm: RatedBlocks, seed: int, data: ReidSet, train: Maps, test: Maps, cut: Cut, options: argparse.Namespace
) -> dict:
    """One training.

    Args:
        arm: what is trained.
        seed: of the training.
        data: the split.
        train: maps of its training tracklets.
        test: maps of its test tracklets.
        cut: the network, and where it is divided.
        options: of the command line.

    Returns:
        The row of the CSV.

    Raises:
        ValueError: it diverged.
    """
    start = time.perf_counter()
    classes, labels = labels_of(data.train)
    seed_all(seed)
    model = trained_part(cut, options.weights, arm.blocks, len(classes), neck="bnneck")
    config = EngineConfig(
        epochs=options.epochs, lr=options.lr, weight_decay=5e-4, warmup=0.1, block_lr=arm.block_lr, gate_lr=arm.gate_lr
    )
    sampler = _sampler(data, seed)
    steps = len(sampler) // (IDENTITIES * TRACKLETS)
    optimizer, criterion = build_optimizer(model, config), ReidLoss(ReidLossConfig())
    schedule = build_schedule(optimizer, config, steps)
    model.train()
    for epoch in range(config.epochs):
        sampler.set_epoch(epoch)
        for batch in _batches(list(sampler)[: steps * IDENTITIES * TRACKLETS]):
            rngs = [np.random.default_rng([seed, epoch, index]) for index in batch]
            maps = torch.stack([train.sample(i, options.frames, rng) for i, rng in zip(batch, rngs, strict=True)])
            loss, _ = criterion(outputs(model, maps), torch.as_tensor(labels[batch]))
            loss.backward()
            optimizer.step()
            optimizer.zero_grad(set_to_none=True)
            schedule.step()
    figures_of = score(model, data, test, options.frames, arm=arm.name, seed=seed)
    return {"arm": arm.name, "seed": seed, **figures_of, "seconds": _since(start)}


def _sampler(data: ReidSet, seed: int) -> IdentitySampler:
    cameras = [one.camid for one in data.train]
    return IdentitySampler(labels_of(data.train)[1], cameras, identities=IDENTITIES, tracklets=TRACKLETS, seed=seed)


@torch.inference_mode()
def score(model: VideoModel, data: ReidSet, test: Maps, frames: int, *, arm: str, seed: int) -> dict[str, object]:
    """mAP and rank-1 under mars-ap; of the block that adds most, where its gates stand, and how much that is.

    Args:
        model: `trained_part`, trained.
        data: the split.
        test: maps of its test tracklets.
        frames: of a clip.
        arm: what was trained.
        seed: of the training.

    Returns:
        The figures by name.

    Raises:
        ValueError: the training diverged.
    """
    model.eval()
    maps = test.maps[:, 0]
    with BlockWatch(model) as watch:
        parts = [_embed(model, chunk) for chunk in maps.split(frames, dim=1)]
    features = torch.stack(parts).mean(0)
    require_finite(features, arm, seed)
    found = as_reid_features(data, features.numpy(), {}).score("mars-ap")
    parameters = sum(parameter.numel() for parameter in model.parameters())
    return {"mAP": found.mAP, "rank1": found.rank(1), **strongest(watch), "parameters": parameters}


def _embed(model: VideoModel, maps_ntchw: Tensor) -> Tensor:
    return torch.cat([outputs(model, maps).embedding for maps in maps_ntchw.split(32)])


def _batches(pairs: list[tuple[int, int]]) -> Iterator[list[int]]:
    size = IDENTITIES * TRACKLETS
    for first in range(0, len(pairs), size):
        yield [index for _, index in pairs[first : first + size]]


def _since(start: float) -> float:
    return round(time.perf_counter() - start, 1)


def summary(rows: Sequence[dict[str, str]]) -> str:
    """Paired differences to the bare arm with their interval, gates and shares.

    Args:
        rows: of the CSV.

    Returns:
        A table in Markdown.
    """
    arms = by_arm(rows)
    table = [["block", "seeds", "mAP", "rank-1", "Δ mAP [95 %]", "Δ rank-1 [95 %]", "verdict", "gate", "share %"]]
    differences = []
    for arm, seeds in arms.items():
        bare = arms.get("bare", {}) if arm != "bare" else {}
        found = [difference(seeds, bare, metric) for metric in ("mAP", "rank1")]
        first = found[0]
        differences.append(first)
        gates, shares = figures(seeds, "gate"), figures(seeds, "share")
        cells = [of_seeds.spread(figures(seeds, metric)) for metric in ("mAP", "rank1")]
        cells += [of_seeds.points(one) for one in found]
        table.append([arm, str(len(seeds)), *cells, verdict(first, shares), *of_seeds.use(gates, shares)])
    lines = [to_markdown(table)]
    if deviation := pooled(differences):
        lines.append(f"\n{what_seeds_show('mAP', deviation)}")
    return "\n".join(lines)


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
    usual = CUTS[options.model]
    cut = usual.behind(options.last_frozen)
    if options.frames > FRAMES:
        raise ValueError(
            f"--frames {options.frames}: maps of {FRAMES} frames of each tracklet are kept, from which a clip takes "
            f"its own. Give 1 to {FRAMES}."
        )
    arms = by_name(options.arms or [arm.name for arm in ARMS], partial(RatedBlocks.of, cut=cut))
    data = read_mars(options.data)
    of_maps = settings_of("frozen_blocks", data, options.weights, model=options.model, **cut.differs_from(usual))
    of_trainings = {"frames": options.frames, "epochs": options.epochs, "lr": options.lr}
    rows = Rows(options.out, COLUMNS, {**of_maps, **of_trainings})
    todo = rows.missing(arms, range(options.first_seed, options.first_seed + options.seeds))
    if todo:
        if (identities := len(labels_of(data.train)[0])) < IDENTITIES:
            raise ValueError(
                f"--data has {counted(identities, 'identity')} to train on, less than the "
                f"{IDENTITIES} of a batch: give more."
            )

        def make() -> dict[str, Tensor]:
            frozen = frozen_stages(cut, options.weights, frames=FRAMES, stride=1)
            return {"train": Maps.of(frozen, data.train).maps, "test": Maps.of(frozen, data.test).maps}

        maps = saved_maps(rows.path.with_suffix(".safetensors"), of_maps, make)
        train, test = Maps(maps["train"]), Maps(maps["test"])
        status(f"maps of frozen stages: {tuple(train.maps.shape)}; {len(todo)} trainings to do")
    for arm, seed in todo:
        row = train_and_score(arms[arm], seed, data, train, test, cut, options)
        rows.add(row)
        status(f"{arm}, seed {seed}: mAP {100 * row['mAP']:.2f}, rank-1 {100 * row['rank1']:.2f}, {row['seconds']} s")
    return summary(rows.read())


def main(words: Sequence[str] | None = None) -> int:
    """Run the command line.

    Args:
        words: its words; those of the process if None.

    Returns:
        The exit code.
    """
    parser = study_parser(
        "frozen_blocks",
        __doc__,
        data="folder in MARS's layout",
        weights="of the network",
        arms='rows: bare, blocks and factors on their rates: "snl x10 gate x100" "snl@conv5.end" (by default: '
        + ", ".join(f'"{arm.name}"' for arm in ARMS)
        + ")",
        seeds=20,
        epochs=6,
        lr=3.5e-4,
    )
    parser.add_argument("--model", choices=MODELS, default="osnet_x0_25")
    parser.add_argument("--first-seed", type=int, default=0, help="several processes can share the seeds")
    parser.add_argument("--frames", type=int, default=4, help=f"of a clip, of the {FRAMES} that are kept")
    last = ", ".join(f"{CUTS[name].last_path} of {name}" for name in MODELS)
    parser.add_argument("--last-frozen", default="", help=f"stage whose maps are saved; if not given, {last}")
    return run(parser, measure, words)


if __name__ == "__main__":
    sys.exit(main())
