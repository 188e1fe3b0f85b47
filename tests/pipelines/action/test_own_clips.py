"""Own clips through the command line: several classes a clip, weights, balanced classes, time spans."""

import csv
import json
import shutil
from pathlib import Path

import numpy as np
import pytest
import torch
from tiny_ucf101 import COLOURS, synthesize_tiny_ucf101
from torch.nn import functional as F

from specvid import cli
from specvid.datasets.clips.samplers import EpochSampler
from specvid.datasets.clips.spec import ClipSpec
from specvid.datasets.clips.transforms import train_transform
from specvid.datasets.clips.videos import TrainClips
from specvid.datasets.layouts.registry import read_action
from specvid.pipelines.action.config import ActionClipsConfig
from specvid.pipelines.action.data import class_shares, read_lists
from specvid.pipelines.action.train import clip_loss
from specvid.pipelines.engine.run import RunFolder

QUICK = "--frames 4 --stride 1 --size 16 --resize 20 --batch-size 6 --workers 0 --device cpu --no-tensorboard"


@pytest.fixture(scope="module")
def table(tmp_path_factory) -> Path:
    """The clips of a small UCF-101 as a table: each has its colour for a class, and is warm or cold besides."""
    root = synthesize_tiny_ucf101(tmp_path_factory.mktemp("data") / "tiny")
    data = read_action("ucf101", root)
    path = root / "clips.csv"
    names = {name: f"{name}|{'warm' if number == 0 else 'cold'}" for number, name in enumerate(data.classes)}
    with path.open("w", newline="", encoding="utf-8") as file:
        writer = csv.writer(file)
        writer.writerow(["path", "label", "set", "group", "weight"])
        for part, records in (("train", data.train), ("test", data.test)):
            for record in records:
                own = names[data.classes[record.label]]
                writer.writerow([record.path.relative_to(root), own, part, record.group, 1 + record.label])
    return path


@pytest.fixture(scope="module")
def run(table: Path, tmp_path_factory) -> RunFolder:
    runs = tmp_path_factory.mktemp("runs")
    words = f"train action --data {table} --dataset table --model r3d_tiny --runs {runs} --name own {QUICK}"
    assert cli.run([*words.split(), "--epochs", "8", "--lr", "0.01", "--val-fraction", "0.3"]) == 0
    return RunFolder(runs / "own")


def test_several_classes_a_clip(run: RunFolder, capsys) -> None:
    (entry,) = run.results()["evaluations"]
    assert set(entry["per_class"]) == {*COLOURS, "cold", "warm"} and "top1" not in entry
    assert entry["map"] == 1.0 and entry["f1"] > 0.9  # colours are easy: whoever does not learn them is broken
    assert entry["thresholds_chosen"]
    assert "highest mAP on the validation part" in run.results()["training"]["best_is"]
    meta = json.loads((run.path / "last/meta.json").read_text())
    assert meta["multilabel"] and dict(zip(meta["classes"], meta["thresholds"], strict=True)) == entry["thresholds"]
    folder = run.path / "eval" / "split1-last-1x1"
    rows = list(csv.DictReader((folder / "clips.csv").open(encoding="utf-8")))
    assert all(row["classes"].count("|") == 1 and len(row["probabilities"].split("|")) == 5 for row in rows)
    assert (folder / "average_precision.png").is_file() and not (folder / "confusion.png").exists()
    assert cli.run(["eval", "action", "--run", str(run.path), "--clips", "1", "--device", "cpu", "--workers", "0"]) == 0
    again = capsys.readouterr().out
    assert "mAP 100.00 % (clips, split 1, 1 clip x 1 crop" in again and "chosen on the validation part" in again


def test_predictions_name_what_reaches_its_threshold(run: RunFolder, table: Path, capsys) -> None:
    record = read_action("table", table).test[0]
    words = ["predict", str(record.path), "--run", str(run.path), "--device", "cpu", "--workers", "0"]
    assert cli.run([*words, "--json"]) == 0
    found = json.loads(capsys.readouterr().out)
    assert len(found["classes"]) == 5 and len(found["decided"]) == 2
    assert cli.run(words) == 0
    assert capsys.readouterr().out.count("*") == 2


def test_binary_cross_entropy_with_weights() -> None:
    torch.manual_seed(0)
    model = torch.nn.Sequential(torch.nn.Flatten(), torch.nn.Linear(24, 3))
    video, label = torch.randn(4, 3, 2, 2, 2), torch.tensor([[1, 0, 1], [0, 0, 0], [1, 1, 1], [0, 1, 0]]).float()
    weight = torch.tensor([0.5, 2.0, 1.0, 0.5])
    loss, logits = clip_loss(model, video, label, weight=weight)
    share = torch.sigmoid(logits)
    by_hand = -(label * share.log() + (1 - label) * (1 - share).log()).mean(dim=1)
    torch.testing.assert_close(loss, (by_hand * weight).mean())
    classes = torch.tensor([0, 2, 1, 1])
    loss, logits = clip_loss(model, video, classes, weight=weight)
    torch.testing.assert_close(loss, (F.cross_entropy(logits, classes, reduction="none") * weight).mean())


