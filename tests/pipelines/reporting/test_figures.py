"""Figures for papers: every chart a file, and names in any script with the fonts that are installed."""

from pathlib import Path

import numpy as np
import pytest
from checksums import sha256
from PIL import Image

from specvid.pipelines.reporting.charts import LEAST, MOST, Chart, Series, histogram
from specvid.pipelines.reporting.figures import draw, write_figures
from specvid.pipelines.reporting.page import Report
from specvid.pipelines.reporting.plotly import as_plotly

ROWS = ("$x$ <b>", "Прыжок", "c")
CHARTS = (
    Chart("curve-loss", "Loss", "lines", "epoch", "Loss", (Series("_a", [1, 2], [1.0, None]), Series("b", [1], [2.0]))),
    Chart("classes", "Classes", "bars", "class", "accuracy", (Series("x", [str(i) for i in range(40)], [0.5] * 40),)),
    Chart("confusion", "Confusion", "heat", "p", "t", rows=ROWS, columns=ROWS, z=((1.0, 0.0, 2.0),) * 3, counts=True),
    Chart("cameras", "mAP", "heat", "g", "q", rows=("1",), columns=("1", "2"), z=((None, 0.5),), percent=True),
    Chart("empty", "Nothing", "bars", "x", "y", (Series("none", [], []),)),
    histogram("ap", "AP", [0.0, 0.5, 1.0], x="average precision", y="queries"),
)


@pytest.mark.parametrize("format", ["png", "svg"])
@pytest.mark.filterwarnings("error:Glyph")
def test_every_chart_is_a_file(tmp_path: Path, format: str) -> None:
    written = write_figures(Report([], CHARTS), tmp_path / "out", format=format)
    assert sorted(path.name for path in written) == sorted(f"{chart.key}.{format}" for chart in CHARTS)
    for path in written:
        if format == "png":
            assert np.asarray(Image.open(path)).std() > 1
        else:
            assert path.read_text().lstrip().startswith("<?xml")
    again = write_figures(Report([], CHARTS[:1]), tmp_path / "again", format=format)
    assert sha256(again[0]) == sha256(tmp_path / f"out/curve-loss.{format}")


def test_series_differ_by_more_than_their_colour() -> None:
    series = tuple(Series(str(i), list(range(60)), [float(i)] * 60) for i in range(10))
    chart = Chart("curve", "Loss", "lines", "epoch", "Loss", (*series, Series("v", [1], [2.0], dashed=True, colour=1)))
    lines = draw(chart).axes[0].get_lines()
    assert len({(line.get_linestyle(), line.get_marker()) for line in lines[:10]}) == 10
    assert (lines[10].get_linestyle(), lines[10].get_marker()) == ("--", lines[1].get_marker())
    assert all(line.get_markevery() == 3 for line in lines[:10])
    symbols = {(one["line"]["dash"], one["marker"]["symbol"]) for one in as_plotly(chart)["data"]}
    assert len(symbols) == 11


def test_one_value_has_an_axis_that_fits_it() -> None:
    """A learning rate of 8e-8 stood on an axis from -1 to 1."""
    one = Chart("curve-lr", "Rate", "lines", "epoch", "Rate", (Series("a", [1], [8e-8]),))
    assert as_plotly(one)["layout"]["yaxis"]["range"] == [0, 1.6e-7]
    assert as_plotly(one.__class__(**vars(one) | {"series": (Series("a", [1], [-2.0]),)}))["layout"]["yaxis"][
        "range"
    ] == [-4, 0]


def test_cells_say_what_they_are_the_mean_of() -> None:
    chart = Chart(
        "c", "mAP", "heat", "g", "q", rows=("1",), columns=("1", "2"), z=((None, 1.0),), percent=True,
        of=(("0 queries", "1 query"),),
    )  # fmt: skip
    data = as_plotly(chart)["data"][0]
    assert data["customdata"] == [["0 queries", "1 query"]]
    assert data["texttemplate"] == "%{z:.1%}<br>of %{customdata}"
    assert [text.get_text() for text in draw(chart).axes[0].texts] == ["100\nof 1 query"]


def test_no_axis_of_shares_goes_beyond_all_of_them() -> None:
    """A line at 100 % alone made an axis up to 200 % in pages, and to 105 % in files."""
    chart = Chart("cmc", "CMC", "lines", "rank", "queries", (Series("mars", [1.0, 2.0], [1.0, 1.0]),), percent=True)
    assert draw(chart).axes[0].get_ylim()[1] == MOST
    assert as_plotly(chart)["layout"]["yaxis"]["autorangeoptions"] == {"minallowed": LEAST, "maxallowed": MOST}


@pytest.mark.filterwarnings("error::UserWarning")
def test_names_too_long_for_the_figure_are_not_cut_off(tmp_path: Path) -> None:
    names = tuple(f"{i}{'W' * 200}" for i in range(5))
    charts = (
        Chart("short", "t", "heat", "p", "t", rows=ROWS, columns=ROWS, z=((1.0, 0.0, 2.0),) * 3),
        Chart("long", "t", "heat", "p", "t", rows=names, columns=names, z=((1.0,) * 5,) * 5),
    )
    short, long = (np.asarray(Image.open(path)).shape for path in write_figures(Report([], charts), tmp_path))
    assert long[0] > short[0] * 1.2 and long[1] > short[1] * 1.2


def test_an_unknown_format_is_refused(tmp_path: Path) -> None:
    with pytest.raises(ValueError, match=r"format 'pmg' is unknown.*png"):
        write_figures(Report([], CHARTS), tmp_path, format="pmg")
