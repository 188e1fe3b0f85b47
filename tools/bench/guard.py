"""The ratios that the other benchmarks measure, beside recorded ones: what has become slower by more than a tenth.

Every ratio is of two things timed in turn in one run, so that it says the same on a fast machine and on a slow one, and
is turned so that larger is better. One thread, and CPU time where the work is of this process alone, so that other
programs disturb it little. What a ratio should be depends on the instructions of the processor: ``recorded.json`` has
those of one machine for each kind of them, of several runs: what they differ by is noise.
"""

import math
import os
import platform
import statistics
import tempfile
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from specvid.datasets.synthetic.two_spots import TwoSpots
from specvid.datasets.synthetic.ucf101 import synthesize_ucf101
from specvid.files import write_json
from specvid.pipelines.engine.log import silent
from specvid.reading import read_json
from specvid.text import to_text
from specvid.tools.bench import embed, loader, model, reid, search, start
from specvid.tools.bench.blocks.times import bench_blocks
from specvid.tools.data.shrink import shrink
from specvid.tools.timing import held_to, torch_threads

RECORDED = Path(__file__).with_name("recorded.json")
ALLOWED = 0.1  # share of a ratio that may be noise
RUNS = 5  # that a record keeps
SIZES = ("quick", "full")
LIMITS = (
    "ATEN_CPU_CAPABILITY",
    "MKL_ENABLE_INSTRUCTIONS",
    "ONEDNN_MAX_CPU_ISA",
    "OPENBLAS_CORETYPE",
    "FAISS_OPT_LEVEL",
)
"""Variables of the environment that forbid libraries some instructions."""


@dataclass(frozen=True)
class Record:
    """Ratios of one machine.

    Attributes:
        machine: its processor, and what it was held to.
        instructions: the widest that PyTorch uses on it, such as ``AVX2`` or ``AVX512``.
        ratios: what is compared with what -> the ratio in each run, the latest last.
    """

    machine: str
    instructions: str
    ratios: Mapping[str, tuple[float, ...]]


@dataclass(frozen=True)
class Compared:
    """One ratio now and as recorded.

    Attributes:
        name: what is compared with what.
        now: the ratio measured; larger is better.
        before: the ratio in each run recorded; empty where there is none.
    """

    name: str
    now: float
    before: tuple[float, ...]

    @property
    def recorded(self) -> float | None:
        """Median of the runs recorded."""
        return statistics.median(self.before) if self.before else None

    @property
    def fell(self) -> bool:
        """Whether it is worse than recorded by more than a tenth, and than in any run recorded."""
        if self.recorded is None:
            return False
        return self.now < min((1 - ALLOWED) * self.recorded, *self.before)  # nan: not measured


def measure(*, quick: bool = False, status: Callable[[str], None] = silent) -> dict[str, float]:
    """Run all benchmarks on synthetic data.

    Args:
        quick: small sizes and few rounds: under five minutes on two cores.
        status: called with a line for each benchmark.

    Returns:
        What is compared with what -> the ratio.
    """
    import torch  # noqa: F401, I001  # FAISS after torch: two OpenMP runtimes in the other order can hang
    import faiss

    found: dict[str, float] = {}
    with torch_threads(1), held_to(1, faiss.omp_get_max_threads, faiss.omp_set_num_threads):
        parts = (_blocks, _networks, _reid, _search, _videos, _start)
        for number, part in enumerate(parts, start=1):
            status(f"{number} of {len(parts)}: {part.__name__.strip('_')}")
            of_part = part(quick)
            status("\n".join(f"  {name}: {ratio:.2f}" for name, ratio in of_part.items()))
            found |= of_part
    return found


def compare(now: Mapping[str, float], recorded: Mapping[str, tuple[float, ...]]) -> list[Compared]:
    """Put ratios beside recorded ones.

    Args:
        now: from ``measure``.
        recorded: those of a record.

    Returns:
        In the order of ``now``; then what was recorded and is not measured any more, as NaN.
    """
    rows = [Compared(name, ratio, recorded.get(name, ())) for name, ratio in now.items()]
    return rows + [Compared(name, float("nan"), runs) for name, runs in recorded.items() if name not in now]


