"""Late fusion of several runs against NumPy."""

import csv
import json
from pathlib import Path

import numpy as np
import pytest
from tiny_ucf101 import synthesize_tiny_ucf101

from specvid import cli
from specvid.datasets.layouts.action_set import VideoRecord
from specvid.eval.classification import score_classification
from specvid.pipelines.action.data import ActionLists
from specvid.pipelines.action.fusion import fuse
from specvid.pipelines.action.results import ClipScores, SingleLabelResult

QUICK = "--frames 4 --stride 1 --size 16 --resize 20 --batch-size 6 --workers 0 --device cpu --no-tensorboard"


def result(probabilities: np.ndarray, errors=("", "", ""), split: int = 1) -> SingleLabelResult:
    test = [VideoRecord(Path(f"{i}.avi"), f"{i}.avi", label) for i, label in enumerate((0, 1, 1))]
    lists = ActionLists("Set", False, split, ["a", "b"], [], [], test)
    score = score_classification(probabilities, [record.label for record in test])
    about = {"dataset": "Set", "split": split, "checkpoint": "last", "clips": 1, "crops": 1, "trained_on": 0}
    return SingleLabelResult(lists, ClipScores(probabilities, list(errors), [""] * 3, [""] * 3), score, about)


def draw(seed: int) -> np.ndarray:
    shares = np.random.default_rng(seed).random((3, 2))
    return shares / shares.sum(axis=1, keepdims=True)


def test_fusion_equals_numpy() -> None:
    one, two, three = draw(0), draw(1), draw(2)
    results = {"one": result(one), "two": result(two), "three": result(three)}
    np.testing.assert_allclose(fuse(results, "mean").scores.probabilities, np.mean([one, two, three], axis=0))
    product = (one * two * three) ** (1 / 3)
    expected = product / product.sum(axis=1, keepdims=True)
    fused = fuse(results, "geometric")
    np.testing.assert_allclose(fused.scores.probabilities, expected)
    assert fused.score.top1 == np.mean(expected.argmax(axis=1) == [0, 1, 1])
    assert "geometric of 3 runs" in fused.describe("all")


def test_what_one_could_not_read_has_no_prediction() -> None:
    lost = draw(0)
    lost[1] = np.nan
    fused = fuse({"one": result(lost, ("", "1.avi: is damaged", "")), "two": result(draw(1))}, "mean")
    assert fused.score.missing == 1 and fused.scores.errors == ["", "1.avi: is damaged", ""]


def test_what_cannot_be_fused() -> None:
    with pytest.raises(ValueError, match="several runs on one split"):
        fuse({"one": result(draw(0))}, "mean")
    with pytest.raises(ValueError, match="one and two are of different splits"):
        fuse({"one": result(draw(0)), "two": result(draw(1), split=2)}, "mean")


def test_from_the_command_line(tmp_path: Path, capsys) -> None:
    data = synthesize_tiny_ucf101(tmp_path / "tiny")
    for seed in (0, 1):
        words = f"train action --data {data} --model r3d_tiny --runs {tmp_path} --name r{seed} --seed {seed} {QUICK}"
        assert cli.run([*words.split(), "--epochs", "1"]) == 0
    capsys.readouterr()
    words = f"eval action --run {tmp_path}/r0 {tmp_path}/r1 --fuse mean --clips 1 --device cpu --workers 0"
    assert cli.run(words.split()) == 0
    assert "bilinear, mean of 2 runs, 6 of 6 clips scored" in capsys.readouterr().out
    alone = cli.run(f"eval action --run {tmp_path}/r0 --fuse mean --clips 2 --device cpu --workers 0".split())
    assert alone == 2 and "several runs on one split" in capsys.readouterr().err
    assert not (tmp_path / "r0" / "eval" / "split1-last-2x1").exists()  # refused before anything was scored
    folders = [tmp_path / name / "eval" / "split1-last-1x1" for name in ("r0", "r1", "fused+r0+r1")]
    one, two, fused = (list(csv.DictReader((f / "clips.csv").open())) for f in folders)
    for a, b, both in zip(one, two, fused, strict=True):
        mean = (float(a["p_class"]) + float(b["p_class"])) / 2
        assert float(both["p_class"]) == pytest.approx(mean, abs=2e-6)
    entry = json.loads((tmp_path / "fused+r0+r1" / "results.json").read_text())["evaluations"][0]
    assert len(entry["fused"]) == 2
    assert cli.run(["report", str(tmp_path), "--metrics", "top1"]) == 0
    head, _, *rows = capsys.readouterr().out.splitlines()
    assert head.split()[:4] == ["model", "blocks", "dataset", "split"]  # a fused row makes no setting differ
    assert [f"mean of {tmp_path}/r0, {tmp_path}/r1" in row for row in rows].count(True) == 1
    assert all("  6 of 6  " in row for row in rows)
