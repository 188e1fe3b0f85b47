"""``specvid demo``."""

from dataclasses import dataclass

from specvid.pipelines.cli.verb import Verb

HELP = """\
specvid demo: the main job, on drawn data

Draws a small video data set whose classes depend on how two far-apart things relate, trains the same
small network with and without a spectral block on it, scores both, and prints what difference the
block makes. Minutes on two CPU cores; everything it writes lies in runs/demo. What stands there is
not made again.

  --seeds 3       train with that many seeds, print mean and deviation

Example:
  specvid demo
"""


@dataclass(frozen=True)
class DemoOptions:
    """Options of ``specvid demo``."""

    seeds: int = 1
    """Trainings of each network, with seeds 0, 1, ..."""


def run(options: DemoOptions) -> int:
    from specvid.pipelines.demo import demo

    return demo(seeds=options.seeds)


DEMO = Verb("demo", HELP, DemoOptions, run)
