"""A chart as Plotly takes it: plain JSON. Colours of text and lines come from the page, which may be light or dark."""

import html
from typing import Any

from specvid.extras import require
from specvid.pipelines.reporting.charts import DARK, LEAST, LONG, MOST, PALETTE, Chart
from specvid.text import one_line, printable_path

_MOST_LYING = 30  # bars that lie where a name is long
_SHOWN = 40  # letters of a name beside an axis or in a legend; all of it is shown on hover
_DASHES = ("solid", "dot", "dash", "dashdot")
_MOST_WRITTEN = 8  # columns of a matrix up to which its numbers are written in
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
        "xaxis": {"title": {"text": _text(chart.x), "standoff": 8}, "automargin": True},
        "yaxis": {"title": {"text": _text(chart.y), "standoff": 8}, "automargin": True},
        "margin": {"l": 48, "r": 12, "t": 8, "b": 40},
        "height": 280,
        "showlegend": len(chart.series) > 1 or any(series.dashed for series in chart.series),
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
        epochs = sorted({x for series in chart.series for x in series.x if not isinstance(x, str)})
        layout["xaxis"]["tickformat"] = "d"
        if len(epochs) == 1:
            layout["xaxis"] |= {"tickvals": epochs, "range": [epochs[0] - 1, epochs[0] + 1]}
        elif len(epochs) <= 12:
            layout["xaxis"]["dtick"] = 1
    names = [str(x) for x in chart.series[0].x] if chart.kind == "bars" else []
    lies = len(names) <= _MOST_LYING and max(map(len, names), default=0) > LONG
    if chart.kind == "bars":
        layout["bargap"] = 0.1
        layout["xaxis"] |= {"type": "category", **_ticks(names)}
    if lies:
        layout["xaxis"], layout["yaxis"] = layout["yaxis"], layout["xaxis"] | {"autorange": "reversed"}
        layout["height"] = 100 + 26 * max(3, len(names))
    number = ".2%" if chart.percent else ".4~g"
    data = []
    for i, series in enumerate(chart.series):
        place = i if series.colour is None else series.colour
        colour = PALETTE[place % len(PALETTE)]
        trace: dict[str, Any] = {
            "name": _shortened(series.name),
            "x": [_text(x) if isinstance(x, str) else x for x in series.x],
            "y": list(series.y),
            "hovertemplate": f"%{{x}}: %{{y:{number}}}<extra>{_text(series.name)}</extra>",
        }
        if chart.kind == "bars":
            trace |= {"type": "bar", "marker": {"color": colour}}
            if lies:
                trace |= {"orientation": "h", "x": trace["y"], "y": trace["x"]}
                trace["hovertemplate"] = f"%{{y}}: %{{x:{number}}}<extra>{_text(series.name)}</extra>"
        else:
            few = len(series.x) <= 60
            dash = "dash" if series.dashed else _DASHES[place // len(PALETTE) % len(_DASHES)]
            symbol = _MARKERS[place % len(_MARKERS)]
            trace |= {"type": "scatter", "mode": "lines+markers" if few else "lines"}
            trace |= {"line": {"color": colour, "dash": dash, "width": 2}, "marker": {"size": 6, "symbol": symbol}}
        data.append(trace)
    return {"data": data, "layout": layout}


def _ticks(names: list[str]) -> dict[str, Any]:
    """Long names cut off beside an axis; those of bars stay whole, so that two that begin alike stay two."""
    if max(map(len, names), default=0) <= _SHOWN:
        return {}
    return {"tickvals": list(map(_text, names)), "ticktext": list(map(_shortened, names))}


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
        **({"customdata": [list(row) for row in chart.of]} if chart.of else {}),
        **({"zmin": 0, "zmax": 1} if chart.percent else {}),
        "colorbar": {"thickness": 10, **({"tickformat": ".0%"} if chart.percent else {})},
    }


def _heat_layout(chart: Chart) -> dict[str, Any]:
    return {
        "annotations": _written(chart) if len(chart.columns) <= _MOST_WRITTEN else [],
        "xaxis": {"title": {"text": _text(chart.x), "standoff": 8}, "type": "category", "automargin": True},
        "yaxis": {
            "title": {"text": _text(chart.y), "standoff": 8}, "type": "category", "autorange": "reversed",
            "automargin": True
        },
        "height": min(640, 160 + (40 if chart.of else 26) * len(chart.rows)),
    }  # fmt: skip


def _written(chart: Chart) -> list[dict[str, Any]]:
    """The value of each cell, and what it is the mean of, in the one of black and white that is read on its shade."""
    values = [value for row in chart.z for value in row if value is not None]
    low, high = (0.0, 1.0) if chart.percent else (min(values, default=0.0), max(values, default=1.0))
    notes = []
    for i, row in enumerate(chart.z):
        for j, value in enumerate(row):
            if value is None:
                continue
            lines = [f"{100 * value:.0f}%" if chart.percent else f"{value:.4g}"]
            lines += [f"of {chart.of[i][j].split()[0]}"] if chart.of else []  # in all words on hover
            is_light = value - low > DARK * (high - low)
            notes.append(
                {
                    "x": j,  # places, for a name such as "2" is taken for one
                    "y": i,
                    "text": "<br>".join(map(_text, lines)),
                    "showarrow": False,
                    "font": {"size": 11, "color": "#000000" if is_light else "#ffffff"},
                }
            )
    return notes


def _shortened(name: str) -> str:
    return _text(name if len(name) <= _SHOWN else f"{name[: _SHOWN - 1]}…")


def _text(text: str) -> str:
    """A name for Plotly, which takes ``<b>`` and the like for markup, and ``%{`` for a place to fill."""
    return html.escape(one_line(printable_path(text)), quote=False).replace("%{", "% {")
