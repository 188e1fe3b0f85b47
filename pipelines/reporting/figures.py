"""Every chart of a report as a file of its own, for papers: PNG or SVG, drawn by matplotlib."""

import base64
import io
import re
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from specvid.files import replacing_file
from specvid.fonts import lettering
from specvid.pipelines.reporting.charts import DARK, LEAST, LONG, MOST, PALETTE, Chart
from specvid.pipelines.reporting.page import Report
from specvid.text import printable_name, printable_path

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

FORMATS = ("png", "svg")

_DPI = 200
_BARS_UPRIGHT = 12  # categories up to which bars stand; more lie
_MARKERS = "osD^vPX*"
_WRITTEN = 30  # rows of a matrix up to which its numbers are written in


def write_figures(report: Report, folder: str | Path, *, format: str = "png") -> list[Path]:
    """Write every chart of a report, and the affinity of each clip that it shows.

    Args:
        report: what it shows.
        folder: for the files, which are named after what they show; created where it is missing.
        format: ``png`` or ``svg``.

    Returns:
        The files.

    Raises:
        ValueError: another format.
    """
    if format not in FORMATS:
        from specvid.errors import unknown

        raise unknown("format", format, FORMATS)
    import matplotlib

    written = []
    settings: Any = {"font.size": 9, "svg.hashsalt": "specvid"}
    with lettering(_texts(report)), matplotlib.rc_context(settings):
        for name, figure in _figures(report):
            path = Path(folder) / f"{name}.{format}"
            with replacing_file(path) as staging:
                metadata = {"Date": None} if format == "svg" else None
                figure.savefig(staging, format=format, dpi=_DPI, metadata=metadata, bbox_inches="tight")
            written.append(path)
    return written


def _texts(report: Report) -> Iterator[str]:
    """All names that figures have in them."""
    for chart in report.charts.values():
        yield from (chart.title, chart.x, chart.y, *chart.rows, *chart.columns)
        for series in chart.series:
            yield from (series.name, *(x for x in series.x if isinstance(x, str)))
    for run in report.runs:
        for part in run.islands.get("affinities", {}).values():
            yield from (clip["title"] for clip in part["parts"])


def _figures(report: Report) -> Iterator[tuple[str, "Figure"]]:
    """Name and figure of each chart, then of each clip with its affinity."""
    names = {run.key: _file_name(run.name) for run in report.runs}
    if len(set(names.values())) < len(names):
        names = {key: f"{key}-{name}" for key, name in names.items()}
    for key, chart in report.charts.items():
        owner, _, rest = key.partition("-")
        yield (f"{names[owner]}-{rest}" if owner in names else key), draw(chart)
    for run in report.runs:
        for key, part in run.islands.get("affinities", {}).items():
            for i, clip in enumerate(part["parts"]):
                yield f"{names[run.key]}-{key}-clip{i}", draw_affinity(clip, part["place"])


def draw(chart: Chart) -> "Figure":
    """Draw a chart.

    Args:
        chart: what it shows.

    Returns:
        The figure.
    """
    from matplotlib.figure import Figure
    from matplotlib.ticker import MaxNLocator, PercentFormatter

    many = max(
        len(chart.rows), max((len(series.x) for series in chart.series), default=0) if chart.kind == "bars" else 0
    )
    longest = max((len(str(x)) for series in chart.series for x in series.x), default=0)
    lies = chart.kind == "bars" and (many > _BARS_UPRIGHT or longest > LONG)
    each = 0.85 if chart.of else 0.19  # inches of a cell or bar; of one with words in it
    side = min(24.0, max(2.8, 0.9 + each * many)) if lies or chart.kind == "heat" else 2.8
    figure = Figure(figsize=(max(4.0, side + 1.2) if chart.kind == "heat" else 4.0, side), layout="constrained")
    axes = figure.add_subplot()
    {"lines": _lines, "bars": _lying_bars if lies else _bars, "heat": _heat}[chart.kind](figure, axes, chart)
    axes.set_title(printable_name(chart.title, most=80), fontsize=9)
    across, up = (chart.y, chart.x) if lies else (chart.x, chart.y)
    axes.set_xlabel(printable_name(across))
    axes.set_ylabel(printable_name(up))
    if chart.x == "epoch":
        axes.xaxis.set_major_locator(MaxNLocator(integer=True))
    if chart.percent and chart.kind != "heat":
        (axes.xaxis if lies else axes.yaxis).set_major_formatter(PercentFormatter(1.0))
        least, most = axes.get_xlim() if lies else axes.get_ylim()
        (axes.set_xlim if lies else axes.set_ylim)(max(least, LEAST), min(most, MOST))
    return figure


