"""``specvid bench reid``: scoring as many tracklets as MARS has, beside the similarity product alone."""

from dataclasses import dataclass

from specvid.cli.bench.measuring import bench_verb

HELP = """\
specvid bench reid: scoring as many tracklets as MARS has, beside the similarity product alone

And beside a ranking in Python, in one run.

  --large                 also a gallery of a million, with its peak memory
  --rerank                also re-ranking, beside its published N x N form, and torchreid's own
                          where it is installed (takes minutes)

Example:
  specvid bench reid
"""


@dataclass(frozen=True)
class ReidOptions:
    """Options of ``specvid bench reid``."""

    large: bool = False
    """Also a gallery of a million."""
    rerank: bool = False
    """Also re-ranking, beside its published form."""


def _measure(options: ReidOptions) -> str:
    from specvid.pipelines.engine.log import status
    from specvid.tools.bench.reid import report

    return report(**vars(options), status=status)


REID = bench_verb("reid", HELP, ReidOptions, _measure)
