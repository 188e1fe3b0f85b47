"""The ratios that the other benchmarks measure, beside recorded ones: what has become slower by more than a tenth.

Every ratio is of two things timed in turn in one run, so that it says the same on a fast machine and on a slow one, and
is turned so that larger is better. One thread, and CPU time where the work is of this process alone, so that other
programs disturb it little. ``recorded.json`` has the ratios of the machine that it names.
"""

import math
import platform
import tempfile
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from importlib.util import find_spec
from pathlib import Path
from typing import Any

from specvid.datasets.synthetic.ucf101 import synthesize_ucf101
from specvid.files import write_json
from specvid.pipelines.engine.log import silent
from specvid.reading import parse_json, read_json, read_plain
from specvid.text import to_text
from specvid.tools.bench import embed, loader, model, reid, search
from specvid.tools.bench.blocks.times import bench_blocks
from specvid.tools.bench.timing import torch_threads

RECORDED = Path(__file__).with_name("recorded.json")
ALLOWED = 0.1  # share of a ratio that may be noise


@dataclass(frozen=True)
class Compared:
    """One ratio now and as recorded.

    Attributes:
        name: what is compared with what.
        now: the ratio measured; larger is better.
        recorded: the ratio before; None where there is none.
    """

    name: str
    now: float
    recorded: float | None

    @property
    def fell(self) -> bool:
        """Whether it is worse than recorded by more than a tenth."""
        return self.recorded is not None and self.now < (1 - ALLOWED) * self.recorded  # nan: not measured


def measure(*, quick: bool = False, status: Callable[[str], None] = silent) -> dict[str, float]:
    """Run all benchmarks on synthetic data.

    Args:
        quick: small sizes and few rounds: under five minutes on two cores.
        status: called with a line for each benchmark.

    Returns:
        What is compared with what -> the ratio.
    """
    found: dict[str, float] = {}
    with torch_threads(1):
        for part in (_blocks, _networks, _reid, _search, _videos):
            status(part.__name__.strip("_"))
            found |= part(quick)
    return found


def compare(now: Mapping[str, float], recorded: Mapping[str, float]) -> list[Compared]:
    """Put ratios beside recorded ones.

    Args:
        now: from ``measure``.
        recorded: the same from before.

    Returns:
        In the order of ``now``; then what was recorded and is not measured any more, as NaN.
    """
    rows = [Compared(name, ratio, recorded.get(name)) for name, ratio in now.items()]
    return rows + [Compared(name, float("nan"), ratio) for name, ratio in recorded.items() if name not in now]


def as_text(rows: list[Compared]) -> str:
    """A table; what fell is marked.

    Args:
        rows: from ``compare``.
    """
    cells = [["larger is better", "now", "recorded", ""]]
    for row in rows:
        before = "-" if row.recorded is None else f"{row.recorded:.2f}"
        now = "-" if math.isnan(row.now) else f"{row.now:.2f}"
        cells.append([row.name, now, before, "SLOWER" if row.fell else ""])
    return to_text(cells, align="<>><", rule=False)


def report(
    *, quick: bool = False, against: str = "", out: str = "", status: Callable[[str], None] = silent
) -> tuple[str, int]:
    """Measure, compare, and write what was measured.

    Args:
        quick: small sizes and few rounds.
        against: file of recorded ratios; those of the package if not given.
        out: file for the ratios measured, as ``against`` takes it; none if not given.
        status: called with a line for each benchmark.

    Returns:
        The table, and how many ratios fell.

    Raises:
        ValueError: ``against`` is no such file, or of the other sizes.
    """
    sizes = "quick" if quick else "full"
    recorded = read_recorded(against or RECORDED, sizes)
    content = read_json(out) if out and Path(out).exists() else {}  # now: what cannot be written need not be measured
    now = measure(quick=quick, status=status)
    if out:
        measured = {"machine": machine(), "ratios": {name: round(ratio, 3) for name, ratio in now.items()}}
        write_json(Path(out), {**content, sizes: measured})
    rows = compare(now, recorded)
    return as_text(rows), sum(row.fell for row in rows)


def read_recorded(path: str | Path, sizes: str) -> dict[str, float]:
    """Ratios that were recorded.

    Args:
        path: a file that ``report`` wrote.
        sizes: ``quick`` or ``full``; where the file has none of these sizes, there are none.

    Raises:
        ValueError: it is no such file.
    """
    try:
        content = parse_json(read_plain(path))
        return {str(name): float(ratio) for name, ratio in content.get(sizes, {"ratios": {}})["ratios"].items()}
    except (OSError, ValueError, TypeError, KeyError, AttributeError) as error:
        raise ValueError(
            f"{path}: no file of recorded ratios ({error}); `specvid bench all --out` writes one"
        ) from None


