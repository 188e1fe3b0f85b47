"""``specvid report``."""

from dataclasses import dataclass

from tyro.conf import Positional

from specvid.cli.verb import Verb

HELP = """\
specvid report: a table over runs

  RUN [RUN ...]          folders of runs, or folders that hold runs
  --metrics top1 top5    which figures; all that the runs share if not given
  --over seed            runs that differ in nothing else are one row: mean and sample deviation
                         (--over seed split gives the mean over splits too)
  --markdown             as a Markdown table
  --out FILE             into a file

A row shows the settings in which the rows differ, what was scored (data set, split, checkpoint,
views), the number of runs, and the figures in %.

Example:
  specvid report runs --metrics top1 --markdown
"""


@dataclass(frozen=True)
class ReportOptions:
    """Options of ``specvid report``."""

    runs: Positional[tuple[str, ...]] = ()
    """Folders of runs, or folders that hold runs."""
    metrics: tuple[str, ...] = ()
    """Figures to show."""
    over: tuple[str, ...] = ("seed",)
    """Settings to average over."""
    markdown: bool = False
    """Print Markdown."""
    out: str = ""
    """File to write instead of printing."""


def run(options: ReportOptions) -> int:
    """Print the table over runs, or write it."""
    from specvid.files import write_text
    from specvid.pipelines.report import report
    from specvid.text import to_markdown, to_text

    rows = report(options.runs, metrics=options.metrics, over=options.over)
    text = to_markdown(rows) if options.markdown else to_text(rows)
    if options.out:
        write_text(options.out, text + "\n")
    else:
        print(text)
    return 0


REPORT = Verb("report", HELP, ReportOptions, run)
