"""``specvid bench loader|model|blocks|reid``: each measures side by side with what it must beat."""

import dataclasses
from dataclasses import dataclass
from typing import Literal

from tyro.conf import Positional

from specvid.cli.verb import Verb

LOADER_HELP = """\
specvid bench loader: clips per second of the training loader, and of bare decord decoding the same
frames, in turn in one run

  DATA                    a data set in UCF-101's layout
  --frames 16 --stride 2 --size 112 --resize 128 171   the clip
  --crop random|resized|multiscale                     the augmentation
  --clips 60 --rounds 5   files per round, rounds; the figures are medians
  --workers 2             also with so many decoding processes; 0 = only without

Example:
  specvid bench loader synthetic --frames 8 --stride 1 --size 40 --resize 40 40
"""

MODEL_HELP = """\
specvid bench model: what blocks add to a training step of a backbone, step by step in turn

  --model r3d_18                     backbone
  --blocks "snl@layer3.-1" "nl@..."  each is compared with the bare backbone
  --frames 16 --size 112 --batch 2   the clips
  --steps 15                         timed rounds; the figures are medians
  --device cpu|cuda

Example:
  specvid bench model --model r3d_18 --blocks "snl@layer3.-1"
"""

BLOCKS_HELP = """\
specvid bench blocks: time and memory of single blocks over the number of positions N, beside their own
1x1 convolutions (the floor) and the published N x N code

  --positions 784 3136    N, the positions T x H x W of a feature map
  --channels 512          C
  --batches 1             clips at a time
  --variants NAME ...     which; all if not given
  --rounds 5              timed rounds; the figures are medians
  --patience 20           seconds of one variant at one size after which it runs no further round
  --device cpu|cuda --dtype float32|bfloat16|float16
  --memory                peak memory of a training step instead of times: a fresh process each
  --csv FILE --markdown   all measurements as a file; tables in Markdown

Example:
  specvid bench blocks --positions 784 3136 --channels 512 --batches 1
"""

REID_HELP = """\
specvid bench reid: scoring as many tracklets as MARS has, beside the bare similarity product and a
ranking in Python, in one run

  --large                 also a gallery of a million, with its peak memory

Example:
  specvid bench reid
"""


@dataclass(frozen=True)
class LoaderOptions:
    """Options of ``specvid bench loader``."""

    data: Positional[str] = ""
    """A data set in UCF-101's layout."""
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


@dataclass(frozen=True)
class ModelOptions:
    """Options of ``specvid bench model``."""

    model: str = "r3d_18"
    blocks: tuple[str, ...] = ("snl@layer3.-1",)
    """Each is compared with the bare backbone."""
    frames: int = 16
    size: int = 112
    batch: int = 2
    steps: int = 15
    """Timed rounds."""
    device: Literal["cpu", "cuda"] = "cpu"


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
    dtype: Literal["float32", "bfloat16", "float16"] = "float32"
    memory: bool = False
    """Peak memory of a training step instead of times."""
    csv: str = ""
    """File for all measurements."""
    markdown: bool = False
    """Tables in Markdown."""


@dataclass(frozen=True)
class ReidOptions:
    """Options of ``specvid bench reid``."""

    large: bool = False
    """Also a gallery of a million."""


def loader(options: LoaderOptions) -> int:
    if not options.data:
        raise ValueError("DATA is not given: name the folder of a data set in UCF-101's layout.")

    from specvid.pipelines.engine.log import status
    from specvid.tools.bench.loader import bench_loader, print_loader_table

    settings = {field.name: getattr(options, field.name) for field in dataclasses.fields(options)}
    print_loader_table(bench_loader(settings.pop("data"), **settings, progress=status))
    return 0


def model(options: ModelOptions) -> int:
    from specvid.pipelines.engine.log import status
    from specvid.tools.bench.model import bench_model, print_model_table

    settings = {field.name: getattr(options, field.name) for field in dataclasses.fields(options)}
    print_model_table(bench_model(settings.pop("model"), settings.pop("blocks"), **settings, progress=status))
    return 0


def blocks(options: BlocksOptions) -> int:
    from specvid.pipelines.engine.log import status
    from specvid.text import to_markdown, to_text
    from specvid.tools.bench.blocks import bench_blocks
    from specvid.tools.bench.memory import bench_memory
    from specvid.tools.bench.tables import auto_table, left_out_lines, memory_tables, time_tables, write_csv

    layout = to_markdown if options.markdown else to_text
    given = {name: value for name in ("positions", "variants") if (value := getattr(options, name))}
    sizes = given | {"channels": options.channels, "batches": options.batches}
    if options.memory:
        plain = BlocksOptions()
        idle = [
            name for name in ("rounds", "patience", "device", "dtype") if getattr(options, name) != getattr(plain, name)
        ]
        if idle:
            raise ValueError(f"--memory is of one step in float32 on the CPU: leave out --{', --'.join(idle)}.")
        peaks = []
        for peak in bench_memory(**sizes):
            peaks.append(peak)
            status(f"{peak.variant} N {peak.positions} C {peak.channels} B {peak.batch}: {peak.mebibytes:,.0f} MiB")
            if options.csv:
                write_csv(peaks, options.csv)
        for title, table in memory_tables(peaks):
            print(f"\npeak memory of a training step, {title}: MiB\n\n{layout(table)}")
        return 0
    settings = {name: getattr(options, name) for name in ("rounds", "patience", "device", "dtype")}
    rows = []
    for row in bench_blocks(**sizes, **settings):
        rows.append(row)
        size = f"{row.variant} N {row.positions} C {row.channels} B {row.batch}"
        status(f"{size}: {row.note or f'{row.forward_ms:.3g} ms forward, {row.train_ms:.3g} ms with backward'}")
        if options.csv:
            write_csv(rows, options.csv)
    for title, table in time_tables(rows):
        print(f"\n{title}: ms (times the floor)\n\n{layout(table)}")
    print(f"\nslope: log-log over N from 784 up, 1 is linear, 2 quadratic\n\n{layout(auto_table(rows))}")
    print("\n".join(["", *left_out_lines(rows)]))
    return 0


def reid(options: ReidOptions) -> int:
    from specvid.tools.bench.reid import report

    print(report(large=options.large))
    return 0


LOADER = Verb("bench loader", LOADER_HELP, LoaderOptions, loader)
MODEL = Verb("bench model", MODEL_HELP, ModelOptions, model)
BLOCKS = Verb("bench blocks", BLOCKS_HELP, BlocksOptions, blocks)
REID = Verb("bench reid", REID_HELP, ReidOptions, reid)