def machine() -> str:
    """The processor and the number of cores, as the system calls them."""
    import torch

    try:
        lines = Path("/proc/cpuinfo").read_text(encoding="utf-8").splitlines()
        name = next(line.partition(":")[2].strip() for line in lines if line.startswith("model name"))
    except (OSError, StopIteration):
        name = platform.processor() or platform.machine()
    return f"{name}, {torch.get_num_threads()} threads"


def _blocks(quick: bool) -> dict[str, float]:
    sizes = (784, 3136) if quick else (784, 3136, 12544)
    variants = ("snl-auto", "snl-published", "nl-attention", "nl-dense")
    rounds = 5 if quick else 9
    rows = bench_blocks(positions=sizes, channels=(512,), batches=(1,), variants=variants, rounds=rounds, cpu=True)
    train = {(row.variant, row.positions): row for row in rows}
    found = {}
    for n in sizes:
        ours, published = train["snl-auto", n], train["snl-published", n]
        attention, dense = train["nl-attention", n], train["nl-dense", n]
        found[f"blocks, N = {n:,}, training: five convolutions / snl"] = 1 / ours.train_to_floor
        found[f"blocks, N = {n:,}, training: published snl / ours"] = published.train_to_floor / ours.train_to_floor
        found[f"blocks, N = {n:,}, training: dense nl / ours"] = dense.train_to_floor / attention.train_to_floor
    return found


def _networks(quick: bool) -> dict[str, float]:
    small: dict[str, Any] = {"frames": 8, "size": 56} if quick else {}
    steps = 7 if quick else 15
    _, block = model.bench_model("r3d_18", ["snl@layer3.-1"], **small, batch=1, steps=steps, cpu=True)
    _, again = model.bench_model("mobilenet_v2", [], **small, batch=1, steps=steps, checkpoint=True, cpu=True)
    _, folded = model.bench_model("mobilenet_v2", [], **small, batch=1, steps=steps, embed=True, cpu=True)
    return {
        "training r3d_18: bare / with snl@layer3.-1": 1 / block.ratio,
        "training mobilenet_v2: plain / with activation checkpointing": 1 / again.ratio,
        "embedding mobilenet_v2: as trained / for inference": 1 / folded.ratio,
    }


def _reid(quick: bool) -> dict[str, float]:
    sizes = (1000, 6000, 1024) if quick else ()
    score = reid.bench_scoring(*sizes, repeat=5, cpu=True)
    rerank = reid.bench_rerank(200, 2000, 256) if quick else reid.bench_rerank()
    return {
        "re-ID: similarity product / score": 1 / score.score_to_product,
        "re-ID: ranking in Python / score": score.python_to_score,
        "re-ID: dense re-ranking / ours": rerank.seconds[reid.DENSE] / rerank.seconds[reid.OURS],
    }


def _search(quick: bool) -> dict[str, float]:
    rows = {row.kind: row for row in search.bench_search(*((20_000, 128) if quick else (1_000_000, 512)))}
    flat = rows["flat"].query
    return {f"search: flat / {kind}, seconds of a query": flat / rows[kind].query for kind in ("hnsw", "ivfpq")}


def _videos(quick: bool) -> dict[str, float]:
    with tempfile.TemporaryDirectory() as folder:
        root = synthesize_ucf101(Path(folder) / "synthetic", scenes=2 if quick else 14).root
        clip: dict[str, Any] = {"frames": 8, "stride": 1, "size": 40, "resize": (40, 40)}
        clip |= {"clips": 40 if quick else 200, "rounds": 5}
        loading = loader.bench_loader(root, **clip) if find_spec("decord") else []
        count, rounds = (48, 3) if quick else (512, 5)
        embedding = embed.bench_embed([str(root / "videos")], model="r3d_tiny", count=count, rounds=rounds)
    found: dict[str, float | None] = {}
    for row in (row for row in loading if row.name == loader.LOADER):
        if row.workers:
            found["loading, 2 workers, CPU time: ours / mmaction2"] = row.cpu_to_mmaction
        else:
            found |= {"loading, no workers: ours / bare decord": row.ratio}
            found |= {"loading, no workers: ours / mmaction2": row.to_mmaction}
    measured = {name: ratio for name, ratio in found.items() if ratio is not None}
    return measured | {"embedding r3d_tiny, CPU time: the network alone / all of it": embedding.cpu_ratio}
