"""Decoding, network and writing, overlapped: processes decode ahead, this thread runs the network, another one writes.

The network always sees batches of one size, the last one of a shard filled up with its own first clip: so a clip's
vector does not depend on what else is embedded, and a GPU meets one shape only.
"""

from collections import deque
from collections.abc import Callable, Iterable, Iterator, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from dataclasses import dataclass, field
from typing import Any

import numpy as np
import torch

from specvid.datasets.clips.spec import ClipSpec
from specvid.datasets.decode import Timing
from specvid.pipelines.embed.bases import HERE, Bases
from specvid.pipelines.embed.config import WindowConfig
from specvid.pipelines.embed.feed import read_ahead
from specvid.pipelines.embed.inputs import Sources
from specvid.pipelines.embed.network import Network
from specvid.pipelines.embed.reading import Reader
from specvid.pipelines.embed.shards import VideoResult
from specvid.pipelines.embed.windows import WindowPlanner

Shard = tuple[int, range]  # its number, its rows in the table of inputs


@dataclass
class _Pending:
    """An input whose clips are being computed: ``vectors`` are filled in as batches come back."""

    row: int
    length: int = 0
    timing: Timing = field(default_factory=Timing)
    of_tracklet: bool = False
    warning: str = ""
    lost: str = ""
    vectors: list[np.ndarray] = field(default_factory=list)
    counts: list[int] = field(default_factory=list)  # of each clip: frames that count, of those that do not all
    error: str = ""


@dataclass(frozen=True)
class Stream:
    """Embeds shards one after the other.

    Attributes:
        network: from clips to vectors.
        reader: from inputs to clips.
        batch_size: clips in each batch.
        l2: scale vectors to unit length.
        dtype: of the vectors, ``fp32`` or ``fp16``.
        workers: decoding processes.
        timeout: seconds after which a decoder that gives nothing is given up.
        on_result: called with the result of each input, and how many frames went through the network.
    """

    network: Network
    reader: Reader
    batch_size: int
    l2: bool = False
    dtype: str = "fp32"
    workers: int = 2
    timeout: float = 600.0
    on_result: Callable[[VideoResult, int], None] = lambda result, frames: None

    def results(
        self, inputs: Any, shards: Sequence[Shard], bases: Bases = HERE
    ) -> Iterator[tuple[int, list[VideoResult]]]:
        """Embed shards.

        Args:
            inputs: the table of inputs.
            shards: number and rows of each.
            bases: what relative paths are relative to, if not the current folder.

        Yields:
            Number of a shard, and the results of its inputs in order.
        """
        rows = _Rows([shard for _, shard in shards])
        feed = read_ahead(Sources(inputs, rows, bases), self.reader, workers=self.workers, timeout=self.timeout)
        for shard, own in shards:
            yield shard, [self._close(item) for item in self._embed(own, feed)]

    def _embed(self, rows: range, feed: Iterator[tuple[int, Any]]) -> Iterator[_Pending]:
        """The inputs of a shard, in order, each as soon as its last batch is back."""
        # Clips of which some frames do not count go apart: the others' vectors do not depend on their company.
        batch, some = _Batch(self.network, self.batch_size), _Batch(self.network, self.batch_size)
        waiting: deque[tuple[_Pending, int]] = deque()  # with the number of its clips
        for row in rows:
            item, clips = _Pending(row), 0
            for _, chunk in feed:
                item.error = chunk.error
                if chunk.error:
                    break
                item.length, item.timing, item.of_tracklet = chunk.length, chunk.timing, chunk.of_tracklet
                item.warning, item.lost = chunk.warning, chunk.lost
                if chunk.counted is not None:
                    item.counts += chunk.counted.sum(1).tolist()
                for number, clip in enumerate(chunk.clips):
                    if chunk.counted is None:
                        batch.add(clip, item.vectors)
                    else:
                        some.add(clip, item.vectors, chunk.counted[number])
                    clips += 1
                if chunk.last:
                    break
            waiting.append((item, clips))
            while waiting and (waiting[0][0].error or len(waiting[0][0].vectors) == waiting[0][1]):
                yield waiting.popleft()[0]
        batch.flush()
        some.flush()
        yield from (item for item, _ in waiting)

    def _close(self, item: _Pending) -> VideoResult:
        """From the vectors of the clips to those of the rows."""
        result, frames = VideoResult(item.row, error=item.error), 0
        if not item.error:
            vectors = np.stack(item.vectors)
            frames = len(vectors) * self.network.input.frames
            result = self._rows(item, vectors)
        self.on_result(result, frames)
        return result

    def _rows(self, item: _Pending, vectors_cd: np.ndarray) -> VideoResult:
        planner = self.reader.planner_of(tracklet=item.of_tracklet)
        plan = planner.plan(item.length, item.timing)
        starts = np.searchsorted(plan.window, np.arange(len(plan.first)))
        weights_c1 = np.array(item.counts or [1] * len(vectors_cd), np.float64)[:, None]
        rows_wd = np.add.reduceat(vectors_cd * weights_c1, starts, axis=0) / np.add.reduceat(weights_c1, starts, axis=0)
        if self.l2:
            lengths = np.linalg.norm(rows_wd, axis=1, keepdims=True)
            rows_wd = np.divide(rows_wd, lengths, out=np.zeros_like(rows_wd), where=lengths > 0)
        with np.errstate(over="ignore"):
            values = rows_wd.astype(np.float16 if self.dtype == "fp16" else np.float32)
        if not np.isfinite(values).all():
            why = "is too large for fp16" if np.isfinite(rows_wd).all() else "is not finite"
            return VideoResult(item.row, error=f"the network's feature {why}")
        short = "" if item.counts else planner.spec.shortage(item.length)  # no frame counts twice
        remarks = {"short": short, "warning": item.warning, "lost": item.lost}
        return VideoResult(item.row, item.timing, plan.first, plan.last, values.astype(np.float32), **remarks)


