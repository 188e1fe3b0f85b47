"""What is saved of scorings: none takes another's figures or files."""

import csv
import dataclasses

import numpy as np
import pytest
from tiny_reid import synthesize_tiny_mars, synthesize_tiny_prid

from specvid.datasets.clips.spec import ClipSpec
from specvid.datasets.layouts.registry import read_reid
from specvid.eval import KReciprocal, load_features
from specvid.pipelines.demo.reid import final_score
from specvid.pipelines.engine.run import RunFolder
from specvid.pipelines.reid.features import TrackletFeatures
from specvid.pipelines.reid.results import ReidResult
from specvid.pipelines.reporting.table import read_figures

MARS = ("mars", "mars-ap", "mars-noquery")


@pytest.fixture(scope="module")
def sets(tmp_path_factory):
    root = tmp_path_factory.mktemp("sets")
    return {
        "mars": read_reid("mars", synthesize_tiny_mars(root / "mars")),
        "prid2011": read_reid("prid2011", synthesize_tiny_prid(root / "prid")),
    }


def score(data, *, seed=0, sampling="all", **options):
    features = np.random.default_rng(seed).standard_normal((len(data.test), 5)).astype(np.float32)
    spec, found = ClipSpec(frames=4, stride=1, size=(24, 12), resize=(24, 12)), TrackletFeatures(features, [], [])
    return ReidResult.of(data, found, checkpoint="last", sampling=sampling, spec=spec, **options)


def figures(run):
    return [entry["protocols"] for entry in run.results()["evaluations"]]


def test_a_narrower_scoring_keeps_the_other_protocols_of_the_same_features(tmp_path, sets):
    run = RunFolder(tmp_path)
    score(sets["mars"]).save(run)
    (before,) = figures(run)
    folder = score(sets["mars"], protocols=("mars",)).save(run)
    assert figures(run) == [before]
    assert list(before) == list(MARS)
    assert sorted(path.name for path in folder.glob("*.csv")) == sorted(f"queries-{name}.csv" for name in MARS)
    # Other features, as of a training that went on: all figures are of them.
    again = score(sets["mars"], seed=1, protocols=("mars-ap",))
    again.save(run)
    (after,) = figures(run)
    assert list(after) == list(MARS)
    for name in MARS:
        assert after[name]["mAP"] == again.features.score(name).mAP != before[name]["mAP"]
        with (folder / f"queries-{name}.csv").open() as file:
            assert np.mean([float(row["ap"]) for row in csv.DictReader(file)]) == pytest.approx(after[name]["mAP"])
    # The demo finds its protocol whatever the run was scored under since.
    run.write_results({**run.results(), "config": {"clips": {"split": 1}, "test_sampling": "all"}})
    assert final_score(run.results()) == after["mars-ap"]


def test_evaluations_leave_each_other_alone(tmp_path, sets):
    run = RunFolder(tmp_path)
    mars, prid = sets["mars"], sets["prid2011"]
    whole = dataclasses.replace(prid, title="PRID-2011", source="")
    own = [dataclasses.replace(prid, title="frames.csv", source=f"/data/{place}/frames.csv") for place in "ab"]
    other = dataclasses.replace(mars, source="/data/other")  # of the same size, so of the same title
    scored = [
        score(mars),
        score(mars, sampling="even"),
        score(mars, rerank=KReciprocal()),
        score(mars, rerank=KReciprocal(5, 3)),
        *(score(data, elsewhere=True) for data in (whole, *own, other)),
    ]
    folders = [one.save(run) for one in scored]
    assert [folder.name for folder in folders[:5]] == [
        "split1-last-all",
        "split1-last-even",
        "split1-last-all-reranked",
        "split1-last-all-reranked-5-3-0.3",
        "split1-last-all-on-PRID-2011",
    ]
    assert len(set(folders)) == len(figures(run)) == len(scored)
    for one, folder, kept in zip(scored, folders, figures(run), strict=True):
        assert np.array_equal(load_features(folder / "features.parquet").query, one.features.query)
        assert kept == {score.protocol: score.as_dict() for score in one.scores}
    run.write_results({**run.results(), "config": {"clips": {"split": 1}, "test_sampling": "all"}})
    assert final_score(run.results())["mAP"] == scored[0].scores[1].mAP
    rows = {tuple(figure.context.items()) for figure in read_figures(tmp_path / "results.json")}
    assert len(rows) == sum(len(one.scores) for one in scored)  # the report does not take one for another either
