"""Does a block help on real clips? Blocks behind the frozen stages of Inception-I3D, many seeds in the time of one.

I3D as it comes runs once over each clip of UCF-101, or another set, and its mirror image; what Mixed_4f gives is saved
(another stage: ``--last-frozen Mixed_3c``). A training then has the block, what stands behind it (Mixed_5b and 5c) and
the classifier alone: seconds, so that many paired seeds are affordable. What stands still in a training is that of the
recipes of ``specvid train action``: ``probe`` trains the classifier, ``blocks`` the block too, ``finetune`` all behind
the saved maps. Augmentation is what features allow: mirror images.

    python -m specvid.tools.study.frozen_actions --data UCF101 --weights FILE --out runs/frozen.csv --seeds 5

Rows are added to the CSV as they are measured, seeds outermost, and maps and settings are saved beside it; the same
command goes on where it stopped, and one of other settings needs another CSV. Other sets go by ``--dataset``
(``folders``, for one that ``specvid data synthesize relation`` made), other blocks and places by
``--arms "blocks gc@Mixed_5c.end"``, and factors on their rates and those of their gates (which have 10 where a row
names none) by ``--arms "blocks snl x10 gate x100"``.
"""

import argparse
import sys
import time
from collections.abc import Sequence
from dataclasses import dataclass, field
from functools import partial

import numpy as np
import torch
from torch import Tensor
from torch.nn import functional as F

from specvid.datasets.clips.spec import ClipSpec
from specvid.datasets.layouts.action_set import VideoRecord
from specvid.errors import unknown
from specvid.models import VideoModel
from specvid.pipelines.ablate import cells as of_seeds
from specvid.pipelines.action.config import ActionClipsConfig
from specvid.pipelines.action.data import ActionLists, read_lists
from specvid.pipelines.engine.block_use import BlockWatch
from specvid.pipelines.engine.config import EngineConfig
from specvid.pipelines.engine.log import status
from specvid.pipelines.engine.optim import build_optimizer
from specvid.pipelines.engine.parts import freeze, train_mode
from specvid.pipelines.engine.schedule import build_schedule
from specvid.pipelines.engine.seeds import seed_all
from specvid.text import to_markdown
from specvid.tools.study.command_line import by_name, require_batch, run, study_parser
from specvid.tools.study.frozen_network import CUTS, Cut, frozen_stages, trained_part, videos
from specvid.tools.study.rated_blocks import RatedBlocks
from specvid.tools.study.rows import Rows, by_arm, difference, figures, verdict
from specvid.tools.study.settings import saved_maps, settings_of
from specvid.tools.study.trained import require_finite, strongest

CUT = CUTS["i3d_inception"]
BATCH = 16
GATE_LR = 10.0
"""Of rows that name none."""
COLUMNS = ("arm", "seed", "top1", "gate", "share", "trained", "ms_per_step", "seconds")


STILL = {"probe": ("backbone", "blocks"), "blocks": ("backbone",), "finetune": ()}
"""What stands still in the training of each recipe."""


