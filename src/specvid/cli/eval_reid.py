"""``specvid eval reid``."""

from collections.abc import Callable, Iterator
from dataclasses import dataclass, field, fields, is_dataclass
from typing import Any

from specvid.cli.evaluation import RunOptions, print_json
from specvid.cli.verb import Verb
from specvid.pipelines.engine.config import DistributedConfig
from specvid.pipelines.reid.config import ReidEvaluationConfig, UntrainedConfig

HELP = """\
specvid eval reid: mAP, mINP and CMC of runs, networks or features, under a named protocol

  --run RUN [RUN ...]       folders of runs; `{split}` in a name stands for each of --splits
  --model NAME --weights FILE instead: a network as its weights are, on --data DIR (--dataset mars);
                            --blocks, --frames, --height, --width, --interpolation change it and its clips
  --features FILE [FILE ..] instead: features as .parquet, .npz or .mat; several are splits of one set
  --protocol NAME           mars, mars-ap, mars-noquery, ilids-vid, prid2011, cross-camera;
                            by default that of the data set, or the one noted in the file
  --all-protocols           MARS's three side by side
  --metric cosine|euclidean of --features; those of runs have unit length, where both rank alike
  --rerank                  k-reciprocal re-ranking (its numbers: --help-all)
  --splits 1,2,3            several splits, one run each: mean and deviation
  --test-sampling all|even|first   all frames in chunks (default), evenly spaced ones, or the first
                            of each segment; --flip-test: mean with the mirror images
  --data DIR --dataset NAME test on another data set, or where it lies now
  --checkpoint last|best    which epoch; --trust: also of runs that name code of somebody else
  --out DIR                 with --features or --model: where JSON and CSV go
  --force                   score runs on identities they were trained on, marked
  --json                    print the figures as JSON instead
  --device cpu|cuda --devices 2 --precision bf16 --batch-size 32 --workers 2

Every figure states its protocol, valid queries and gallery. Writes RUN/results.json and
RUN/eval/splitS-EPOCH-SAMPLING[-on-DATASET][-reranked]/: results.json, queries-PROTOCOL.csv,
features.parquet. Protocols that an evaluation was scored under before stay in it.
Exit code 1: some tracklets could not be read at all; they are named.

Examples:
  specvid eval reid --run runs/gait --all-protocols
  specvid eval reid --features runs/gait/eval/split1-last-all/features.parquet --protocol mars-ap
  specvid eval reid --model osnet_x0_25 --weights osnet_x0_25_market1501.safetensors --data MARS
"""

_CONDITIONS: tuple[tuple[str, Callable[["EvalReidOptions"], bool], tuple[str, ...], str], ...] = (
    (
        "--run or --model",
        lambda options: not options.features,
        ("split", "splits", "test_sampling", "flip_test", "data", "dataset"),
        "Features are scored as they stand in their file: leave it out.",
    ),
    ("--run", lambda options: bool(options.run), ("checkpoint", "force", "trust"), "Leave it out."),
    (
        "--model",
        lambda options: bool(options.network.model),
        ("blocks", "weights", "frames", "height", "width", "interpolation"),
        "A run brings its own, and features need no network: leave it out.",
    ),
    (
        "--features",
        lambda options: bool(options.features),
        ("metric",),
        "The features of networks have unit length, where both metrics rank alike.",
    ),
    ("--features or --model", lambda options: not options.run, ("out",), "Figures of a run go into its own folder."),
    (
        "--rerank",
        lambda options: options.scoring.rerank,
        ("k1", "k2", "lambda_value"),
        "Add --rerank, or leave it out.",
    ),
)
"""Options that have a meaning under a condition: refused without it, for they would be ignored."""


@dataclass(frozen=True)
class EvalReidOptions(RunOptions):
    """Options of ``specvid eval reid``."""

    features: tuple[str, ...] = ()
    """Files of features."""
    out: str = ""
    """Folder for JSON and CSV of --features and --model."""
    network: UntrainedConfig = field(default_factory=UntrainedConfig)
    scoring: ReidEvaluationConfig = field(default_factory=ReidEvaluationConfig)
    compute: DistributedConfig = field(default_factory=lambda: DistributedConfig(batch_size=32))

    def __post_init__(self) -> None:
        super().__post_init__()
        if [bool(self.run), bool(self.features), bool(self.network.model)].count(True) != 1:
            raise ValueError(
                "give one of --run RUN (a folder that `specvid train reid` wrote), --features FILE and --model NAME."
            )
        for condition, holds, names, fix in _CONDITIONS:
            for name, value in _given(self):
                if name in names and not holds(self):
                    flag = f"--{name.replace('_', '-')}" + ("" if value is True else f" {value}")
                    raise ValueError(f"{flag} applies to {condition} only. {fix}")


def _given(options: Any) -> Iterator[tuple[str, Any]]:
    """Name and value of every option that is not the default, of any depth."""
    for own in fields(options):
        value = getattr(options, own.name)
        if is_dataclass(value):
            yield from _given(value)
        elif value != own.default:
            yield own.name, value


def run(options: EvalReidOptions) -> int:
    """Score.

    Args:
        options: of the command line.

    Returns:
        The exit code: 1 where tracklets could not be read at all, or nothing could be scored.
    """
    runs, splits = options.run_folders(), options.split_numbers()

    from specvid.pipelines.engine.log import echo, silent
    from specvid.pipelines.reid.evaluate import evaluate, evaluate_features, evaluate_network

    output = silent if options.json else echo
    if options.features:
        figures = evaluate_features(options.features, options.scoring, out=options.out, echo=output)
    elif options.network.model:
        figures = evaluate_network(
            options.network, options.scoring, splits=splits, out=options.out, compute=options.compute, echo=output
        )
    else:
        figures = evaluate(runs, options.scoring, splits=splits, compute=options.compute, echo=output)
    if options.json:
        print_json(figures)
    return int(any(entry["lost"] or not entry["protocols"] for entry in figures["evaluations"]))


EVAL_REID = Verb("eval reid", HELP, EvalReidOptions, run)
