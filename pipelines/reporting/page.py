"""The report as one HTML file: a template, its style and scripts, and Plotly, all inside; nothing is fetched.

A policy in the page allows only the scripts that are in it, by their checksums, so that a name that somebody else gave
can neither run nor fetch anything, even if it were not escaped; and every name is.
"""

import base64
import hashlib
import json
import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime, timezone
from importlib import resources
from pathlib import Path
from typing import Any

from specvid import __version__
from specvid.eval.report import Figures, figure_text, group, kinds, repeated, table, unit_of
from specvid.extras import require
from specvid.files import replacing_file
from specvid.pipelines.reporting.charts import Chart
from specvid.pipelines.reporting.comparison import Difference, differences
from specvid.pipelines.reporting.plotly import as_plotly, plotly_js
from specvid.pipelines.reporting.run_part import RunPart
from specvid.text import printable_path

_SCRIPTS = ("charts.js", "tables.js", "confusion.js", "strips.js", "affinity.js")
_TEMPLATES = resources.files("specvid.pipelines.reporting") / "templates"


@dataclass(frozen=True)
class Report:
    """What a report shows.

    Attributes:
        runs: each run's part.
        curves: charts with all runs in them.
        figures: the evaluations of all runs.
    """

    runs: Sequence[RunPart]
    curves: Sequence[Chart]
    figures: Sequence[Figures] = ()

    @property
    def charts(self) -> dict[str, Chart]:
        """All charts by a name that is unique in the report."""
        found = {chart.key: chart for chart in self.curves}
        for run in self.runs:
            found |= {f"{run.key}-{chart.key}": chart for chart in run.charts}
        return found

    @property
    def tables(self) -> list[list[list[str]]]:
        """The tables over runs, one for each set of figures, the heading first."""
        found = []
        for members in kinds(self.figures):
            groups = group(members)
            figures = list(members[0].values)
            rows = _figures_first(table(groups, figures, always=("model", "blocks")), figures)
            names = ["run", *(", ".join(one.runs) for one in groups)]
            found.append([[name, *row] for name, row in zip(names, rows, strict=True)])
        return found

    @property
    def repeated(self) -> list[str]:
        """What to say of runs that are averaged and have one seed."""
        return repeated(self.figures)

    @property
    def differences(self) -> list[list[list[str]]]:
        """The tables of differences, one for each set of figures, the heading first."""
        found: dict[tuple[str, ...], list[Difference]] = {}
        for one in differences(self.figures):
            found.setdefault(tuple(one.figures), []).append(one)
        heading = ["these", "minus those", "seeds"]
        return [
            [[*heading, *figures, "scored on"]]
            + [
                [one.these, one.others, _seeds(one)]
                + [figure_text(name, *one.figures[name], sign="+") for name in figures]
                + [one.context]
                for one in members
            ]
            for figures, members in found.items()
        ]


def _number_columns(rows: list[list[str]]) -> list[bool]:
    """Which columns of a table hold numbers, below its heading; ``-`` is a missing number or a missing text."""
    columns = list(zip(*rows[1:], strict=True)) or [()] * len(rows[0])
    known = [[cell for cell in column if cell != "-"] for column in columns]
    return [bool(cells) and all(cell[:1].isdecimal() or cell[:2].strip("+-").isdecimal() for cell in cells)
            for cells in known]  # fmt: skip


def _figures_first(rows: list[list[str]], figures: list[str]) -> list[list[str]]:
    """The columns of a table with the figures where they are seen: behind what was trained, before what they are of."""
    trained = ("model", "blocks")
    order = sorted(range(len(rows[0])), key=lambda i: 0 if rows[0][i] in trained else 1 if rows[0][i] in figures else 2)
    return [[row[i] for i in order] for row in rows]


def _seeds(one: Difference) -> str:
    """Over which seeds a difference is."""
    if not one.pairs:
        return "none in common"
    alone = ", ".join(map(str, one.alone))
    return f"{one.pairs} paired" + (f"; without {alone}, which only one has" if alone else "")


def require_extra() -> None:
    """Check that pages can be written, before anything is read for one.

    Raises:
        ValueError: the extra ``report`` is not installed.
    """
    for module in ("jinja2", "plotly.offline"):
        require(module, extra="report", what="a report in HTML")


def write_page(report: Report, path: str | Path) -> None:
    """Write a report as a page.

    Args:
        report: what it shows.
        path: the file to write.

    Raises:
        ValueError: the extra ``report`` is not installed.
    """
    jinja2 = require("jinja2", extra="report", what="a report in HTML")
    scripts = [(_TEMPLATES / name).read_text(encoding="utf-8") for name in _SCRIPTS]
    plotly = plotly_js()
    environment = jinja2.Environment(autoescape=True, undefined=jinja2.StrictUndefined, trim_blocks=True)
    environment.filters["path"] = printable_path
    environment.filters["number_columns"] = _number_columns
    environment.filters["unit"] = unit_of
    text = environment.from_string((_TEMPLATES / "report.html").read_text(encoding="utf-8")).render(
        report=report,
        title="specvid report: " + ", ".join(printable_path(run.name) for run in report.runs[:3]),
        made=datetime.now(timezone.utc).strftime("%Y-%m-%d %H:%M UTC"),
        version=__version__,
        style=(_TEMPLATES / "report.css").read_text(encoding="utf-8"),
        plotly=plotly,
        scripts=scripts,
        checksums=[_checksum(script) for script in (plotly, *scripts)],
        island=as_island({"charts": {k: as_plotly(c) for k, c in report.charts.items()}, **_data(report)}),
    )
    with replacing_file(Path(path)) as staging:
        staging.write_text(text, encoding="utf-8", errors="backslashreplace")


def as_island(content: Any) -> str:
    """JSON to stand in a page, between tags of a script: no letter of it can end them.

    Args:
        content: what JSON knows, and numbers that are not finite, which become null.

    Returns:
        ASCII.
    """
    text = json.dumps(_finite(content), allow_nan=False, separators=(",", ":"))
    return text.replace("<", "\\u003c").replace(">", "\\u003e").replace("&", "\\u0026")


def _data(report: Report) -> dict[str, Any]:
    """What the scripts need besides charts."""
    found: dict[str, Any] = {"confusions": {}, "strips": {}, "affinities": {}}
    for run in report.runs:
        for kind, parts in run.islands.items():
            found[kind] |= {f"{run.key}-{key}": part for key, part in parts.items()}
    return found


def _finite(value: Any) -> Any:
    if isinstance(value, float):
        return value if math.isfinite(value) else None
    if isinstance(value, Mapping):
        return {str(key): _finite(own) for key, own in value.items()}
    if isinstance(value, list | tuple):
        return [_finite(own) for own in value]
    return value


def _checksum(script: str) -> str:
    """As a policy names a script that it allows."""
    return "sha256-" + base64.b64encode(hashlib.sha256(script.encode()).digest()).decode()
