"""``specvid bench all``: the ratios of all benchmarks, beside recorded ones; what fell by a tenth is marked."""

from dataclasses import dataclass

from specvid.cli.verb import Verb
from specvid.files import output_file

HELP = """\
specvid bench all: the ratios of all benchmarks, beside recorded ones; what fell by a tenth is marked

All on synthetic data. A processor is compared with one that has the same vector instructions.

  --quick                 small sizes, under five minutes on two cores; without it, an hour or more
  --against FILE          recorded ratios; if not given, those of the package
  --out FILE              adds what was measured to the runs that it has, for --against
  --accept                what fell, too: the code is the same, so it is noise, or the loss is meant

Measure with nothing else on the machine: each ratio is of two things timed in turn, but noise stays.
Exit code 1: a ratio fell by more than a tenth, and below all runs recorded.

Example:
  specvid bench all --quick
"""


@dataclass(frozen=True)
class AllOptions:
    """Options of ``specvid bench all``."""

    quick: bool = False
    """Small sizes."""
    against: str = ""
    """Recorded ratios."""
    out: str = ""
    """File for the ratios measured."""
    accept: bool = False
    """Add what fell, too."""


def _run(options: AllOptions) -> int:
    from specvid.pipelines.engine.log import echo, status
    from specvid.tools.bench.guard import report

    out = str(output_file("out", options.out)) if options.out else ""
    text, fell = report(quick=options.quick, against=options.against, out=out, accept=options.accept, status=status)
    echo(text)
    return min(fell, 1)


ALL = Verb("bench all", HELP, AllOptions, _run)