def draw_affinity(clip: Mapping[str, Any], place: str) -> "Figure":
    """Draw what the middle position of a clip looks at: its row of the affinity over the frames.

    Args:
        clip: a part of an affinity of the report.
        place: of the block.

    Returns:
        The figure.
    """
    from matplotlib.figure import Figure
    from PIL import Image

    frames, rows, columns = clip["cells"]
    at = (frames // 2, rows // 2, columns // 2)
    steps = np.frombuffer(base64.b64decode(clip["rows"]), np.uint8).reshape(-1, frames, rows, columns)
    row = steps[(at[0] * rows + at[1]) * columns + at[2]].astype(float)
    sheet = np.asarray(Image.open(io.BytesIO(base64.b64decode(clip["frames"]["u"].partition(",")[2]))).convert("L"))
    width, height = clip["frames"]["w"], clip["frames"]["h"]
    figure = Figure(figsize=(min(16.0, 1.3 * frames), 1.3 * height / width + 0.5), layout="constrained")
    for i, axes in enumerate(np.atleast_1d(figure.subplots(1, frames))):
        axes.imshow(sheet[:, i * width : (i + 1) * width], cmap="gray", extent=(0, columns, rows, 0), vmin=0, vmax=255)
        axes.imshow(row[i], cmap="cividis", alpha=0.6, extent=(0, columns, rows, 0), vmin=row.min(), vmax=row.max())
        if i == at[0]:
            axes.plot(at[2] + 0.5, at[1] + 0.5, marker="s", markersize=5, color="white", fillstyle="none")
        axes.set_aspect(height / rows / (width / columns))
        axes.set_axis_off()
    figure.suptitle(printable_name(f"{clip['title']}; {place}", most=120), fontsize=8)
    return figure


def _lines(figure: "Figure", axes: "Axes", chart: Chart) -> None:
    for i, series in enumerate(chart.series):
        place = i if series.colour is None else series.colour
        y = [np.nan if value is None else value for value in series.y]
        style: dict[str, Any] = {
            "color": PALETTE[place % len(PALETTE)],
            "linestyle": "--" if series.dashed else ("-", ":", "-.")[place // len(PALETTE) % 3],
            "marker": _MARKERS[place % len(_MARKERS)],
            "markevery": max(1, len(y) // 20),
            "markersize": 3,
        }
        label = printable_name(series.name)
        label = f" {label}" if label.startswith("_") else label  # which matplotlib leaves out of legends
        axes.plot(list(series.x), y, label=label, **style)
    axes.grid(alpha=0.3)
    if len(chart.series) > 1:
        figure.legend(loc="outside lower center", fontsize=7, ncols=2, frameon=False)


def _bars(figure: "Figure", axes: "Axes", chart: Chart) -> None:
    for series, colour in zip(chart.series, PALETTE, strict=False):
        axes.bar([printable_name(str(x)) for x in series.x], _numbers(series.y), color=colour)
    axes.tick_params(axis="x", rotation=60 if len(chart.series[0].x) > 4 else 0)


def _lying_bars(figure: "Figure", axes: "Axes", chart: Chart) -> None:
    for series, colour in zip(chart.series, PALETTE, strict=False):
        axes.barh([printable_name(str(x)) for x in series.x], _numbers(series.y), color=colour)
    axes.invert_yaxis()
    axes.tick_params(axis="y", labelsize=7)
    axes.margins(y=0.01)


def _heat(figure: "Figure", axes: "Axes", chart: Chart) -> None:
    from matplotlib.ticker import PercentFormatter

    z = np.array([[np.nan if value is None else value for value in row] for row in chart.z], float)
    shades = z / np.maximum(z.sum(axis=1, keepdims=True), 1) if chart.counts else z
    whole: dict[str, Any] = {"vmin": 0, "vmax": 1} if chart.counts or chart.percent else {}
    image = axes.imshow(shades, cmap="cividis", **whole)
    size = max(3.0, min(8.0, 240 / max(z.shape)))
    axes.set_xticks(
        range(z.shape[1]), [printable_name(name, most=30) for name in chart.columns], rotation=90, fontsize=size
    )
    axes.set_yticks(range(z.shape[0]), [printable_name(name, most=30) for name in chart.rows], fontsize=size)
    bar = figure.colorbar(image, ax=axes, fraction=0.04, label="share of the row" if chart.counts else "")
    if chart.percent:
        bar.formatter = PercentFormatter(1.0)
    if max(z.shape) > _WRITTEN:
        return
    low, high = image.get_clim()
    for row, column in np.argwhere(np.isfinite(z) & ((z != 0) | (not chart.counts))):
        colour = "black" if shades[row, column] - low > DARK * (high - low) else "white"
        text = f"{100 * z[row, column]:.0f} %" if chart.percent else f"{z[row, column]:g}"
        text += f"\nof {chart.of[row][column]}" if chart.of else ""
        axes.text(column, row, text, ha="center", va="center", color=colour, fontsize=size)


def _numbers(values: Any) -> list[float]:
    return [0.0 if value is None else float(value) for value in values]


def _file_name(name: str) -> str:
    return re.sub(r"[^\w.+-]+", "-", printable_path(name)).strip(".-") or "run"
