"""What a chart shows, told once: `plotly.py` draws it in a page, `figures.py` with matplotlib for papers."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Literal

PALETTE = ("#0072B2", "#D55E00", "#009E73", "#CC79A7", "#56B4E9", "#E69F00", "#8C6D31", "#7F7F7F")
"""Colours that colour-blind readers tell apart (Okabe and Ito 2008; its yellow and black are replaced)."""

LONG = 16
"""Letters of a name beyond which bars lie, so that there is room for it."""

DARK = 0.47
"""Share of the scale up to which a cell of the colour map Cividis is so dark that white is read better on it."""

LEAST, MOST = -0.02, 1.02
"""How far the axis of shares reaches at most: a line at 100 % lies within it, and there is nothing beyond."""


@dataclass(frozen=True)
class Series:
    """A line, or the bars of one colour.

    Attributes:
        name: in the legend.
        x: places, or names of categories.
        y: values; None is a gap.
        dashed: drawn so, to go with another series of the same colour.
        colour: place in `PALETTE`; by default that of the series in its chart.
    """

    name: str
    x: Sequence[float | str]
    y: Sequence[float | None]
    dashed: bool = False
    colour: int | None = None


@dataclass(frozen=True)
class Chart:
    """One chart.

    Attributes:
        key: names its file; letters, digits and ``-``.
        title: above it.
        kind: ``lines``, ``bars`` or ``heat``.
        x: title of the horizontal axis.
        y: title of the vertical axis.
        series: of lines and bars.
        rows: names of the rows of a heat map, from the top.
        columns: names of its columns.
        z: its values, row by row; None is an empty cell.
        percent: values are shares, to be shown in percent.
        counts: values of a heat map are whole numbers, and shades are shares of their row.
        of: how many of what each value of a heat map is the mean of, in words.
    """

    key: str
    title: str
    kind: Literal["lines", "bars", "heat"]
    x: str
    y: str
    series: tuple[Series, ...] = ()
    rows: tuple[str, ...] = ()
    columns: tuple[str, ...] = ()
    z: tuple[tuple[float | None, ...], ...] = ()
    percent: bool = False
    counts: bool = False
    of: tuple[tuple[str, ...], ...] = ()


def histogram(key: str, title: str, values: Sequence[float], *, x: str, y: str, bins: int = 20) -> Chart:
    """A histogram of shares in [0, 1].

    Args:
        key: of the chart.
        title: of the chart.
        values: the shares.
        x: what they are.
        y: what is counted.
        bins: how many, of one width.

    Returns:
        The chart.
    """
    counts = [0] * bins
    for value in values:
        counts[min(bins - 1, max(0, int(value * bins)))] += 1
    names = [f"{100 * i / bins:.0f}–{100 * (i + 1) / bins:.0f} %" for i in range(bins)]
    return Chart(key, title, "bars", x, y, (Series(y, names, [float(count) for count in counts]),))