class _Batch:
    """Collects clips; one batch is computed while the next one is collected."""

    def __init__(self, network: Network, size: int) -> None:
        self.network, self.size = network, size
        self._clips: list[torch.Tensor] = []
        self._counted: list[np.ndarray] = []
        self._owners: list[list[np.ndarray]] = []
        self._running: tuple[torch.Tensor, list[list[np.ndarray]]] | None = None

    def add(self, clip: torch.Tensor, owner: list[np.ndarray], counted: np.ndarray | None = None) -> None:
        """Clip uint8 (T, h, w, 3); its vector will be appended to ``owner``, in the order of adding.

        ``counted``: bool (T,), its frames that count; of all clips of a batch, or of none.
        """
        self._clips.append(clip)
        self._owners.append(owner)
        if counted is not None:
            self._counted.append(counted)
        if len(self._clips) == self.size:
            self._run()

    def flush(self) -> None:
        if self._clips:
            filling = self.size - len(self._clips)
            self._clips += [self._clips[0]] * filling
            self._counted += self._counted[:1] * filling
            self._run()
        self._hand_out()

    def _run(self) -> None:
        batch = torch.stack(self._clips)
        counted = np.stack(self._counted) if self._counted else None
        if self.network.device.type == "cuda":
            batch = batch.pin_memory()
        vectors, owners = self.network(batch, counted), self._owners
        self._clips, self._counted, self._owners = [], [], []
        self._hand_out()  # of the batch before: waiting for it does not keep a GPU idle
        self._running = (vectors, owners)

    def _hand_out(self) -> None:
        if self._running is not None:
            vectors, owners = self._running
            for owner, vector in zip(owners, vectors.cpu().numpy(), strict=False):  # filling has no owner
                owner.append(vector)
            self._running = None


class _Rows(Sequence[int]):
    """Several ranges, one after the other, as one sequence."""

    def __init__(self, ranges: Sequence[range]) -> None:
        self.ranges = ranges
        self.ends = np.cumsum([len(part) for part in ranges])

    def __len__(self) -> int:
        return int(self.ends[-1]) if len(self.ends) else 0

    def __getitem__(self, place: Any) -> Any:
        which = int(np.searchsorted(self.ends, place, side="right"))
        return self.ranges[which][place - (int(self.ends[which - 1]) if which else 0)]


def write_behind(items: Iterable[Any], write: Callable[..., None]) -> None:
    """Write items in order, in a thread of its own: while one is written the next one is made.

    Args:
        items: tuples, made one after the other.
        write: called with the entries of a tuple.
    """
    with ThreadPoolExecutor(1) as pool:
        running: Future[None] | None = None
        for item in items:
            if running is not None:
                running.result()
            running = pool.submit(write, *item)
        if running is not None:
            running.result()


def reader_for(network: Network, windows: WindowConfig) -> Reader:
    """The reader that cuts videos into the clips of a network.

    Args:
        network: says which clips it takes.
        windows: which windows.

    Returns:
        The reader.
    """
    spec = ClipSpec.of(
        network.input, sampling=network.metadata.sampling, decoder=windows.decoder, min_readable=windows.min_readable
    )
    return Reader(WindowPlanner(windows, spec), every_crop=network.every_crop, each_once=network.of_images)