@dataclass(frozen=True)
class Arm:
    """One row: what learns, and the block."""

    recipe: str
    rated: RatedBlocks = field(default_factory=RatedBlocks)

    @property
    def name(self) -> str:
        """The recipe and the block."""
        return f"{self.recipe} {self.rated.name}"

    @property
    def still(self) -> list[str]:
        """What stands still, as ``--freeze`` takes it."""
        return list(STILL[self.recipe])

    def config(self, epochs: int, lr: float) -> EngineConfig:
        """How the row is trained.

        Args:
            epochs: of all rows.
            lr: of all rows but those of ``finetune``, which have a tenth of it.
        """
        return EngineConfig(
            epochs=epochs,
            lr=lr * (1 if self.still else 0.1),
            weight_decay=0.01,
            warmup=0.05,
            block_lr=self.rated.block_lr,
            gate_lr=self.rated.gate_lr or GATE_LR,
        )

    @classmethod
    def of(cls, name: str, cut: Cut = CUT) -> "Arm":
        """The arm of a name.

        Args:
            name: a recipe, and a block with factors on its rates or ``bare``, as `name` has them.
            cut: where the network is divided.

        Returns:
            The arm.

        Raises:
            ValueError: no such recipe or block, or wrong rates.
        """
        recipe, _, block = name.partition(" ")
        if recipe not in STILL:
            raise unknown("recipe", recipe, STILL)
        if not block:
            raise ValueError(f"arm {name!r} must be a recipe and blocks, e.g. 'blocks snl', or 'probe bare'.")
        rated = RatedBlocks.of(block, cut)
        if recipe == "probe" and rated.blocks:
            raise ValueError(
                f"arm {name!r}: probe trains the classifier alone, so blocks would stay what they start as. Give "
                f"'blocks {rated.name}', or 'probe bare'."
            )
        if recipe == "blocks" and not rated.blocks:
            raise ValueError(f"arm {name!r}: without blocks it is 'probe bare', with which 'blocks' is compared.")
        return cls(recipe, rated)


ARMS = (
    *(Arm("probe"), Arm("blocks", RatedBlocks("snl")), Arm("blocks", RatedBlocks("nl"))),
    *(Arm("finetune"), Arm("finetune", RatedBlocks("snl")), Arm("finetune", RatedBlocks("nl"))),
)
BARE = {"probe": "probe bare", "blocks": "probe bare", "finetune": "finetune bare"}
"""What each recipe is compared with: blocks on a frozen network with the classifier alone."""


def clips_of(model: VideoModel, records: Sequence[VideoRecord]) -> Tensor:
    """Run the frozen stages over the middle clip of each video and its mirror image.

    Args:
        model: I3D up to where it is cut.
        records: the videos.

    Returns:
        float16 (N, 2, C, T, H, W).
    """
    clips = videos(records, ClipSpec.of(model.input))
    with torch.inference_mode():
        return torch.stack([model.backbone(torch.cat([clip, clip.flip(-1)])).half() for clip in clips])


def logits_of(model: VideoModel, maps_bcthw: Tensor) -> Tensor:
    """What the classifier gives for maps of the frozen stages.

    Args:
        model: `trained_part`.
        maps_bcthw: (B, C, T, H, W).

    Returns:
        The logits (B, K).
    """
    logits = model.head(model.pool(model.backbone(maps_bcthw.float()), None)).logits
    assert logits is not None
    return logits


def train_and_score(
    arm: Arm, seed: int, lists: ActionLists, train: Tensor, test: Tensor, cut: Cut, options: argparse.Namespace
) -> dict:
    """One training.

    Args:
        arm: what is trained.
        seed: of the training.
        lists: the split.
        train: maps of its training clips.
        test: maps of its test clips.
        cut: where the network is divided.
        options: of the command line.

    Returns:
        The row of the CSV.

    Raises:
        ValueError: it diverged.
    """
    start = time.perf_counter()
    seed_all(seed)
    model = trained_part(cut, options.weights, arm.rated.blocks, len(lists.classes), neck="none")
    freeze(model, arm.still)
    train_mode(model)
    config = arm.config(options.epochs, options.lr)
    labels = torch.tensor([record.label for record in lists.train])
    steps, rng = len(labels) // BATCH, np.random.default_rng(seed)
    optimizer = build_optimizer(model, config)
    schedule, times = build_schedule(optimizer, config, steps), []
    for _ in range(config.epochs):
        for batch in np.split(rng.permutation(len(labels))[: steps * BATCH], steps):
            begin = time.perf_counter()
            maps = train[torch.as_tensor(batch), torch.as_tensor(rng.integers(2, size=BATCH))]
            F.cross_entropy(logits_of(model, maps), labels[torch.as_tensor(batch)]).backward()
            optimizer.step()
            optimizer.zero_grad(set_to_none=True)
            schedule.step()
            times.append(time.perf_counter() - begin)
    model.eval()
    with torch.inference_mode(), BlockWatch(model) as watch:
        logits = torch.cat([logits_of(model, maps[:, 0]) for maps in test.split(BATCH)])
    require_finite(logits, arm.name, seed)
    right = logits.argmax(1) == torch.tensor([record.label for record in lists.test])
    return {
        "arm": arm.name,
        "seed": seed,
        "top1": float(right.double().mean()),
        **strongest(watch),
        "trained": sum(parameter.numel() for parameter in model.parameters() if parameter.requires_grad),
        "ms_per_step": round(1000 * float(np.median(times)), 1),
        "seconds": round(time.perf_counter() - start, 1),
    }