def as_text(rows: list[Compared]) -> str:
    """A table; what fell is marked.

    Args:
        rows: from ``compare``.
    """
    cells = [["larger is better", "now", "recorded", "in its runs", ""]]
    for row in rows:
        before = "-" if row.recorded is None else f"{row.recorded:.2f}"
        runs = f"{min(row.before):.2f} to {max(row.before):.2f}" if len(row.before) > 1 else ""
        now = "-" if math.isnan(row.now) else f"{row.now:.2f}"
        cells.append([row.name, now, before, runs, "SLOWER" if row.fell else ""])
    return to_text(cells, align="<>>><", rule=False)


def report(
    *,
    quick: bool = False,
    against: str = "",
    out: str = "",
    accept: bool = False,
    status: Callable[[str], None] = silent,
) -> tuple[str, int]:
    """Measure, compare, and write what was measured.

    Args:
        quick: small sizes and few rounds.
        against: file of recorded ratios; those of the package if not given.
        out: file for the ratios measured, as ``against`` takes it; none if not given. Beside those of this machine
            that stand in it they are one more run, of at most `RUNS`, but for ratios that fell below them; those of
            another machine with the same instructions they replace.
        accept: add what fell to them, too: the code is the one that they are of, so it is noise, or the loss is meant.
        status: called with a line for each benchmark.

    Returns:
        The table, and how many ratios fell.

    Raises:
        ValueError: ``against`` or ``out`` is another file, or ``accept`` has no ``out``.
    """
    if accept and not out:
        raise ValueError("--accept is of what --out adds: give --out FILE.")
    sizes = "quick" if quick else "full"
    here = Record(machine(), instructions(), {})
    recorded = next((one for one in read_records(against or RECORDED, sizes) if _alike(one, here)), None)
    if out and Path(out).exists():
        _read_all(out)  # now: what cannot be written need not be measured
    now = measure(quick=quick, status=status)
    rows = compare(now, recorded.ratios if recorded else {})
    note = f"none recorded with {here.instructions} at these sizes: `--out FILE` writes them, `--against FILE` compares"
    beside = f"recorded: {recorded.machine} ({recorded.instructions})" if recorded else note
    text = f"now: {here.machine} ({here.instructions})\n{beside}\n\n{as_text(rows)}"
    if out:
        try:
            status(_write(Path(out), sizes, here, now, accept=accept))
        except (OSError, ValueError):
            status(text)
            raise
    return text, sum(row.fell for row in rows)


def _write(out: Path, sizes: str, here: Record, now: Mapping[str, float], *, accept: bool = False) -> str:
    """Add a run to a file; says what became of the records that it had."""
    content = _read_all(out) if out.exists() else {}  # again: others may have written in the meantime
    records = content.get(sizes, [])
    before = next((one.ratios for one in records if _same(one, here)), {})
    fell = set() if accept else {row.name for row in compare(now, before) if row.fell}
    runs = {name: before[name] if name in fell else (*before.get(name, ()), now[name])[-RUNS:] for name in now}
    others = [one for one in records if not _alike(one, here)]
    mine = Record(here.machine, here.instructions, runs)
    content = content | {sizes: [*others, mine]}
    write_json(out, {name: [_as_json(one) for one in of_sizes] for name, of_sizes in content.items()})
    replaced = [one.machine for one in records if _alike(one, here) and not _same(one, here)]
    lines = [f"{out}: {max(map(len, runs.values()), default=0)} of {RUNS} runs of this machine"]
    lines += [f"  in place of {machine} ({here.instructions})" for machine in replaced]
    lines += [f"  not added, because it fell below the runs there (--accept adds it): {name}" for name in sorted(fell)]
    return "\n".join(lines)


def read_records(path: str | Path, sizes: str) -> list[Record]:
    """Ratios that were recorded.

    Args:
        path: a file that ``report`` wrote.
        sizes: of ``SIZES``.

    Returns:
        One for each machine; none where the file has none of these sizes.

    Raises:
        ValueError: it is no such file.
    """
    return _read_all(path).get(sizes, [])


