"""``specvid eval action``."""

import json
from dataclasses import dataclass
from typing import Any, Literal

from specvid.cli.verb import Verb

HELP = """\
specvid eval action: score runs on the test list of a split; every listed clip counts once

  --run RUN [RUN ...]     folders of runs; `{split}` in a name stands for each of --splits
  --split 1               the split; without it, each run's own
  --splits 1,2,3          several splits and their mean: one run per split, each scored on the
                          split that it was trained on
  --clips 10 --crops 1    views of each video: clips evenly over it, crops 1, 3, 5 or 10;
                          softmax is averaged over the views
  --checkpoint last|best  which epoch
  --data DIR              where the data set lies now, if it moved
  --force                 score runs on splits they were trained on, and say so beside the figure
  --json                  print the figures as JSON instead
  --device cpu|cuda --devices 2 --precision bf16 --batch-size 16 --workers 2

Unreadable and missing clips count as wrong and are named. Writes RUN/results.json and
RUN/eval/splitS-EPOCH-CLIPSxCROPS/: results.json (per class), clips.csv, confusion.png.

Examples:
  specvid eval action --run runs/first --clips 10 --crops 3
  specvid eval action --run "runs/snl-s{split}" --splits 1,2,3
"""


@dataclass(frozen=True)
class EvalOptions:
    """Options of ``specvid eval action``."""

    run: tuple[str, ...] = ()
    """Folders of runs."""
    split: int | None = None
    """Score on this split."""
    splits: str = ""
    """Score on these splits (1,2,3), one run per split, and give the mean."""
    clips: int | None = None
    """Clips per video; 10 if not given (1 for runs that sample segments)."""
    crops: Literal[1, 3, 5, 10] = 1
    """Crops per clip."""
    checkpoint: Literal["last", "best"] = "last"
    """Which epoch."""
    data: str = ""
    """Folder of the data set, if it moved."""
    force: bool = False
    """Score on clips that were trained on, marked."""
    json: bool = False
    """Print JSON."""
    device: Literal["auto", "cpu", "cuda", "mps"] = "auto"
    devices: int = 1
    nodes: int = 1
    precision: Literal["fp32", "bf16", "fp16"] = "fp32"
    batch_size: int = 16
    """Views at a time."""
    workers: int = 2
    """Decoding processes per device."""

    def __post_init__(self) -> None:
        if self.clips is not None and self.clips < 1:
            raise ValueError(f"clips {self.clips} must be at least 1.")
        if self.split is not None and self.splits:
            raise ValueError(f"--split {self.split} and --splits {self.splits} exclude each other.")

    def asked_splits(self) -> list[int]:
        text = self.splits or ("" if self.split is None else str(self.split))
        parts = [part.strip() for part in text.split(",")] if text else []
        if not all(part.isdigit() for part in parts):
            raise ValueError(f"splits {self.splits!r} must be numbers with commas between, e.g. 1,2,3.")
        return [int(part) for part in parts]

    def asked_runs(self) -> list[str]:
        splits = self.asked_splits()
        if not self.run:
            raise ValueError("run is not given: --run RUN must name the folder of a run, e.g. runs/first.")
        if not splits and any("{split}" in run for run in self.run):
            raise ValueError(f"run {self.run[0]!r} has {{split}} in it: say which with --splits, e.g. --splits 1,2,3.")
        return [
            name for run in self.run for name in dict.fromkeys(run.replace("{split}", str(s)) for s in splits or [0])
        ]


def run(options: EvalOptions) -> int:
    runs, splits = options.asked_runs(), options.asked_splits()

    from specvid.pipelines.action.evaluate import evaluate
    from specvid.pipelines.engine.config import EngineConfig
    from specvid.pipelines.engine.log import echo

    shared = ("device", "devices", "nodes", "precision", "batch_size", "workers")
    engine = EngineConfig(**{name: getattr(options, name) for name in shared})
    views: dict[str, Any] = {"clips": options.clips, "crops": options.crops, "checkpoint": options.checkpoint}
    echo = (lambda text: None) if options.json else echo
    figures = evaluate(runs, splits=splits, **views, data=options.data, force=options.force, engine=engine, echo=echo)
    if options.json:
        print(json.dumps(figures, indent=2, ensure_ascii=False))
    return 0


EVAL_ACTION = Verb("eval action", HELP, EvalOptions, run)
