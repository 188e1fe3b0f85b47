"""``specvid demo``."""

from dataclasses import dataclass

from specvid.pipelines.cli.verb import Verb

HELP = """\
specvid demo: the main job, on drawn data

Draws a small video data set whose classes depend on how two far-apart things relate, trains the same
small network with and without a spectral block on it, scores both, and prints what difference the
block makes. Minutes on two CPU cores; everything it writes lies in runs/demo.

Example:
  specvid demo
"""


@dataclass(frozen=True)
class DemoOptions:
    """Options of ``specvid demo``."""


def run(options: DemoOptions) -> int:
    from specvid.pipelines.demo import demo

    return demo() or 0


DEMO = Verb("demo", HELP, DemoOptions, run)