def _read_all(path: str | Path) -> dict[str, list[Record]]:
    """All of a file that ``report`` wrote."""
    try:
        content = read_json(path)
        if not content.keys() <= set(SIZES):
            raise ValueError(f"it has {', '.join(map(repr, content.keys() - set(SIZES)))}")
        found = {sizes: [_record(entry) for entry in entries] for sizes, entries in content.items()}
        for records in found.values():
            kinds = [one.instructions for one in records]
            if len(set(kinds)) < len(kinds):
                raise ValueError("it has two machines of a kind")
        return found
    except (ValueError, TypeError, KeyError, AttributeError, OverflowError) as error:
        raise ValueError(
            f"{path}: no file of recorded ratios ({error}); `specvid bench all --out` writes one"
        ) from None


def _record(entry: Any) -> Record:
    ratios = {name: tuple(map(_ratio, runs)) for name, runs in entry["ratios"].items()}
    if empty := [name for name, runs in ratios.items() if not runs]:
        raise ValueError(f"{empty[0]!r} has no run")
    words = entry["machine"], entry["instructions"]
    if wrong := [word for word in words if not (isinstance(word, str) and word.isprintable())]:
        raise ValueError(f"{wrong[0]!r} is no name of a machine or its instructions")
    return Record(*words, ratios)


def _ratio(value: Any) -> float:
    if type(value) not in (int, float) or not 0 < float(value) < math.inf:
        raise ValueError(f"a ratio is {value!r}, and no number above 0")
    return float(value)


def _alike(one: Record, here: Record) -> bool:
    return one.instructions == here.instructions


def _same(one: Record, here: Record) -> bool:
    return one.machine == here.machine and _alike(one, here)


def _as_json(record: Record) -> dict[str, Any]:
    rounded = {name: [float(f"{ratio:.4g}") for ratio in runs] for name, runs in record.ratios.items()}
    return {"machine": record.machine, "instructions": record.instructions, "ratios": rounded}


def instructions() -> str:
    """The widest vectors that PyTorch computes with here."""
    import torch

    return torch.backends.cpu.get_cpu_capability()


def machine() -> str:
    """The processor as the system calls it, its cores, what limits it, and the libraries that decode."""
    try:
        lines = Path("/proc/cpuinfo").read_text(encoding="utf-8").splitlines()
        name = next(line.partition(":")[2].strip() for line in lines if line.startswith("model name"))
    except (OSError, StopIteration):
        name = platform.processor() or platform.machine()
    limits = [f"{limit}={os.environ[limit]}" for limit in LIMITS if limit in os.environ]
    return ", ".join([name, f"{os.cpu_count()} cores", *limits, *loader.versions()])


def _blocks(quick: bool) -> dict[str, float]:
    sizes = (784, 3136) if quick else (784, 3136, 12544)
    variants = ("snl-auto", "snl-folded", "snl-published", "nl-attention", "nl-dense")
    rows = bench_blocks(positions=sizes, channels=(512,), batches=(1,), variants=variants, rounds=9, cpu=True)
    times = {(row.variant, row.positions): row for row in rows}
    found = {}
    for n in sizes:
        ours, published, folded = (times[name, n] for name in ("snl-auto", "snl-published", "snl-folded"))
        attention, dense = times["nl-attention", n], times["nl-dense", n]
        found[f"blocks, N = {n:,}, inference: five convolutions / snl"] = 1 / folded.forward_to_floor
        found[f"blocks, N = {n:,}, training: five convolutions / snl"] = 1 / ours.train_to_floor
        found[f"blocks, N = {n:,}, training: published snl / ours"] = published.train_to_floor / ours.train_to_floor
        found[f"blocks, N = {n:,}, training: dense nl / ours"] = dense.train_to_floor / attention.train_to_floor
    return found