def test_weights_and_targets_reach_the_batch(table: Path) -> None:
    data, spec = read_action("table", table), ClipSpec(4, 1, 16, 20)
    clips = TrainClips(data.train, spec, transform=train_transform(spec), classes=len(data.classes))
    for number in (0, len(data.train) - 1):
        item = clips[0, number]
        assert item["label"].nonzero().flatten().tolist() == sorted(data.train[number].labels)
        mean = np.mean([record.weight for record in data.train])
        assert item["weight"].item() == pytest.approx(data.train[number].weight / mean)


def test_what_is_odd_about_own_lists_is_said_and_logged(table: Path, tmp_path: Path, capsys) -> None:
    """Names like pieces of one source, a class without training clips, an end far behind that of the video."""
    video = read_action("ucf101", table.parent).train[0].path
    rows = ["f1_part1.avi,a,train,", "f2_part1.avi,a,train,500", "f1_part2.avi,a,test,", "f2_part2.avi,c,test,"]
    for row in rows:
        shutil.copy(video, tmp_path / row.split(",")[0])
    (tmp_path / "t.csv").write_text("\n".join(["path,label,set,end_s", *rows]))
    words = f"train action --data {tmp_path / 't.csv'} --dataset table --model r3d_tiny --runs {tmp_path / 'runs'}"
    quick = QUICK.replace("--batch-size 6", "--batch-size 2").split()
    assert cli.run([*words.split(), *quick, "--epochs", "1", "--name", "odd"]) == 0
    printed, logged = capsys.readouterr().err, (tmp_path / "runs/odd/log.txt").read_text()
    for said in (
        "clips look like parts of one source by their names, e.g. f1_part1.avi and f1_part2.avi (1 such source).",
        "all clips to train on are of one class, a: ",
        "1 class to validate or to test on without a clip to train on, which cannot be learned: c",
        f"read, though not as header or list announce: {tmp_path / 'f2_part1.avi'}: the list ends the clip at 500 s,",
    ):
        assert f"warning: {said}" in printed and f"WARNING {said}" in logged
    assert cli.run(f"eval action --run {tmp_path / 'runs/odd'} --clips 1 --device cpu --workers 0".split()) == 0
    assert "warning: all clips to train on are of one class, a: " in capsys.readouterr().err


@pytest.mark.parametrize("part", ["val", "test"])
def test_a_part_without_any_class_is_refused_before_the_training(tmp_path: Path, part: str, capsys) -> None:
    rows = ["1.mp4,a|b,train", "2.mp4,a,val", "3.mp4,b,test", f"4.mp4,,{part}"]
    rows = [row for row in rows if not (row.endswith(part) and ",," not in row)]
    (tmp_path / "t.csv").write_text("\n".join(["path,label,set", *rows]))
    with pytest.raises(ValueError, match=f"none of the 1 clips of the {part}.* part has a class"):
        read_lists(ActionClipsConfig(dataset="table", data=str(tmp_path / "t.csv")))


@pytest.mark.parametrize("balance", ["sampler", "loss"])
def test_balance_is_for_one_class_a_clip(table: Path, balance: str) -> None:
    with pytest.raises(ValueError, match="is for clips of one class each"):
        read_lists(ActionClipsConfig(dataset="table", data=str(table), balance=balance))


def test_balanced_classes_are_drawn_alike() -> None:
    labels = np.array([0] * 90 + [1] * 10)
    weights = [1 / (labels == label).mean() for label in labels]
    drawn = [labels[i] for epoch in range(30) for _, i in _epoch(EpochSampler(100, weights=weights), epoch)]
    assert 0.45 < np.mean(drawn) < 0.55
    first = [list(_epoch(EpochSampler(100, weights=weights, rank=rank, world=2), 0)) for rank in (0, 1)]
    assert all(len(own) == 50 for own in first)
    assert sorted(first[0] + first[1]) == sorted(_epoch(EpochSampler(100, weights=weights), 0))
    with pytest.raises(ValueError, match="2 weights for 100 samples"):
        EpochSampler(100, weights=[1, 1])


def _epoch(sampler: EpochSampler, epoch: int):
    sampler.set_epoch(epoch)
    return iter(sampler)


def test_shares_of_classes(table: Path) -> None:
    records = read_action("ucf101", table.parent).train
    shares = class_shares(records)
    assert sum(1 / share / len(records) for share in shares) == pytest.approx(len(COLOURS))


@pytest.mark.parametrize("balance", ["sampler", "loss"])
def test_a_balanced_training_runs(table: Path, tmp_path: Path, balance: str) -> None:
    words = f"train action --data {table.parent} --model r3d_tiny --runs {tmp_path} --name b {QUICK} --epochs 1"
    assert cli.run([*words.split(), "--balance", balance]) == 0


def test_a_recipe_s_batch_gives_way_to_a_small_set(table: Path, tmp_path: Path, capsys) -> None:
    words = f"train action --data {table} --dataset table --model r3d_tiny --runs {tmp_path} --recipe probe --epochs 1"
    quick = QUICK.replace("--batch-size 6", "")
    assert cli.run([*words.split(), *quick.split(), "--name", "own"]) == 0
    said = capsys.readouterr().err
    assert "1 epoch x 1 step x 18 clips" in said
    assert "a step takes all the training clips: they are fewer than the 32 of the recipe" in said
    assert cli.run([*words.split(), *quick.split(), "--name", "asked", "--batch-size", "19"]) == 2
    assert "batch_size 19 is more than the 18 training clips" in capsys.readouterr().err