def summary(rows: Sequence[dict[str, str]]) -> str:
    """Top-1 of each row, and its paired difference to the network without a block.

    Args:
        rows: of the CSV.

    Returns:
        A table in Markdown.
    """
    arms = by_arm(rows)
    table = [["recipe", "block", "seeds", "top-1", "Δ top-1 [95 %]", "verdict", "gate", "share %", "ms / step"]]
    for arm, seeds in arms.items():
        recipe, block = arm.split(" ", 1)
        one = difference(seeds, arms.get(BARE[recipe], {}), "top1") if block != "bare" else None
        cells = [str(len(seeds)), of_seeds.spread(figures(seeds, "top1")), of_seeds.points(one)]
        gates, shares = figures(seeds, "gate"), figures(seeds, "share")
        cells += [verdict(one, shares), *of_seeds.use(gates, shares)]
        table.append([recipe, block, *cells, f"{np.median(figures(seeds, 'ms_per_step')):.0f}"])
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
    cut = CUT.behind(options.last_frozen)
    arms = by_name(options.arms or [arm.name for arm in ARMS], partial(Arm.of, cut=cut))
    lists = read_lists(ActionClipsConfig(dataset=options.dataset, data=options.data, split=options.split))
    if lists.is_multilabel:
        raise ValueError(
            "--data has clips of several classes, and this study learns one class a clip, with cross-entropy: give a "
            "set of such clips, or train with `specvid train action`."
        )
    require_batch(len(lists.train), BATCH)
    clip = {"frames": options.frames, "stride": options.stride, "size": options.size}
    which = {"dataset": options.dataset, "split": options.split, **cut.differs_from(CUT)}
    of_maps = settings_of("frozen_actions", lists, options.weights, **which, **clip)
    rows = Rows(options.out, COLUMNS, {**of_maps, "epochs": options.epochs, "lr": options.lr})
    todo = rows.missing(arms, range(options.seeds))
    if todo:

        def make() -> dict[str, Tensor]:
            frozen = frozen_stages(cut, options.weights, **clip, resize=round(options.size * 256 / 224))
            return {"train": clips_of(frozen, lists.train), "test": clips_of(frozen, lists.test)}

        maps = saved_maps(rows.path.with_suffix(".safetensors"), of_maps, make)
        status(f"maps of {cut.last_path}: {tuple(maps['train'].shape)}; {len(todo)} trainings to do")
    for arm, seed in todo:
        row = train_and_score(arms[arm], seed, lists, maps["train"], maps["test"], cut, options)
        rows.add(row)
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
        "frozen_actions",
        __doc__,
        data="folder of the set",
        weights="of Inception-I3D",
        arms='rows: "blocks snl" "finetune bare" (which has a tenth of --lr)',
        seeds=5,
        epochs=8,
        lr=4e-3,
    )
    parser.add_argument("--dataset", default="ucf101", help="its layout, as `specvid train action` has them")
    parser.add_argument("--split", type=int, default=1)
    parser.add_argument("--frames", type=int, default=16)
    parser.add_argument("--stride", type=int, default=4)
    parser.add_argument("--size", type=int, default=128)
    parser.add_argument("--last-frozen", default="", help=f"stage whose maps are saved; {CUT.last_path} if not given")
    return run(parser, measure, words)


if __name__ == "__main__":
    sys.exit(main())
