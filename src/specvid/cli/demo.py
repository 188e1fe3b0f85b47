"""``specvid demo``."""

from dataclasses import dataclass

from specvid.cli.verb import Verb

HELP = """\
specvid demo: the main job, on synthetic data

  --seeds 1           trainings per network; 3 give a mean and a deviation
  --out runs/demo     where everything it writes lies; what stands there is not made again

Makes small data sets in which the class of a clip, or who a walker is, depends on how two far-apart
things relate; trains the same small network with and without a spectral block on each, scores both,
and prints what difference the block makes. Then embeds clips, searches, and writes a report to be
looked at in a browser for each task. Minutes on two CPU cores.

Example:
  specvid demo
"""


@dataclass(frozen=True)
class DemoOptions:
    """Options of ``specvid demo``."""

    seeds: int = 1
    """Trainings per network."""
    out: str = "runs/demo"
    """Where everything lies."""


def run(options: DemoOptions) -> int:
    """Run the demo."""
    from specvid.pipelines.demo import demo

    return demo(options.out, seeds=options.seeds)


DEMO = Verb("demo", HELP, DemoOptions, run)
