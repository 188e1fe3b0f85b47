"""The rows of an ablation whose runs were scored again: of the same test clips in the same views, or refused."""

import csv
import json
import shutil
from pathlib import Path

import pytest
from tiny_motion import synthesize_tiny_motion

from specvid import cli
from specvid.pipelines.engine.run import RunFolder

QUICK = [
    *("dataset=folders", "model=r3d_tiny", "frames=2", "size=24", "resize=28", "epochs=1", "batch-size=4"),
    *("workers=0", "device=cpu", "precision=fp32", "tensorboard=false"),
]


def words(data: Path, runs: Path, *more: str) -> list[str]:
    own = ["--task", "action", "--blocks", "snl@layer2.-1", "--jobs", "1", "--runs", str(runs)]
    seeds = [] if "--seeds" in more else ["--seeds", "0", "1"]
    return ["ablate", "--set", *QUICK, f"data={data}", "limit=4", *own, *seeds, *more]


def tabulate(data: Path, runs: Path, *more: str) -> int:
    return cli.run(words(data, runs, "--table-only", *more))


def score(run: Path, *more: str) -> None:
    assert cli.run(["eval", "action", "--run", str(run), "--device", "cpu", "--workers", "0", *more]) == 0


def top1(runs: Path) -> dict[str, float]:
    with (runs / "ablation.csv").open(newline="") as file:
        return {row["run"]: float(row["top1"]) for row in csv.DictReader(file)}


@pytest.fixture(scope="module")
def data(tmp_path_factory):
    return synthesize_tiny_motion(tmp_path_factory.mktemp("data") / "motion", train=2, test=3)


@pytest.fixture(scope="module")
def trained(data, tmp_path_factory):
    runs = tmp_path_factory.mktemp("trained")
    assert cli.run(words(data, runs)) == 0
    return runs


@pytest.fixture
def runs(trained, tmp_path):
    return Path(shutil.copytree(trained, tmp_path / "runs"))


def test_another_score_of_a_run_is_not_its_row(data, runs, capsys):
    """The first entry of results.json counted, and an evaluation that is repeated goes to the end."""
    before = top1(runs)
    results = RunFolder(runs / "bare-seed0").results()
    (own,) = results["evaluations"]
    other = {**own, "clips": 3, "top1": 1 - own["top1"]}
    fused = {**own, "fused": ["a", "b"], "fuse": "mean", "top1": 1 - own["top1"]}
    RunFolder(runs / "bare-seed0").write_results({**results, "evaluations": [other, fused, own]})
    assert tabulate(data, runs) == 0
    assert top1(runs) == before
    assert "Scored: dataset " in (text := capsys.readouterr().out)
    of = "no more than 4 clips of each part, split 1, checkpoint last, views 1 x 1, input 2 frames x 2, "
    assert of in text
    with (runs / "ablation.csv").open(newline="") as file:
        scored = {row["scored"] for row in csv.DictReader(file)}
    assert len(scored) == 1
    assert of in (said := scored.pop())
    assert f"Scored: {said}.\n" in text


def test_figures_of_other_test_clips_are_refused(data, runs, capsys):
    """`eval` knows no limit, and its score of all clips took the place of the one of four."""
    score(runs / "bare-seed0", "--clips", "1")
    capsys.readouterr()
    before = (runs / "ablation.csv").read_bytes()
    assert tabulate(data, runs) == 2
    error = capsys.readouterr().err
    assert "bare-seed0' has no score of what its row is to be scored on" in error
    assert "no more than 4 clips of each part' -> " in error and "listed: 4 -> 12" in error
    assert (runs / "ablation.csv").read_bytes() == before
    config = str(runs / "bare-seed0" / "config.json")
    assert f"specvid train action --config {config} --resume auto" in error
    assert cli.run(["train", "action", "--config", config, "--resume", "auto"]) == 0
    assert tabulate(data, runs) == 0
    assert (runs / "ablation.csv").read_bytes() == before


def change(run: Path, **entry) -> None:
    results = RunFolder(run).results()
    results["evaluations"] = [{**own, **entry} for own in results["evaluations"]]
    RunFolder(run).write_results(results)


@pytest.mark.parametrize(
    ("entry", "why"),
    [
        ({"clips": 3}, "clips: 1 -> 3"),
        ({"crops": 3}, "crops: 1 -> 3"),
        ({"checkpoint": "best"}, "checkpoint: 'last' -> 'best'"),
        ({"split": 2}, "split: 1 -> 2"),
        ({"interpolation": "area"}, "interpolation: 'bilinear' -> 'area'"),
        ({"dataset": "UCF-101"}, "-> 'UCF-101'"),
        ({"trained_on": 2}, "has no score of a test that its weights were not trained on (trained_on: 0 -> 2)"),
        ({"scored": 3}, "are not scored on the same test, and cannot be compared: scored: '4 of 4' -> '3 of 4'"),
    ],
)
def test_what_differs_is_named(data, runs, capsys, entry, why):
    change(runs / "snl-layer2.-1-seed1", **entry)
    capsys.readouterr()
    assert tabulate(data, runs) == 2
    error = capsys.readouterr().err
    assert "snl-layer2.-1-seed1'" in error
    assert why in error


def test_runs_that_were_tested_on_other_clips_are_not_compared(data, runs, capsys):
    """A folder that grew between two trainings, whose tests have as many clips."""
    path = runs / "bare-seed1" / "lists.json"
    lists = json.loads(path.read_text())
    name, about = lists["parts"]["test"].popitem()
    lists["parts"]["test"] |= {f"another-{name}": about}
    path.write_text(json.dumps(lists))
    assert tabulate(data, runs) == 2
    assert "1 test item of its own, 1 of the other's are lacking" in capsys.readouterr().err


def test_rows_whose_settings_ask_for_other_tests_are_told_apart(data, runs, capsys):
    more = ["--variants", "", "test-clips=2", "--seeds", "0"]
    assert cli.run(words(data, runs, *more)) == 0
    text = capsys.readouterr().out
    assert "Scored of bare, snl-layer2.-1: " in text and "views 1 x 1" in text
    assert "Scored of bare-test-clips-2, snl-layer2.-1-test-clips-2: " in text and "views 2 x 1" in text


def test_figures_that_the_data_have_not_are_said_before_anything_is_trained(data, tmp_path, capsys):
    assert cli.run(words(data, tmp_path / "runs", "--metrics", "f1")) == 2
    error = capsys.readouterr().err
    assert "metric 'f1' is none of " in error
    assert "whose clips have one class each: give --metrics top1 top5 mean_class, or some of them." in error
    assert not (tmp_path / "runs").exists()
