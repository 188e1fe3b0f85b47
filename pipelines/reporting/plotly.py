"""A chart as Plotly takes it: plain JSON. Colours of text and lines come from the page, which may be light or dark."""

import html
from typing import Any

from specvid.extras import require
from specvid.pipelines.reporting.charts import LEAST, MOST, PALETTE, Chart
from specvid.text import one_line, printable_path

_DASHES = ("solid", "dot", "dash", "dashdot")
_MARKERS = ("circle", "square", "diamond", "triangle-up", "triangle-down", "cross", "x", "star")


def plotly_js() -> str:
    """The library, to be put into a page.

    Returns:
        JavaScript.

    Raises:
        ValueError: the extra ``report`` is not installed.
    """
    text: str = require("plotly.offline", extra="report", what="a report in HTML").get_plotlyjs()
    return text


def as_plotly(chart: Chart) -> dict[str, Any]:
    """A chart as data and layout.

    Args:
        chart: the chart.

    Returns:
        ``{"data": [...], "layout": {...}}``.
    """
    layout: dict[str, Any] = {
        "xaxis": {"title": {"text": _text(chart.x)}, "automargin": True},
        "yaxis": {"title": {"text": _text(chart.y)}, "automargin": True},
        "margin": {"l": 48, "r": 12, "t": 8, "b": 40},
        "height": 280,
        "showlegend": len(chart.series) > 1,
        "legend": {"orientation": "h", "y": 1.02, "yanchor": "bottom", "x": 0},
    }
    if chart.kind == "heat":
        return {"data": [_heat(chart)], "layout": layout | _heat_layout(chart)}
    if chart.percent:
        layout["yaxis"] |= {"tickformat": ".0%", "autorangeoptions": {"minallowed": LEAST, "maxallowed": MOST}}
    values = {value for series in chart.series for value in series.y if value is not None}
    if chart.kind == "lines" and len(values) == 1 and not chart.percent:
        layout["yaxis"]["range"] = _around(*values)
    if chart.y == chart.title:
        del layout["yaxis"]["title"]
    if chart.key.startswith("curve") or chart.key == "gates":
        layout["xaxis"]["tickformat"] = "d"
        if max((len(series.x) for series in chart.series), default=0) <= 12:
            layout["xaxis"]["dtick"] = 1
    if chart.kind == "bars":
        layout["bargap"] = 0.1
        layout["xaxis"]["type"] = "category"
    number = ".2%" if chart.percent else ".4~g"
    data = []
    for i, series in enumerate(chart.series):
        place = i if series.colour is None else series.colour
        colour = PALETTE[place % len(PALETTE)]
        trace: dict[str, Any] = {
            "name": _text(series.name),
            "x": [_text(x) if isinstance(x, str) else x for x in series.x],
            "y": list(series.y),
            "hovertemplate": f"%{{x}}: %{{y:{number}}}<extra>{_text(series.name)}</extra>",
        }
        if chart.kind == "bars":
            trace |= {"type": "bar", "marker": {"color": colour}}
        else:
            few = len(series.x) <= 60
            dash = "dash" if series.dashed else _DASHES[place // len(PALETTE) % len(_DASHES)]
            symbol = _MARKERS[place % len(_MARKERS)]
            trace |= {"type": "scatter", "mode": "lines+markers" if few else "lines"}
            trace |= {"line": {"color": colour, "dash": dash, "width": 2}, "marker": {"size": 6, "symbol": symbol}}
        data.append(trace)
    return {"data": data, "layout": layout}


def _around(value: float) -> list[float]:
    """An axis for one value; Plotly's own reaches from 1 below it to 1 above, however small it is."""
    return sorted((0.0, 2 * value)) if value else [-1.0, 1.0]


def _heat(chart: Chart) -> dict[str, Any]:
    unit = "%{z:.1%}" if chart.percent else "%{z:.4~g}"
    of = " of %{customdata}" if chart.of else ""
    return {
        "type": "heatmap",
        "z": [list(row) for row in chart.z],
        "x": [_text(name) for name in chart.columns],
        "y": [_text(name) for name in chart.rows],
        "colorscale": "Cividis",
        "hoverongaps": False,
        "hovertemplate": f"{_text(chart.y)} %{{y}}, {_text(chart.x)} %{{x}}: {unit}{of}<extra></extra>",
        "texttemplate": unit + (of and f"<br>{of.strip()}") if len(chart.columns) <= 8 else "",
        **({"customdata": [list(row) for row in chart.of]} if chart.of else {}),
        **({"zmin": 0, "zmax": 1} if chart.percent else {}),
        "colorbar": {"thickness": 10, **({"tickformat": ".0%"} if chart.percent else {})},
    }


def _heat_layout(chart: Chart) -> dict[str, Any]:
    return {
        "xaxis": {"title": {"text": _text(chart.x)}, "type": "category", "automargin": True},
        "yaxis": {
            "title": {"text": _text(chart.y)}, "type": "category", "autorange": "reversed", "automargin": True
        },
        "height": min(640, 160 + (40 if chart.of else 26) * len(chart.rows)),
    }  # fmt: skip


def _text(text: str) -> str:
    """A name for Plotly, which takes ``<b>`` and the like for markup, and ``%{`` for a place to fill."""
    return html.escape(one_line(printable_path(text)), quote=False).replace("%{", "% {")
