"""``specvid eval reid``."""

import json
from collections.abc import Callable
from dataclasses import dataclass, fields
from typing import Literal

from specvid.cli.verb import Verb

HELP = """\
specvid eval reid: mAP, mINP and CMC of runs, or of anybody's features, under a named protocol

  --run RUN [RUN ...]       folders of runs; `{split}` in a name stands for each of --splits
  --features FILE [FILE ..] instead: features as .parquet or .npz; several are splits of one set
  --protocol NAME           mars, mars-ap, mars-noquery, ilids-vid, prid2011, cross-camera;
                            by default that of the data set, or the one noted in the file
  --all-protocols           MARS's three side by side
  --metric cosine|euclidean of --features; those of runs have unit length, where both rank alike
  --rerank                  k-reciprocal re-ranking (its numbers: --help-all)
  --splits 1,2,3            several splits, one run each: mean and deviation
  --test-sampling all|even|first   all frames in chunks (default), evenly spaced ones, or the first
                            of each segment; --flip-test: mean with the mirror images
  --data DIR --dataset NAME test on another data set, or where it lies now
  --checkpoint last|best    which epoch
  --out DIR                 with --features: where JSON and CSV go
  --force                   score runs on identities they were trained on, and say so
  --json                    print the figures as JSON instead
  --device cpu|cuda --devices 2 --precision bf16 --batch-size 32 --workers 2

Every figure says its protocol, valid queries and gallery. Writes RUN/results.json and
RUN/eval/splitS-EPOCH-SAMPLING[-on-DATASET][-reranked]/: results.json, queries-PROTOCOL.csv,
features.parquet. Protocols that an evaluation was scored under before stay in it.
Exit code 1: some tracklets could not be read at all; they are named.

Examples:
  specvid eval reid --run runs/gait --all-protocols
  specvid eval reid --features runs/gait/eval/split1-last-all/features.parquet --protocol mars-ap
"""


_CONDITIONS: tuple[tuple[str, Callable[["EvalReidOptions"], bool], tuple[str, ...], str], ...] = (
    (
        "--run", lambda options: bool(options.run),
        ("split", "splits", "test_sampling", "flip_test", "data", "dataset", "checkpoint", "force"),
        "Features are scored as they stand in their file: leave it out.",
    ),
    (
        "--features", lambda options: bool(options.features), ("metric", "out"),
        "The features of runs have unit length, where both metrics rank alike, and figures go into the run's folder.",
    ),
    ("--rerank", lambda options: options.rerank, ("k1", "k2", "lambda_value"), "Add --rerank, or leave it out."),
)  # fmt: skip
"""Options that have a meaning under a condition: refused without it, for they would be ignored."""


@dataclass(frozen=True)
class EvalReidOptions:
    """Options of ``specvid eval reid``."""

    run: tuple[str, ...] = ()
    """Folders of runs."""
    features: tuple[str, ...] = ()
    """Files of features."""
    protocol: str = ""
    """Which; the data set's own if not given."""
    all_protocols: bool = False
    """MARS's three side by side."""
    metric: Literal["cosine", "euclidean"] = "cosine"
    """Of --features."""
    rerank: bool = False
    """k-reciprocal re-ranking."""
    k1: int = 20
    """Neighbours that may be reciprocal."""
    k2: int = 6
    """Neighbours of the local query expansion."""
    lambda_value: float = 0.3
    """Weight of the original distance."""
    split: int | None = None
    """Score on this split."""
    splits: str = ""
    """Score on these splits (1,2,3), one run per split, and give the mean."""
    test_sampling: Literal["", "all", "even", "first"] = ""
    """Frames of a tracklet; the run's own if not given."""
    flip_test: bool = False
    """Mean of the frames and their mirror images."""
    data: str = ""
    """Folder of the data set, if it moved or is another one."""
    dataset: Literal["", "mars", "ilids-vid", "prid2011", "tracklets"] = ""
    """Layout of another data set."""
    checkpoint: Literal["last", "best"] = "last"
    """Which epoch."""
    out: str = ""
    """Folder for JSON and CSV of --features."""
    force: bool = False
    """Score on identities that were trained on, marked."""
    json: bool = False
    """Print JSON."""
    device: Literal["auto", "cpu", "cuda", "mps"] = "auto"
    devices: int = 1
    nodes: int = 1
    precision: Literal["fp32", "bf16", "fp16"] = "fp32"
    batch_size: int = 32
    """Chunks at a time."""
    workers: int = 2
    """Reading processes per device."""

    def __post_init__(self) -> None:
        if bool(self.run) == bool(self.features):
            raise ValueError("give either --run RUN (a folder that `specvid train reid` wrote) or --features FILE.")
        if self.split is not None and self.splits:
            raise ValueError(f"--split {self.split} and --splits {self.splits} exclude each other.")
        if self.dataset and not self.data:
            raise ValueError(f"--dataset {self.dataset} needs --data DIR: where that data set lies.")
        for condition, holds, names, fix in _CONDITIONS:
            for field in fields(self):
                value = getattr(self, field.name)
                if field.name in names and value != field.default and not holds(self):
                    flag = f"--{field.name.replace('_', '-')}" + ("" if value is True else f" {value}")
                    raise ValueError(f"{flag} applies to {condition} only. {fix}")

    def asked_splits(self) -> list[int]:
        text = self.splits or ("" if self.split is None else str(self.split))
        parts = [part.strip() for part in text.split(",")] if text else []
        if not all(part.isdigit() for part in parts):
            raise ValueError(f"splits {self.splits!r} must be numbers with commas between, e.g. 1,2,3.")
        return [int(part) for part in parts]

    def asked_runs(self) -> list[str]:
        splits = self.asked_splits()
        if not splits and any("{split}" in run for run in self.run):
            raise ValueError(f"run {self.run[0]!r} has {{split}} in it: say which with --splits, e.g. --splits 1,2,3.")
        names = (run.replace("{split}", str(s)) for run in self.run for s in splits or [0])
        return list(dict.fromkeys(names))


def run(options: EvalReidOptions) -> int:
    runs, splits = options.asked_runs(), options.asked_splits()

    from specvid.eval.reid.rerank import KReciprocal
    from specvid.pipelines.engine.config import EngineConfig
    from specvid.pipelines.engine.log import echo
    from specvid.pipelines.reid.evaluate import Asked, evaluate, evaluate_features

    again = KReciprocal(options.k1, options.k2, options.lambda_value) if options.rerank else None
    asked = Asked(
        options.protocol, options.all_protocols, again, options.metric, options.test_sampling, options.flip_test,
        options.checkpoint, options.force,
    )  # fmt: skip
    echo = (lambda text: None) if options.json else echo
    if options.features:
        figures, code = evaluate_features(options.features, asked, out=options.out, echo=echo)
    else:
        shared = ("device", "devices", "nodes", "precision", "batch_size", "workers")
        engine = EngineConfig(**{name: getattr(options, name) for name in shared})
        where = {"dataset": options.dataset, "data": options.data}
        figures, code = evaluate(runs, asked, splits=splits, **where, engine=engine, echo=echo)
    if options.json:
        print(json.dumps(figures, indent=2, ensure_ascii=False))
    return code


EVAL_REID = Verb("eval reid", HELP, EvalReidOptions, run)
