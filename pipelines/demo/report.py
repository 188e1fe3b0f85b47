"""The demo's ending: its runs as pages to look at."""

from collections.abc import Sequence
from pathlib import Path

from specvid.pipelines.engine.log import console, echo
from specvid.pipelines.reporting.build import make_report
from specvid.pipelines.reporting.page import require_extra, write_page

_SECONDS = 10.0  # for the small pictures of a page


def demo_reports(root: Path) -> list[Path]:
    """Write a page over the runs of each task, and print the paths; pages that are newer than their runs stand.

    Args:
        root: Folder of the runs.

    Returns:
        The pages; none where the extra ``report`` is not installed, which is printed.
    """
    try:
        require_extra()
    except ValueError as error:
        echo(f"\nNo reports are written: {error}")
        return []
    pages = []
    for name, prefix in (("report-action.html", ""), ("report-reid.html", "reid-")):
        runs = [run for kind in ("bare", "snl") for run in sorted(root.glob(f"{prefix}{kind}-seed*"))]
        if runs:
            _write(root / name, runs)
            pages.append(root / name)
    echo("\nTo look at, in a browser:\n" + "\n".join(f"  {page}" for page in pages))
    return pages


def _write(page: Path, runs: Sequence[Path]) -> None:
    results = [file.stat().st_mtime for run in runs for file in run.glob("results.json")]
    if not page.exists() or page.stat().st_mtime < max(results, default=0.0):
        console.print(f"writing {page}")
        write_page(make_report(runs, seconds=_SECONDS), page)
