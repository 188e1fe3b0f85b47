"""``specvid bench WHAT``: each measures side by side with what it must beat."""

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, Literal

from tyro.conf import Positional

from specvid.cli.verb import Verb
from specvid.config import require_at_least
from specvid.files import output_file

LOADER_HELP = """\
specvid bench loader: clips per second of the training loader, beside bare decord and mmaction2's pipeline

In turn in one run; decord decodes the same frames and nothing else (pip install decord2), mmaction2's
own pipeline decodes with it. What is not installed is left out.

  DATA                    a data set in UCF-101's layout
  --shrunk DIR            the same set as `specvid data shrink` made it: one more row
  --frames 16 --stride 2 --size 112 --resize 128 171   the clip
  --crop random|resized|multiscale                     the augmentation
  --clips 60 --rounds 5   files per round, rounds; ratios are medians over them
  --workers 2             also with so many decoding processes; 0 = only without

Example:
  specvid bench loader synthetic --frames 8 --stride 1 --size 40 --resize 40 40
"""

MODEL_HELP = """\
specvid bench model: what blocks add to a training step or an embedding, and what frozen parts save

  --model r3d_18                     backbone
  --blocks "snl@layer3.-1" "nl@..."  each is compared with the bare backbone; --blocks alone: none
  --frames 16 --size 112 --batch 2   the clips (--size 256 128: height and width)
  --steps 15                         timed rounds; the figures are medians
  --freeze backbone                  also with these parts frozen, as in training
  --checkpoint-activations           also with activation checkpointing
  --embed                            forward passes in eval mode instead, as it is and for inference
  --memory                           also the memory of a step, each network in a process of its own
  --channels-last                    also in this memory format (contiguous, where built so)
  --device cpu|cuda                  --precision fp32|tf32|bf16|fp16

Example:
  specvid bench model --model r3d_18 --blocks "snl@layer3.-1"
"""

BLOCKS_HELP = """\
specvid bench blocks: time and memory of single blocks over the number of positions N

Beside their own 1x1 convolutions (the floor) and the published N x N code, in the same rounds.

  --positions 784 3136    N, the positions T x H x W of a feature map
  --channels 512          C
  --batches 1             clips at a time
  --variants NAME ...     which; if not given, all but snl-compiled, convolutions and snl-products
  --rounds 5              timed rounds; the figures are medians
  --patience 20           seconds of one variant at one size after which it runs no further round
  --device cpu|cuda       --precision fp32|tf32|bf16|fp16
  --graphs                on a GPU: CUDA graphs, without the time that starting operations takes
  --channels-last         features in this memory format
  --memory                peak memory of a training step instead of times: a fresh process each
  --all                   every block, stage and convolution at three sizes: time, memory, parameters, FLOPs
  --cpu-time              with --all: CPU time of this process, of which others on the machine take nothing
  --csv FILE --markdown   all measurements as a file; tables in Markdown

Example:
  specvid bench blocks --positions 784 3136 --channels 512 --batches 1
"""

REID_HELP = """\
specvid bench reid: scoring as many tracklets as MARS has, beside the similarity product alone

And beside a ranking in Python, in one run.

  --large                 also a gallery of a million, with its peak memory
  --rerank                also re-ranking, beside its published N x N form, and torchreid's own
                          where it is installed (takes minutes)

Example:
  specvid bench reid
"""

EMBED_HELP = """\
specvid bench embed: the rate of `specvid embed`, beside those of decoding and of the network alone

In turn in one run.

  VIDEO [VIDEO ...]       as for `specvid embed`
  --model r3d_18          backbone; --frames 8 --size 56 make it quicker
  --count 64 --rounds 5   videos per round, rounds; the figures are medians
  --workers 1 --threads 1 decoding processes, threads of the network: together no more than the cores
  --memory 10000          instead: memory after each tenth of so many videos

Example:
  specvid bench embed synthetic/videos --frames 8 --size 56
"""

SEARCH_HELP = """\
specvid bench search: indexes over synthetic vectors: seconds to build and to search, and recall

  --rows 1000000 --dim 512
  --kinds flat hnsw ivfpq
  --queries 100           new vectors, one at a time; the figures are medians

Example:
  specvid bench search --rows 20000 --dim 128
"""