def _networks(quick: bool) -> dict[str, float]:
    small: dict[str, Any] = {"frames": 8, "size": 56} if quick else {}
    options: dict[str, Any] = {**small, "batch": 1, "steps": 9 if quick else 15, "cpu": True}
    _, block = model.bench_model("r3d_18", ["snl@layer3.-1"], **options)
    several = options | {"batch": 8}  # of one small clip activations are little beside the weights
    plain, again = model.bench_model("mobilenet_v2", [], **several, checkpoint=True, memory=True)
    found = {
        "training r3d_18: bare / with snl@layer3.-1": 1 / block.ratio,
        "training mobilenet_v2: plain / with activation checkpointing": 1 / again.ratio,
    }
    if plain.mebibytes and again.mebibytes:
        memory = plain.mebibytes / again.mebibytes
        found["training mobilenet_v2, memory: plain / with activation checkpointing"] = memory
    for name in ("mobilenet_v2", "i3d_inception"):
        _, folded = model.bench_model(name, [], **options | {"steps": 31}, embed=True)  # a small clip takes no time
        found[f"embedding {name}: as trained / for inference"] = 1 / folded.ratio
    return found


def _reid(quick: bool) -> dict[str, float]:
    sizes = (1000, 6000, 1024) if quick else ()
    score = reid.bench_scoring(*sizes, repeat=5, cpu=True)
    rerank = reid.bench_rerank(*((200, 2000, 256) if quick else ()), cpu=True)
    return {
        "re-ID: similarity product / score": 1 / score.score_to_product,
        "re-ID: ranking in Python / score": score.python_to_score,
        "re-ID: dense re-ranking / ours": rerank.seconds[reid.DENSE] / rerank.seconds[reid.OURS],
    }


def _search(quick: bool) -> dict[str, float]:
    sizes = (20_000, 128) if quick else (1_000_000, 512)
    rows = {row.kind: row for row in search.bench_search(*sizes, cpu=True)}
    flat = rows["flat"].query
    return {f"search: flat / {kind}, seconds of a query": flat / rows[kind].query for kind in ("hnsw", "ivfpq")}


def _videos(quick: bool) -> dict[str, float]:
    with tempfile.TemporaryDirectory() as folder:
        task = TwoSpots(frames=40, size=256)  # as large as videos of data sets are
        root = synthesize_ucf101(Path(folder) / "synthetic", scenes=1 if quick else 5, task=task).root
        shrunk = Path(folder) / "shrunk"
        shrink(root, shrunk)
        loading = loader.bench_loader(root, shrunk=shrunk, clips=20 if quick else 60)
        videos, count = [str(shrunk / "videos")], 100 if quick else 500
        embedding = embed.bench_embed(videos, model="r3d_tiny", count=count, rounds=3 if quick else 5)
    return _loading(loading) | {
        "embedding r3d_tiny: all of it / the slower half": embedding.ratio,
        "embedding r3d_tiny, CPU time: the network alone / all of it": embedding.cpu_ratio,
    }


def _loading(rows: Sequence[loader.LoaderRow]) -> dict[str, float]:
    """Ratios of the loader, without those to what is not installed."""
    by_name = {(row.name, bool(row.workers)): row for row in rows}
    ours, parallel = by_name[loader.LOADER, False], by_name[loader.LOADER, True]
    found = {
        "loading, no workers: shrunk set / original": by_name[loader.SHRUNK, False].clips_per_second
        / ours.clips_per_second,
        "loading, no workers: ours / bare decord": ours.to_decord,
        "loading, no workers: ours / mmaction2": ours.to_mmaction,
        "loading, 2 workers: ours / mmaction2": parallel.to_mmaction,
        "loading, 2 workers, CPU time: ours / mmaction2": parallel.cpu_to_mmaction,
    }
    return {name: ratio for name, ratio in found.items() if ratio is not None}


def _start(quick: bool) -> dict[str, float]:
    rows = {row.name: row for row in start.bench_start(rounds=2 if quick else 3, quick=quick)}
    return {
        "start: import torch / first step of a training": 1 / rows[start.TRAINING].to_torch,
        "start: import torch / first figure of the demo": 1 / rows[start.DEMO].to_torch,
    }
