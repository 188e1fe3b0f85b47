"""Do the same many times over, and see whether memory, open files, threads and processes stay as they are.

    python -m specvid.tools.faults.endurance [train decode search] [--epochs 200] [--decodes 10000] [--searches 1000]

Prints the table that stands in ``docs/testing.md``. All trials run in this process; memory and open files are those of
it and of the processes that it started. The first quarter of each trial warms it up. Linux only.
"""

import argparse
import contextlib
import os
import sys
import tempfile
import time
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from specvid.text import to_markdown

RISE = 24.0
"""MiB by which memory may seem to rise from the warm-up to the end: what allocators hold back varies so much."""
_SAMPLES = 200
_WARM_UP = 0.25
Step = Callable[[int], None]


@dataclass(frozen=True)
class Sample:
    """What this process and those that it started hold at one time.

    Attributes:
        times: how often it was done until then.
        mebibytes: resident memory.
        files: open files, sockets and pipes.
        threads: of this process.
        processes: that this one started.
    """

    times: int
    mebibytes: float
    files: int
    threads: int
    processes: int

    @classmethod
    def now(cls, times: int) -> "Sample":
        """Take one.

        Args:
            times: how often it was done until now.
        """
        here = os.getpid()
        family = [here, *_below(here)]
        pages = sum(_number(f"/proc/{process}/statm", 1) for process in family)
        files = sum(len(_listed(f"/proc/{process}/fd")) for process in family)
        mebibytes = pages * os.sysconf("SC_PAGE_SIZE") / 2**20
        return cls(times, mebibytes, files, len(_listed("/proc/self/task")), len(family) - 1)


