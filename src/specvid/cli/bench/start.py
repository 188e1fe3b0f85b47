"""``specvid bench start``: seconds until there is something: imports, a first training step, the demo."""

from dataclasses import dataclass

from specvid.cli.bench.measuring import bench_verb
from specvid.config import require_at_least

HELP = """\
specvid bench start: seconds until there is something: imports, a first training step, the demo

  --rounds 3              the figures are medians; beside each, its ratio to `import torch` alone

Example:
  specvid bench start
"""


@dataclass(frozen=True)
class StartOptions:
    """Options of ``specvid bench start``."""

    rounds: int = 3

    def __post_init__(self) -> None:
        require_at_least(self, rounds=1)


def _measure(options: StartOptions) -> str:
    from specvid.pipelines.engine.log import status
    from specvid.tools.bench.start import as_text, bench_start

    return as_text(bench_start(**vars(options), status=status))


START = bench_verb("start", HELP, StartOptions, _measure)
