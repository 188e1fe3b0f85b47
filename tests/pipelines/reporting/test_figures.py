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
    drawn = as_plotly(chart)
    assert drawn["data"][0]["customdata"] == [["0 queries", "1 query"]]
    (note,) = drawn["layout"]["annotations"]
    assert (note["x"], note["y"], note["text"]) == (1, 0, "100%<br>of 1")
    assert note["font"]["color"] == "#000000"
    assert [text.get_text() for text in draw(chart).axes[0].texts] == ["100 %\nof 1 query"]


@pytest.mark.filterwarnings("error::UserWarning")
def test_words_in_cells_and_long_names_do_not_meet() -> None:
    cameras = tuple(map(str, range(6)))
    of, z = (("143 queries",) * 6,) * 6, ((0.5,) * 6,) * 6
    names = [f"class number {i} of a name that is long" for i in range(4)]
    charts = (
        Chart("cameras", "mAP", "heat", "g", "q", rows=cameras, columns=cameras, z=z, percent=True, of=of),
        Chart("classes", "Classes", "bars", "class", "accuracy", (Series("x", names, [0.5] * 4),), percent=True),
    )
    for chart in charts:
        figure = draw(chart)
        figure.canvas.draw()
        axes = figure.axes[0]
        texts = axes.texts if chart.kind == "heat" else axes.get_yticklabels()
        boxes = [text.get_window_extent() for text in texts if text.get_text()]
        assert len(boxes) >= 4 and not any(a.overlaps(b) for i, a in enumerate(boxes) for b in boxes[:i])


def test_bars_of_long_names_lie_in_pages() -> None:
    names = [f"class number {i} of a name that is so long that it is cut off" for i in range(4)]
    drawn = as_plotly(Chart("c", "t", "bars", "class", "accuracy", (Series("x", names, [0.5] * 4),), percent=True))
    (bars,) = drawn["data"]
    assert bars["orientation"] == "h" and bars["y"] == names and bars["x"] == [0.5] * 4
    axis = drawn["layout"]["yaxis"]
    assert axis["tickvals"] == names and all(len(text) == 40 for text in axis["ticktext"])
    assert drawn["layout"]["xaxis"]["tickformat"] == ".0%"
    short = as_plotly(Chart("c", "t", "bars", "class", "accuracy", (Series("x", ["a", "b"], [0.5] * 2),)))
    assert "orientation" not in short["data"][0]


def test_one_epoch_has_one_tick() -> None:
    chart = Chart("curve-loss", "Loss", "lines", "epoch", "Loss", (Series("a", [1], [1.0]),))
    assert as_plotly(chart)["layout"]["xaxis"]["tickvals"] == [1]


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