START_HELP = """\
specvid bench start: seconds until there is something: imports, a first training step, the demo

  --rounds 3              the figures are medians; beside each, its ratio to `import torch` alone

Example:
  specvid bench start
"""

ALL_HELP = """\
specvid bench all: the ratios of all benchmarks, beside recorded ones; what fell by a tenth is marked

All on synthetic data. A processor is compared with one that has the same vector instructions.

  --quick                 small sizes, under five minutes on two cores; without it, an hour or more
  --against FILE          recorded ratios; if not given, those of the package
  --out FILE              adds what was measured to the runs that it has, for --against
  --accept                what fell, too: the code is the same, so it is noise, or the loss is meant

Measure with nothing else on the machine: each ratio is of two things timed in turn, but noise stays.
Exit code 1: a ratio fell by more than a tenth, and below all runs recorded.

Example:
  specvid bench all --quick
"""


@dataclass(frozen=True)
class LoaderOptions:
    """Options of ``specvid bench loader``."""

    data: Positional[str] = ""
    """A data set in UCF-101's layout."""
    shrunk: str = ""
    """The same set as `specvid data shrink` made it: its rate stands in the table, too."""
    frames: int = 16
    stride: int = 2
    size: int = 112
    """Side of the crop, px."""
    resize: tuple[int, int] = (128, 171)
    """Height and width before the crop, px."""
    crop: Literal["random", "resized", "multiscale"] = "random"
    clips: int = 60
    """Files per round."""
    rounds: int = 5
    workers: int = 2
    """Decoding processes of the second half of the table."""

    def __post_init__(self) -> None:
        require_at_least(self, frames=1, stride=1, size=1, resize=1, clips=1, rounds=1, workers=0)


@dataclass(frozen=True)
class ModelOptions:
    """Options of ``specvid bench model``."""

    model: str = "r3d_18"
    blocks: tuple[str, ...] = ("snl@layer3.-1",)
    """Each is compared with the bare backbone."""
    frames: int = 16
    size: tuple[int, ...] = (112,)
    """Height and width; one number is both."""
    batch: int = 2
    steps: int = 15
    """Timed rounds."""
    freeze: tuple[str, ...] = ()
    """Also with these parts frozen, as `specvid train action --freeze` has them."""
    checkpoint_activations: bool = False
    """Also with activation checkpointing, as `specvid train action --checkpoint-activations` has it."""
    embed: bool = False
    """Forward passes in eval mode instead of training steps."""
    device: Literal["cpu", "cuda"] = "cpu"
    precision: Literal["fp32", "tf32", "bf16", "fp16"] = "fp32"
    channels_last: bool = False
    """Also with clips and the weights of 3D convolutions in this memory format."""
    memory: bool = False
    """Also the memory of a step, each network in a process of its own."""

    def __post_init__(self) -> None:
        require_at_least(self, frames=1, size=1, batch=1, steps=1)


TIMING = ("rounds", "patience", "device", "precision", "graphs", "channels_last")  # options that memory has not


