"""Ranked strips in the page: from the features that an evaluation saves, with pictures where the data still are."""

import json
import re
import shutil

import numpy as np
import pytest
from tiny_reid import synthesize_tiny_mars

from specvid.config import to_dict
from specvid.datasets.clips.spec import ClipSpec
from specvid.datasets.layouts.registry import read_reid
from specvid.pipelines.engine.run import RunFolder
from specvid.pipelines.reid.config import ReidClipsConfig, ReidConfig
from specvid.pipelines.reid.features import TrackletFeatures
from specvid.pipelines.reid.results import ReidResult
from specvid.pipelines.reporting.build import make_report
from specvid.pipelines.reporting.page import write_page


@pytest.fixture(scope="module")
def run(tmp_path_factory):
    """A run whose features are drawn, scored as an evaluation does it."""
    root = tmp_path_factory.mktemp("reid")
    folder, data = RunFolder(root / "run"), synthesize_tiny_mars(root / "mars")
    config = to_dict(ReidConfig(name="run", clips=ReidClipsConfig(data=str(data), dataset="mars")))
    folder.start({"specvid": "0.1.0", "task": "reid", **config})
    test = read_reid("mars", data)
    drawn = np.random.default_rng(0).standard_normal((len(test.test), 5)).astype(np.float32)
    spec = ClipSpec(frames=4, stride=1, size=(24, 12), resize=(24, 12))
    ReidResult.of(test, TrackletFeatures(drawn, [], []), checkpoint="last", sampling="all", spec=spec).save(folder)
    folder.write_results({**folder.results(), "task": "reid", "run": "run", "config": config})
    return folder.path


def part_of(path):
    text = path.read_text()
    return text, json.loads(re.findall(r'id="data">(.*?)</script>', text, re.S)[0])["strips"]["run0-eval0"]


def test_strips_have_pictures_scores_and_frames(run, tmp_path) -> None:
    report = make_report([run])
    assert not [text for text in report.runs[0].missing if "eval0" in text]
    write_page(report, tmp_path / "out.html")
    text, part = part_of(tmp_path / "out.html")
    with (run / "eval/split1-last-all/queries-mars.csv").open() as file:
        aps = [float(line.split(",")[6]) for line in list(file)[1:]]
    assert [query["ap"] for query in part["queries"]] == sorted(aps)
    assert part["protocol"] == "mars" and part["total"] == len(aps)
    assert all(part["tracklets"][query["t"]]["s"] >= 0 for query in part["queries"])
    assert all(picture.startswith("data:image/webp;base64,") for picture in part["pictures"])
    assert {kind for query in part["queries"] for _, _, kind in query["list"]} == {0, 1, 2}
    assert "Camera labels (" in text and "trapezoidal AP" in text
    charts = {chart.key for chart in report.runs[0].charts}
    assert {"eval0-cmc", "eval0-ap", "eval0-cameras"} <= charts
    (cameras,) = [chart for chart in report.runs[0].charts if chart.key == "eval0-cameras"]
    assert cameras.of[0][0].endswith((" query", " queries"))


def test_an_ap_that_is_no_number_is_named(run, tmp_path) -> None:
    copy = shutil.copytree(run, tmp_path / "run")
    table = copy / "eval/split1-last-all/queries-mars.csv"
    heading, first, *rest = table.read_text().splitlines()
    cells = first.split(",")
    cells[heading.split(",").index("ap")] = "nan"
    table.write_text("\n".join([heading, ",".join(cells), *rest]) + "\n")
    missing = make_report([copy]).runs[0].missing
    assert any("AP of 1 query is no number in queries-mars.csv" in text for text in missing)


def test_without_the_data_or_the_features_it_opens_and_says_so(run, tmp_path) -> None:
    copy = tmp_path / "run"
    shutil.copytree(run, copy)
    (copy / "eval/split1-last-all/features.parquet").write_bytes(b"no parquet")
    report = make_report([copy], data=str(tmp_path / "gone"))
    missing = " ".join(report.runs[0].missing)
    assert "ranked strips: " in missing and "gone" in missing
    assert "strips" not in report.runs[0].islands
    write_page(report, tmp_path / "out.html")
    shutil.rmtree(copy / "eval")
    assert "so there are no ranked strips" in " ".join(make_report([copy]).runs[0].missing)


def test_pictures_of_another_part_of_the_same_folder_are_shown_and_others_are_not(run, tmp_path) -> None:
    """As after a training with --limit, or on another data set."""
    results = json.loads((run / "results.json").read_text())
    data = json.loads((run / "config.json").read_text())["clips"]["data"]
    for source, pictures in ((data, True), ("/elsewhere", False)):
        copy = tmp_path / ("same" if pictures else "other")
        shutil.copytree(run, copy)
        entries = [results["evaluations"][0] | {"elsewhere": True, "source": source}]
        (copy / "results.json").write_text(json.dumps(results | {"evaluations": entries}))
        entry = copy / "eval/split1-last-all/results.json"
        entry.write_text(json.dumps(entries[0]))
        write_page(make_report([copy]), tmp_path / "out.html")
        part = part_of(tmp_path / "out.html")[1]
        assert bool(part["pictures"]) == pictures
        assert ("another data set" in part["why"]) != pictures