@dataclass(frozen=True)
class Trial:
    """A trial, done.

    Attributes:
        name: what was done.
        samples: over its length.
        seconds: that it took.
    """

    name: str
    samples: Sequence[Sample]
    seconds: float

    @property
    def settled(self) -> list[Sample]:
        """The samples after the warm-up."""
        return [sample for sample in self.samples if sample.times >= _WARM_UP * self.samples[-1].times]

    @property
    def rise(self) -> float:
        """MiB by which memory rises after the warm-up: of the straight line that fits it best."""
        times, memory = np.array([(sample.times, sample.mebibytes) for sample in self.settled]).T
        return float(np.polyfit(times - times[0], memory, 1)[0] * (times[-1] - times[0]))

    @property
    def growing(self) -> list[str]:
        """What does not stay as it is."""
        tenth = max(1, len(self.settled) // 10)
        found = [f"memory by {self.rise:.1f} MiB"] if self.rise > RISE else []
        for what in ("files", "threads", "processes"):
            counts = [getattr(sample, what) for sample in self.settled]
            first, last = max(counts[:tenth]), min(counts[-tenth:])  # some open and close all the time
            if last > first:
                found.append(f"{what} from {first} to {last}")
        return found


def repeat(name: str, step: Step, times: int) -> Trial:
    """Do something again and again.

    Args:
        name: of the trial.
        step: gets the number of the time.
        times: how often.

    Returns:
        The trial.
    """
    samples, begun = [], time.perf_counter()
    every = max(1, times // _SAMPLES)
    for number in range(times):
        step(number)
        if (number + 1) % every == 0:
            samples.append(Sample.now(number + 1))
    return Trial(name, samples, time.perf_counter() - begun)


def train(folder: Path, epochs: int) -> Trial:
    """A training with decoding processes, validation, checkpoints, and TensorBoard.

    Args:
        folder: where to work.
        epochs: how many.
    """
    from specvid.pipelines.action.config import ActionClipsConfig, ActionConfig
    from specvid.pipelines.action.train import train as train_action
    from specvid.pipelines.engine.config import EngineConfig, NetConfig
    from specvid.pipelines.engine.task import Callback

    samples: list[Sample] = []

    class Watch(Callback):
        def on_epoch(self, state: Any, line: Any) -> None:
            samples.append(Sample.now(line["epoch"] + 1))

    clips = str(_clips(folder))
    config = ActionConfig(
        runs=str(folder),
        clips=ActionClipsConfig(data=clips, dataset="folders", frames=4, stride=1, size=16, resize=20),
        net=NetConfig(model="r3d_tiny", blocks="snl@layer2.-1"),
        train=EngineConfig(epochs=epochs, batch_size=4, lr=0.01, device="cpu", workers=1, save_every=2),
    )
    begun = time.perf_counter()
    train_action(config, callback=Watch())
    return Trial("epochs of a training", samples, time.perf_counter() - begun)


def decode(folder: Path, times: int) -> Trial:
    """Clips of many files, some of which are damaged.

    Args:
        folder: where to work.
        times: how often; each time a file that was not read before.
    """
    from specvid.datasets.decode import open_video
    from specvid.errors import VideoError

    videos = sorted(path for path in _clips(folder).rglob("*.*") if path.suffix != ".json")[:7]
    cut = folder / f"cut{videos[0].suffix}"
    cut.write_bytes(videos[0].read_bytes()[: videos[0].stat().st_size // 2])
    videos.append(cut)

    def step(number: int) -> None:
        path = folder / f"video{number}{videos[0].suffix}"
        os.link(videos[number % len(videos)], path)
        with contextlib.suppress(VideoError), open_video(path) as video:
            video.frames(np.linspace(0, len(video) - 1, 4).astype(np.int64))
        path.unlink()

    return repeat("clips read", step, times)


def search(folder: Path, times: int) -> Trial:
    """Queries of a data set with an index, every other one with a filter.

    Args:
        folder: where to work.
        times: how often.
    """
    from specvid.pipelines.search.build import build_index
    from specvid.pipelines.search.query import search as search_for
    from specvid.tools.bench.search import write_embeddings

    embeddings = write_embeddings(folder / "embeddings", 20_000, 64)
    build_index(embeddings.path, "hnsw")

    def step(number: int) -> None:
        name = f"{number * 7 % 20_000:08d}"
        search_for(embeddings.path, name, where="start_s < 1" if number % 2 else "", device="cpu")

    return repeat("searches", step, times)


TRIALS: dict[str, Callable[[Path, int], Trial]] = {"train": train, "decode": decode, "search": search}


def as_table(trials: Sequence[Trial]) -> str:
    """The Markdown table of trials.

    Args:
        trials: done.

    Returns:
        A row for each; figures after the warm-up and at the end.
    """
    rows = [["what", "times", "MiB", "rise", "open files", "threads", "processes", "time", "grows"]]
    for trial in trials:
        first, last = trial.settled[0], trial.samples[-1]
        pairs = [(first.files, last.files), (first.threads, last.threads), (first.processes, last.processes)]
        memory = [f"{first.mebibytes:.0f} to {last.mebibytes:.0f}", f"{trial.rise:+.1f} MiB"]
        counts = [f"{before} to {after}" for before, after in pairs]
        end = [f"{trial.seconds:.0f} s", "; ".join(trial.growing) or "nothing"]
        rows.append([trial.name, f"{last.times:,}", *memory, *counts, *end])
    return to_markdown(rows)


def _clips(folder: Path) -> Path:
    """A small data set, made where it is not there yet."""
    from specvid.datasets.synthetic import SYNTHESIZERS

    SYNTHESIZERS.find("folders")(folder / "clips", scenes=4)
    return folder / "clips"


def _below(process: int) -> Iterator[int]:
    """The processes that another one started, and those that they started."""
    parents = {int(name): _parent(name) for name in _listed("/proc") if name.isdecimal()}
    waiting = [process]
    while waiting:
        above = waiting.pop()
        for own in [number for number, parent in parents.items() if parent == above]:
            waiting.append(own)
            yield own


def _parent(process: str) -> int:
    try:
        return int(Path("/proc", process, "stat").read_text().rpartition(")")[2].split()[1])
    except OSError:  # it ended meanwhile
        return 0


def _number(path: str, place: int) -> int:
    try:
        return int(Path(path).read_text().split()[place])
    except OSError:
        return 0


def _listed(path: str) -> list[str]:
    try:
        return os.listdir(path)
    except OSError:
        return []


def main(argv: Sequence[str] | None = None) -> int:
    """Run the command line.

    Args:
        argv: its words; those of the process if None.

    Returns:
        The exit code; 1 where something grows.
    """
    about = (__doc__ or "").splitlines()[0]
    parser = argparse.ArgumentParser(prog="python -m specvid.tools.faults.endurance", description=about)
    parser.add_argument("trials", nargs="*", metavar="TRIAL", help=f"all if not given: {', '.join(TRIALS)}")
    parser.add_argument("--epochs", type=int, default=200)
    parser.add_argument("--decodes", type=int, default=10_000)
    parser.add_argument("--searches", type=int, default=1_000)
    options = parser.parse_args(argv)
    times = {"train": options.epochs, "decode": options.decodes, "search": options.searches}
    for name in options.trials:
        if name not in TRIALS:
            parser.error(f"trial {name!r} is unknown. Choose from: {', '.join(TRIALS)}")
    done = []
    for name in options.trials or list(TRIALS):
        with tempfile.TemporaryDirectory() as folder:
            done.append(TRIALS[name](Path(folder), times[name]))
        print(as_table(done[-1:]), file=sys.stderr, flush=True)
    print(as_table(done))
    return int(any(trial.growing for trial in done))


if __name__ == "__main__":
    raise SystemExit(main())
