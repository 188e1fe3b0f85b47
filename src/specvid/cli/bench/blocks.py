"""``specvid bench blocks``: time and memory of single blocks over the number of positions N."""

from dataclasses import dataclass
from typing import Any, Literal

from specvid.cli.bench.measuring import bench_verb
from specvid.config import require_at_least
from specvid.files import output_file

HELP = """\
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


def _measure(options: BlocksOptions) -> str:
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


BLOCKS = bench_verb("blocks", HELP, BlocksOptions, _measure)