@dataclass(frozen=True)
class BlocksOptions:
    """Options of ``specvid bench blocks``."""

    positions: tuple[int, ...] = ()
    """N."""
    channels: tuple[int, ...] = (512, 1024)
    """C."""
    batches: tuple[int, ...] = (1, 4)
    variants: tuple[str, ...] = ()
    """Which; all if not given."""
    rounds: int = 5
    patience: float | None = None
    """Seconds of one variant at one size after which it runs no further round; 20, or 4 for what is quadratic."""
    device: Literal["cpu", "cuda"] = "cpu"
    precision: Literal["fp32", "tf32", "bf16", "fp16"] = "fp32"
    graphs: bool = False
    """CUDA graphs."""
    channels_last: bool = False
    """Memory format of the features."""
    memory: bool = False
    """Peak memory of a training step instead of times."""
    all: bool = False
    """Every block, stage and convolution at three sizes: time, memory, parameters, multiply-adds."""
    cpu_time: bool = False
    """With ``all``: CPU time of this process instead of the clock's."""
    csv: str = ""
    """File for all measurements."""
    markdown: bool = False
    """Tables in Markdown."""

    def __post_init__(self) -> None:
        require_at_least(self, positions=1, channels=1, batches=1, rounds=1)
        idle = [name for name in TIMING if getattr(self, name) != getattr(BlocksOptions, name)]
        if self.memory and idle:
            words = ", ".join(f"--{name.replace('_', '-')}" for name in idle)
            raise ValueError(f"--memory is of one step in fp32 on the CPU: leave out {words}.")
        if self.all and (self.memory or self.graphs or self.channels_last):
            raise ValueError("--all has its own table, with memory: leave out --memory, --graphs and --channels-last.")
        if self.cpu_time and not (self.all and self.device == "cpu"):
            raise ValueError("--cpu-time goes with --all on a CPU.")
        if self.all and (len(self.channels) > 1 or len(self.batches) > 1) and not self._has_default_sizes:
            raise ValueError("--all is of one number of channels and clips: give one --channels and one --batches.")

    @property
    def _has_default_sizes(self) -> bool:
        """Whether neither channels nor batches were given."""
        return (self.channels, self.batches) == (BlocksOptions.channels, BlocksOptions.batches)


@dataclass(frozen=True)
class ReidOptions:
    """Options of ``specvid bench reid``."""

    large: bool = False
    """Also a gallery of a million."""
    rerank: bool = False
    """Also re-ranking, beside its published form."""


@dataclass(frozen=True)
class EmbedOptions:
    """Options of ``specvid bench embed``."""

    videos: Positional[tuple[str, ...]] = ()
    """As for `specvid embed`."""
    model: str = "r3d_18"
    frames: int | None = None
    size: int | None = None
    count: int = 64
    """Videos per round."""
    rounds: int = 5
    workers: int = 1
    """Decoding processes."""
    batch_size: int = 4
    threads: int = 1
    """Of the network, on the CPU."""
    device: Literal["cpu", "cuda"] = "cpu"
    memory: int = 0
    """Measure memory over so many videos instead."""

    def __post_init__(self) -> None:
        require_at_least(self, frames=1, size=1, count=1, rounds=1, workers=0, batch_size=1, threads=1, memory=0)


@dataclass(frozen=True)
class SearchOptions:
    """Options of ``specvid bench search``."""

    rows: int = 1_000_000
    dim: int = 512
    kinds: tuple[Literal["flat", "hnsw", "ivfpq"], ...] = ("flat", "hnsw", "ivfpq")
    queries: int = 100

    def __post_init__(self) -> None:
        require_at_least(self, rows=1, dim=1, queries=1)


@dataclass(frozen=True)
class StartOptions:
    """Options of ``specvid bench start``."""

    rounds: int = 3

    def __post_init__(self) -> None:
        require_at_least(self, rounds=1)


@dataclass(frozen=True)
class AllOptions:
    """Options of ``specvid bench all``."""

    quick: bool = False
    """Small sizes."""
    against: str = ""
    """Recorded ratios."""
    out: str = ""
    """File for the ratios measured."""
    accept: bool = False
    """Add what fell, too."""


def _loader(options: LoaderOptions) -> str:
    if not options.data:
        raise ValueError("DATA is not given: name the folder of a data set in UCF-101's layout.")

    from specvid.pipelines.engine.log import status
    from specvid.tools.bench.loader import as_text, bench_loader

    return as_text(bench_loader(**vars(options), status=status))


def _model(options: ModelOptions) -> str:
    from specvid.pipelines.engine.log import status
    from specvid.tools.bench.gpu import device_line
    from specvid.tools.bench.model import as_text, bench_model

    settings = dict(vars(options))
    checkpoint = settings.pop("checkpoint_activations")
    rows = bench_model(**settings, checkpoint=checkpoint, status=status)
    return f"{device_line(options.device, options.precision)}\n\n{as_text(rows)}"


