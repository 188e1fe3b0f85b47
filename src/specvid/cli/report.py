"""``specvid report``."""

from dataclasses import dataclass
from typing import Literal

from tyro.conf import Positional

from specvid.cli.verb import Verb

HELP = """\
specvid report: a table over runs, a page that shows them, figures for papers

  RUN [RUN ...]          folders of runs, or folders that hold runs
  --metrics top1 top5    which figures; all that the runs share if not given
  --over seed            runs that differ in nothing else are one row: mean and sample deviation
                         (--over seed split gives the mean over splits too)
  --markdown             as a Markdown table
  --out FILE             into a file

  --html FILE            one page that needs no network: settings, curves, confusions, ranked strips,
                         what the blocks look at (needs the extra: pip install 'specvid[report]')
  --figures DIR          every chart as a file for papers; --format png or svg
  --data DIR             where the data set lies now, if it has moved since the training

A row of the table shows the settings in which the rows differ, what was scored (data set, split,
checkpoint, views), the number of runs, and the figures: shares in %, others (spread, dimensions and
correlation of a pretraining) as they are. Runs with other figures (another task) are another table.

Example:
  specvid report runs --metrics top1 --markdown
  specvid report runs/first --html first.html
"""


@dataclass(frozen=True)
class ReportOptions:
    """Options of ``specvid report``."""

    runs: Positional[tuple[str, ...]] = ()
    """Folders of runs, or folders that hold runs."""
    metrics: tuple[str, ...] = ()
    """Figures to show in the table."""
    over: tuple[str, ...] = ("seed",)
    """Settings to average over in the table."""
    markdown: bool = False
    """Print Markdown."""
    out: str = ""
    """File to write instead of printing."""
    html: str = ""
    """Page to write."""
    figures: str = ""
    """Folder to write every chart to."""
    format: Literal["png", "svg"] = "png"
    """Format of the figures."""
    data: str = ""
    """Where the data set lies now."""


def run(options: ReportOptions) -> int:
    """Print the tables over runs, or write them; or write the page and the figures."""
    if options.html or options.figures:
        return _write(options)
    from specvid.files import output_file, write_text
    from specvid.pipelines.engine.log import status
    from specvid.pipelines.reporting.table import report
    from specvid.text import to_markdown, to_text

    out = output_file("out", options.out) if options.out else None
    tables = report(
        options.runs, metrics=options.metrics, over=options.over, warn=lambda text: status(f"warning: {text}")
    )
    text = "\n\n".join(map(to_markdown if options.markdown else to_text, tables))
    if out:
        write_text(out, text + "\n")
    else:
        print(text)
    return 0


def _write(options: ReportOptions) -> int:
    from specvid.files import output_file, output_folder
    from specvid.pipelines.engine.log import echo, status
    from specvid.pipelines.reporting.build import make_report
    from specvid.pipelines.reporting.page import require_extra, write_page
    from specvid.text import counted

    table = {"--metrics": options.metrics, "--markdown": options.markdown, "--out": options.out}
    for flag, given in table.items():
        if given:
            raise ValueError(f"{flag} is for the table, and --html and --figures show all figures: leave it out.")
    if options.html:
        require_extra()
    page = output_file("html", options.html) if options.html else None
    figures = output_folder("figures", options.figures) if options.figures else None
    report = make_report(options.runs, data=options.data, echo=status)
    if page:
        write_page(report, page)
        echo(options.html)
    if figures:
        from specvid.pipelines.reporting.figures import write_figures

        written = write_figures(report, figures, format=options.format)
        echo(f"{options.figures}: {counted(len(written), 'figure')}")
    return 0


REPORT = Verb("report", HELP, ReportOptions, run)
