"""``specvid bench embed|search``."""

import dataclasses
from dataclasses import dataclass
from typing import Literal

from tyro.conf import Positional

from specvid.cli.verb import Verb

EMBED_HELP = """\
specvid bench embed: the rate of `specvid embed`, and those of decoding alone and of the network alone,
in turn in one run

  VIDEO [VIDEO ...]       as for `specvid embed`
  --model r3d_18          backbone; --frames 8 --size 56 make it quicker
  --count 64 --rounds 5   videos per round, rounds; the figures are medians
  --workers 1 --threads 1 decoding processes, threads of the network: together no more than the cores
  --memory 10000          instead: memory after each tenth of so many videos

Example:
  specvid bench embed synthetic/videos --frames 8 --size 56
"""

SEARCH_HELP = """\
specvid bench search: the indexes of `specvid search` over synthetic vectors: seconds to build, to ask, recall

  --rows 1000000 --dim 512
  --kinds flat hnsw ivfpq
  --queries 100           new vectors, asked one at a time; the figures are medians

Example:
  specvid bench search --rows 20000 --dim 128
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


@dataclass(frozen=True)
class SearchOptions:
    """Options of ``specvid bench search``."""

    rows: int = 1_000_000
    dim: int = 512
    kinds: tuple[Literal["flat", "hnsw", "ivfpq"], ...] = ("flat", "hnsw", "ivfpq")
    queries: int = 100


def embed(options: EmbedOptions) -> int:
    if not options.videos:
        raise ValueError("no VIDEO is given: name files or folders to embed.")

    from specvid.pipelines.engine.log import status
    from specvid.tools.bench.embed import bench_embed, bench_memory, print_embed_row

    settings = {field.name: getattr(options, field.name) for field in dataclasses.fields(options)}
    videos, memory = settings.pop("videos"), settings.pop("memory")
    if memory:
        held = bench_memory(videos, count=memory, model=options.model, workers=options.workers)
        print("MiB after each tenth: " + " ".join(f"{value:.0f}" for value in held))
    else:
        print_embed_row(bench_embed(videos, **settings, progress=status))
    return 0


def search(options: SearchOptions) -> int:
    from specvid.pipelines.engine.log import status
    from specvid.tools.bench.search import bench_search, print_search_table

    settings = {field.name: getattr(options, field.name) for field in dataclasses.fields(options)}
    print_search_table(bench_search(**settings, progress=status))
    return 0


EMBED = Verb("bench embed", EMBED_HELP, EmbedOptions, embed)
SEARCH = Verb("bench search", SEARCH_HELP, SearchOptions, search)
