"""``specvid bench search``: indexes over synthetic vectors: seconds to build and to search, and recall."""

from dataclasses import dataclass
from typing import Literal

from specvid.cli.bench.measuring import bench_verb
from specvid.config import require_at_least

HELP = """\
specvid bench search: indexes over synthetic vectors: seconds to build and to search, and recall

  --rows 1000000 --dim 512
  --kinds flat hnsw ivfpq
  --queries 100           new vectors, one at a time; the figures are medians

Example:
  specvid bench search --rows 20000 --dim 128
"""


@dataclass(frozen=True)
class SearchOptions:
    """Options of ``specvid bench search``."""

    rows: int = 1_000_000
    dim: int = 512
    kinds: tuple[Literal["flat", "hnsw", "ivfpq"], ...] = ("flat", "hnsw", "ivfpq")
    queries: int = 100

    def __post_init__(self) -> None:
        require_at_least(self, rows=1, dim=1, queries=1)


def _measure(options: SearchOptions) -> str:
    from specvid.pipelines.engine.log import status
    from specvid.tools.bench.search import as_text, bench_search

    return as_text(bench_search(**vars(options), status=status))


SEARCH = bench_verb("search", HELP, SearchOptions, _measure)
