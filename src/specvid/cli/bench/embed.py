"""``specvid bench embed``: the rate of `specvid embed`, beside those of decoding and of the network alone."""

from dataclasses import dataclass
from typing import Literal

from tyro.conf import Positional

from specvid.cli.bench.measuring import bench_verb
from specvid.config import require_at_least

HELP = """\
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


def _measure(options: EmbedOptions) -> str:
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


EMBED = bench_verb("embed", HELP, EmbedOptions, _measure)