def _every_options(options: BlocksOptions) -> dict[str, Any]:
    """The arguments of ``bench_every``; sizes that are not given are its own."""
    given: dict[str, Any] = {"device": options.device, "precision": options.precision, "cpu_time": options.cpu_time}
    if options.rounds != BlocksOptions.rounds:
        given["rounds"] = options.rounds
    if options.patience is not None:
        given["patience"] = options.patience
    if options.positions:
        given["positions"] = options.positions
    if options.variants:
        given["names"] = options.variants
    for name, values, default in (
        ("channels", options.channels, BlocksOptions.channels),
        ("batch", options.batches, BlocksOptions.batches),
    ):
        if values != default:
            given[name] = values[0]
    return given


def _blocks(options: BlocksOptions) -> str:
    from specvid.pipelines.engine.log import status
    from specvid.tools.bench.blocks.every import bench_every
    from specvid.tools.bench.blocks.memory import bench_memory
    from specvid.tools.bench.blocks.tables import report_every, report_memory, report_times
    from specvid.tools.bench.blocks.times import bench_blocks
    from specvid.tools.bench.gpu import device_line

    csv = str(output_file("csv", options.csv)) if options.csv else ""
    given: dict[str, Any] = {name: value for name in ("positions", "variants") if (value := getattr(options, name))}
    if options.all:
        table = report_every(bench_every(**_every_options(options)), csv=csv, markdown=options.markdown, status=status)
        return f"{device_line(options.device, options.precision)}\n\n{table}"
    sizes: dict[str, Any] = given | {"channels": options.channels, "batches": options.batches}
    if options.memory:
        return report_memory(bench_memory(**sizes), csv=csv, markdown=options.markdown, status=status)
    timing = {name: getattr(options, name) for name in TIMING}
    return report_times(bench_blocks(**sizes, **timing), csv=csv, markdown=options.markdown, status=status)


def _reid(options: ReidOptions) -> str:
    from specvid.pipelines.engine.log import status
    from specvid.tools.bench.reid import report

    return report(**vars(options), status=status)


def _embed(options: EmbedOptions) -> str:
    if not options.videos:
        raise ValueError("no VIDEO is given: name files or folders to embed.")

    from specvid.pipelines.engine.log import status
    from specvid.tools.bench.embed import as_text, bench_embed, bench_memory

    settings = dict(vars(options))
    memory = settings.pop("memory")
    if memory:
        held = bench_memory(options.videos, count=memory, model=options.model, workers=options.workers)
        return "MiB after each tenth: " + " ".join(f"{value:.0f}" for value in held)
    return as_text(bench_embed(**settings, status=status))


def _search(options: SearchOptions) -> str:
    from specvid.pipelines.engine.log import status
    from specvid.tools.bench.search import as_text, bench_search

    return as_text(bench_search(**vars(options), status=status))


def _start(options: StartOptions) -> str:
    from specvid.pipelines.engine.log import status
    from specvid.tools.bench.start import as_text, bench_start

    return as_text(bench_start(**vars(options), status=status))


def _all(options: AllOptions) -> int:
    from specvid.pipelines.engine.log import echo, status
    from specvid.tools.bench.guard import report

    out = str(output_file("out", options.out)) if options.out else ""
    text, fell = report(quick=options.quick, against=options.against, out=out, accept=options.accept, status=status)
    echo(text)
    return min(fell, 1)


def _verb(name: str, help: str, options: type, measure: Callable[[Any], str]) -> Verb:
    """The verb that prints what ``measure`` returns."""

    def run(given: Any) -> int:
        from specvid.pipelines.engine.log import echo

        echo(measure(given))
        return 0

    return Verb(f"bench {name}", help, options, run)


LOADER = _verb("loader", LOADER_HELP, LoaderOptions, _loader)
MODEL = _verb("model", MODEL_HELP, ModelOptions, _model)
BLOCKS = _verb("blocks", BLOCKS_HELP, BlocksOptions, _blocks)
REID = _verb("reid", REID_HELP, ReidOptions, _reid)
EMBED = _verb("embed", EMBED_HELP, EmbedOptions, _embed)
SEARCH = _verb("search", SEARCH_HELP, SearchOptions, _search)
START = _verb("start", START_HELP, StartOptions, _start)
ALL = Verb("bench all", ALL_HELP, AllOptions, _all)
