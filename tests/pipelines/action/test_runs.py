"""Training, scoring and using an action recogniser on a few real video files, through the command line."""

import csv
import importlib.util
import json
import shutil
from pathlib import Path

import numpy as np
import pytest
import torch
from safetensors.torch import load_file
from tiny_ucf101 import COLOURS, synthesize_tiny_ucf101, write_video

from specvid import cli, files
from specvid.datasets.synthetic.encode import damage, write_audio_only
from specvid.pipelines.action.config import ActionClipsConfig
from specvid.pipelines.action.data import hold_out, input_changes, read_lists
from specvid.pipelines.engine.evaluation import pair_runs
from specvid.pipelines.engine.run import RunFolder
from specvid.pipelines.networks.config import NetworkConfig
from specvid.pipelines.networks.opening import open_network

QUICK = "--frames 4 --stride 1 --size 16 --resize 20 --batch-size 6 --workers 0 --device cpu --no-tensorboard "
QUICK += "--precision fp32"


@pytest.fixture(scope="module")
def data(tmp_path_factory) -> Path:
    return synthesize_tiny_ucf101(tmp_path_factory.mktemp("data") / "tiny")


@pytest.fixture(scope="module")
def runs(data: Path, tmp_path_factory) -> Path:
    """Runs a-s1, a-s2, a-s3, one per split, with a block and a validation part."""
    runs = tmp_path_factory.mktemp("runs")
    for split in (1, 2, 3):
        assert train(data, runs, f"--name a-s{split} --split {split} --epochs 6 --lr 0.01 --val-fraction 0.3") == 0
    return runs


def train(data: Path, runs: Path, words: str, *, blocks: str = "snl@layer2.-1") -> int:
    model = ["--model", "r3d_tiny", "--blocks", blocks, "--data", str(data), "--runs", str(runs)]
    return cli.run(["train", "action", *model, *QUICK.split(), *words.split()])


def evaluate(words: str) -> int:
    return cli.run(["eval", "action", *words.split(), "--device", "cpu", "--workers", "0"])


def rows(path: Path) -> list[dict]:
    with path.open(newline="", encoding="utf-8") as file:
        return list(csv.DictReader(file))


def test_a_run_learns_and_keeps_what_it_did(runs: Path, data: Path) -> None:
    run = RunFolder(runs / "a-s1")
    names = {"config.json", "metrics.jsonl", "results.json", "last", "best", "log.txt", "eval"}
    assert names <= {path.name for path in run.path.iterdir()}
    results = run.results()
    net = {"model": "r3d_tiny", "blocks": "snl@layer2.-1", "conv": "", "weights": "", "dropout": 0.0}
    assert results["config"]["net"] == net
    (entry,) = [entry for entry in results["evaluations"] if entry["clips"] == 1]
    assert (entry["dataset"], entry["split"]) == ("UCF-101 cut down to 3 of 101 classes", 1)
    assert (entry["listed"], entry["scored"], entry["unreadable"], entry["trained_on"]) == (6, 6, [], 0)
    assert entry["top1"] == 1.0  # colours are easy: whoever does not learn them is broken
    assert entry["per_class"] == dict.fromkeys(COLOURS, 1.0)
    assert "highest top-1 on the validation part" in results["training"]["best_is"]
    assert json.loads((run.path / "best/meta.json").read_text())["figures"]["val_top1"] == max(
        line["val_top1"] for line in run.lines()
    )
    assert "epoch 6/6" in (run.path / "log.txt").read_text()


def test_the_figure_is_printed_with_data_split_views_and_clips(runs: Path, capsys) -> None:
    assert evaluate(f"--run {runs}/a-s1 --clips 2 --crops 3") == 0
    out = capsys.readouterr().out
    context = (
        "(UCF-101 cut down to 3 of 101 classes, split 1, 2 clips x 3 crops, CLIP, 6 of 6 clips scored, 0 unreadable)"
    )
    clip = "4 frames x 1, 16 x 16 px (short side 20 before the crop), bilinear"
    assert f"top-1 100.00 % {context.replace('CLIP', clip)}" in out
    folder = runs / "a-s1/eval/split1-last-2x3"
    table = rows(folder / "clips.csv")
    lists = read_lists(ActionClipsConfig(data=RunFolder(runs / "a-s1").config()["clips"]["data"]))
    assert [row["clip"] for row in table] == [record.name for record in lists.test]
    assert all(row["correct"] == "1" and float(row["p_class"]) > 0.5 for row in table)
    assert (folder / "confusion.png").read_bytes().startswith(b"\x89PNG")


def test_three_splits_and_their_mean(runs: Path, capsys) -> None:
    assert evaluate(f"--run {runs}/a-s{{split}} --splits 1,2,3 --clips 1") == 0
    text = capsys.readouterr().out
    assert all(f"split {split}, 1 clip x 1 crop" in text for split in (1, 2, 3))
    assert "mean over splits 1, 2, 3: top-1 " in text
    assert "18 of 18 clips scored" in text
    assert evaluate(f"--run {runs}/a-s3 {runs}/a-s1 {runs}/a-s2 --splits 1,2,3 --clips 1 --json") == 0
    found = json.loads(capsys.readouterr().out)
    assert [entry["split"] for entry in found["evaluations"]] == [1, 2, 3]
    mean = sum(entry["top1"] for entry in found["evaluations"]) / 3
    assert found["mean"]["top1"] == pytest.approx(mean)


def test_a_run_is_not_scored_on_clips_it_was_trained_on(runs: Path, capsys) -> None:
    for words in (f"--run {runs}/a-s1 --split 2", f"--run {runs}/a-s1 --splits 1,2,3", f"--run {runs}/a-s2 --splits 1"):
        assert evaluate(f"{words} --clips 1") == 2
        assert "has no run that was trained on it" in capsys.readouterr().err
    assert evaluate(f"--run {runs}/a-s1 {runs}/a-s2 --splits 1") == 2
    assert "was trained on split 2, which is not among --splits [1]" in capsys.readouterr().err
    assert evaluate(f"--run {runs}/a-s1 --split 2 --clips 1 --force") == 0
    assert "NOT HONEST: 6 of these clips were trained on" in capsys.readouterr().out


def test_pairs() -> None:
    assert pair_runs(["a", "b"], [2, 2], []) == [(0, 2), (1, 2)]
    assert pair_runs(["a", "b", "c"], [3, 1, 2], [1, 2, 3]) == [(1, 1), (2, 2), (0, 3)]
    assert pair_runs(["a", "b"], [1, 1], [1]) == [(0, 1), (1, 1)]  # two seeds of a split
    assert pair_runs(["a"], [1], [1, 2], any_split=True) == [(0, 1), (0, 2)]


def test_best_says_what_selected_it(runs: Path, data: Path, tmp_path: Path, capsys) -> None:
    assert evaluate(f"--run {runs}/a-s1 --checkpoint best --clips 1") == 0
    assert "best epoch (highest top-1 on the validation part (6 clips held out" in capsys.readouterr().out
    assert train(data, tmp_path, "--name b --epochs 1") == 0
    assert "the test part selects nothing" in RunFolder(tmp_path / "b").meta("best")["best_is"]


def test_the_config_of_a_run_trains_it_again(runs: Path, tmp_path: Path, capsys) -> None:
    config = runs / "a-s1/config.json"
    assert cli.run(["train", "action", "--config", str(config), "--runs", str(tmp_path)]) == 0
    (again,) = tmp_path.iterdir()
    first, second = (load_file(run / "last/model.safetensors") for run in (runs / "a-s1", again))
    assert all(torch.equal(first[name], second[name]) for name in first)
    assert (
        cli.run(["train", "action", "--config", str(config), "--runs", str(tmp_path), "--seed", "1", "--name", "o"])
        == 0
    )
    other = load_file(tmp_path / "o/last/model.safetensors")
    assert not all(torch.equal(first[name], other[name]) for name in first)


def test_workers_change_nothing(runs: Path, tmp_path: Path) -> None:
    config = runs / "a-s1/config.json"
    words = ["--config", str(config), "--runs", str(tmp_path), "--name", "w", "--workers", "2"]
    assert cli.run(["train", "action", *words]) == 0
    first, second = (load_file(run / "last/model.safetensors") for run in (runs / "a-s1", tmp_path / "w"))
    assert all(torch.equal(first[name], second[name]) for name in first)


def test_a_run_is_never_overwritten(runs: Path, data: Path, tmp_path: Path, capsys, monkeypatch) -> None:
    assert train(data, runs, "--name a-s1 --epochs 6") == 2
    assert "exists already. Continue it with --resume auto" in capsys.readouterr().err
    assert train(data, runs, "--name a-s1 --epochs 6 --lr 0.01 --val-fraction 0.3 --seed 3 --resume auto") == 2
    assert "was started with other settings (seed: 0 -> 3)" in capsys.readouterr().err
    for expected in ("ucf101-s1-r3d_tiny-bare-seed0", "ucf101-s1-r3d_tiny-bare-seed0-2"):
        assert train(data, tmp_path, "--epochs 1", blocks="") == 0
        assert (tmp_path / expected / "results.json").exists()
    monkeypatch.setattr(files, "_ABOUT_TO_END", 0.1)
    with files.only_writer(runs / "a-s1"):  # another job trains it
        assert train(data, runs, "--name a-s1 --epochs 6 --lr 0.01 --val-fraction 0.3 --resume auto") == 2
    assert "a-s1 is being written by another process" in capsys.readouterr().err


@pytest.mark.parametrize("schedule", ["constant", "step --milestones 1"])
def test_a_finished_run_gets_more_epochs(schedule: str, data: Path, tmp_path: Path) -> None:
    words = f"--schedule {schedule} --warmup 0 --lr 0.01"
    assert train(data, tmp_path, f"--name whole --epochs 4 {words}".replace("milestones 1", "milestones 1 3")) == 0
    assert train(data, tmp_path, f"--name a --epochs 2 {words}") == 0
    words = words.replace("milestones 1", "milestones 1 3")
    assert train(data, tmp_path, f"--name a --epochs 4 {words} --resume auto") == 0
    whole, more = (RunFolder(tmp_path / name) for name in ("whole", "a"))
    first, second = (load_file(run.path / "last/model.safetensors") for run in (whole, more))
    assert all(torch.equal(first[name], second[name]) for name in first)
    assert whole.lines() == more.lines() and more.config()["train"]["epochs"] == 4
    assert more.results()["training"]["epochs"] == 4


def test_a_schedule_of_all_epochs_gets_no_more_of_them(data: Path, tmp_path: Path, capsys) -> None:
    assert train(data, tmp_path, "--name a --epochs 2") == 0
    assert train(data, tmp_path, "--name a --epochs 3 --resume auto") == 2
    message = capsys.readouterr().err
    assert "was started with epochs = 2, not 3: its schedule 'onecycle'" in message
    command = message.partition("specvid train")[2].split()  # what it says can be done
    assert cli.run(["train", *command, "--runs", str(tmp_path)]) == 0
    assert len(RunFolder(tmp_path / "a-2").lines()) == 1


def test_a_finished_run_is_only_scored_again(runs: Path, data: Path) -> None:
    before = (runs / "a-s1/last/model.safetensors").stat().st_mtime_ns
    assert train(data, runs, "--name a-s1 --epochs 6 --lr 0.01 --val-fraction 0.3 --resume auto --workers 1") == 0
    assert (runs / "a-s1/last/model.safetensors").stat().st_mtime_ns == before
    assert len(RunFolder(runs / "a-s1").lines()) == 6


@pytest.fixture(scope="module")
def damaged(tmp_path_factory) -> Path:
    """A data set with a clip that is damaged, one empty, one audio only, one missing, on both sides of split 1."""
    data = synthesize_tiny_ucf101(tmp_path_factory.mktemp("damaged") / "tiny", groups=5, clips=2, frames=10)
    for group in (1, 2):
        videos = data / "videos"
        damage(videos / f"Red/v_Red_g0{group}_c01.avi", start=0.0, share=1.0)
        (videos / f"Red/v_Red_g0{group}_c02.avi").write_bytes(b"")
        write_audio_only(videos / f"Green/v_Green_g0{group}_c01.avi")
        (videos / f"Green/v_Green_g0{group}_c02.avi").unlink()
    return data


def test_unreadable_clips_are_named_and_counted_never_dropped(damaged: Path, tmp_path: Path, capsys) -> None:
    words = "--name d --epochs 2 --frames 12 --lr 0.01"  # longer than any of the videos: they are looped
    assert train(damaged, tmp_path, words) == 0
    out, err = capsys.readouterr()
    for name, reason in (("Red/v_Red_g02_c02.avi", "empty"), ("Green/v_Green_g02_c01.avi", "no video")):
        (line,) = [line for line in err.splitlines() if name in line and "stands in" in line]  # once, not once an epoch
        assert reason in line
    assert "1 of 24 train clips are missing" in err
    assert err.count("frames come more than once: ") == 10  # named once; the others in the first line of metrics.jsonl
    first, second = RunFolder(tmp_path / "d").lines()
    assert (len(first["repeated_files"]), second["repeated_files"]) == (20, [])
    assert all(
        text.endswith(".avi: 10 frames, fewer than the 12 of a clip: it is played again from its start")
        for text in first["repeated_files"]
    )
    for line in RunFolder(tmp_path / "d").lines():
        assert line["repeated"] == 24  # whatever stands in is short as well
        assert line["unreadable"] >= len(line["unreadable_files"]) == 4
        assert line["clips"] == 24
    (entry,) = RunFolder(tmp_path / "d").results()["evaluations"]
    assert (entry["listed"], entry["scored"]) == (6, 2)
    assert sorted(entry["unreadable"]) == [
        "Green/v_Green_g01_c01.avi",
        "Green/v_Green_g01_c02.avi",
        "Red/v_Red_g01_c01.avi",
        "Red/v_Red_g01_c02.avi",
    ]
    assert entry["top1"] <= 2 / 6
    assert "2 of 6 clips scored, 4 unreadable" in out
    assert "4 unreadable, 2 with repeated frames" in out
    assert entry["repeated"] == ["Blue/v_Blue_g01_c01.avi", "Blue/v_Blue_g01_c02.avi"]
    assert out.count("counted wrong: ") == 4
    table = rows(tmp_path / "d/eval/split1-last-1x1/clips.csv")
    assert len(table) == 6
    assert sum(row["predicted"] == "" and row["correct"] == "0" and row["error"] != "" for row in table) == 4
    assert sum(row["warning"].endswith("it is played again from its start") for row in table) == 2


def test_without_any_file_it_says_so(data: Path, tmp_path: Path, capsys) -> None:
    empty = tmp_path / "empty"
    (empty / "videos").mkdir(parents=True)
    (empty / "ucfTrainTestlist").symlink_to(data / "ucfTrainTestlist")
    assert train(empty, tmp_path, "--epochs 1") == 2
    assert "none of the train clips of split 1 is there" in capsys.readouterr().err


@pytest.mark.parametrize(
    ("words", "blocks", "says"),
    [
        ("--model r3d_tini", "", "backbone 'r3d_tini' is unknown. Did you mean 'r3d_tiny'"),
        ("", "snk@layer2.-1", "'snk' is unknown. Did you mean"),
        ("", "snl@layer9", "'layer9' is unknown"),
        ("", "snl(ordre=2)@layer2.-1", "'ordre' is unknown"),
        ("--split 4", "", "split = 4: UCF-101 has splits 1 to 3"),
        ("--batch-size 64", "", "batch_size 64 is more than the 18 training clips"),
        ("--weights nowhere.safetensors", "", "nowhere.safetensors"),
        ("--val-fraction 1.5", "", "val_fraction 1.5 must lie in"),
        ("--size 40 --resize 20", "", "size 40 px is larger than resize 20 px"),
        ("--warmup 5", "", "warmup 5.0 must lie in"),
        ("--wandb", "", "pip install wandb"),
        ("--sampling segments --test-clips 4", "", "clips = 4 with segments sampling"),
    ],
)
def test_wrong_settings_are_one_clear_line(
    data: Path, tmp_path: Path, capsys, monkeypatch, words: str, blocks: str, says: str
) -> None:
    find_spec = importlib.util.find_spec
    monkeypatch.setattr("importlib.util.find_spec", lambda name, *a: None if name == "wandb" else find_spec(name, *a))
    assert train(data, tmp_path, words, blocks=blocks) == 2
    lines = [line for line in capsys.readouterr().err.splitlines() if line.startswith("specvid: ")]
    assert len(lines) == 1
    assert says in lines[0]
    assert list(tmp_path.iterdir()) == []  # nothing was begun: the name is still free


def test_a_changed_config_or_checkpoint_is_refused(runs: Path, tmp_path: Path, capsys) -> None:
    config = json.loads((runs / "a-s1/config.json").read_text())
    for change, says in (
        ({"epoch": 3}, "key 'epoch' is unknown"),
        ({"train": {"lr": "fast"}}, "train: lr is 'fast'; it must be a number"),
        ({"net": 3}, "net is 3; it must be an object"),
        ({"train": {"optimizer": "adam"}}, "optimizer is 'adam'; it must be one of sgd, adamw"),
    ):
        path = tmp_path / "config.json"
        path.write_text(json.dumps({**config, **change}))
        assert cli.run(["train", "action", "--config", str(path)]) == 2
        assert says in capsys.readouterr().err
    path.write_text("{")
    assert cli.run(["train", "action", "--config", str(path)]) == 2
    assert "is not JSON" in capsys.readouterr().err

    other = tmp_path / "other"
    (other / "last").mkdir(parents=True)
    (other / "config.json").write_text(json.dumps(config))
    meta = json.loads((runs / "a-s1/last/meta.json").read_text())
    meta["model"]["blocks"] = ""
    (other / "last/meta.json").write_text(json.dumps(meta))
    (other / "last/model.safetensors").write_bytes((runs / "a-s1/last/model.safetensors").read_bytes())
    assert evaluate(f"--run {other}") == 2
    assert "is of another model" in capsys.readouterr().err
    assert evaluate(f"--run {other} --checkpoint best") == 2
    assert "has no checkpoint 'best'. It has: last" in capsys.readouterr().err
    (other / "last/model.safetensors").unlink()
    assert evaluate(f"--run {other}") == 2
    assert "other/last/model.safetensors': there is no such file" in capsys.readouterr().err


def test_predict_names_classes_and_goes_on_after_a_damaged_file(runs: Path, data: Path, tmp_path: Path, capsys) -> None:
    good = data / "videos/Red/v_Red_g01_c01.avi"
    bad, gone = tmp_path / "bad.avi", tmp_path / "gone.avi"
    bad.write_bytes(b"RIFF nonsense")
    words = ["predict", str(bad), str(good), str(gone), "--run", f"{runs}/a-s1", "--device", "cpu", "--clips", "2"]
    assert cli.run([*words, "--crops", "3", "--json", "--workers", "0"]) == 1
    first, second, third = map(json.loads, capsys.readouterr().out.splitlines())
    assert (first["path"], first["classes"]) == (str(bad), [])
    assert "no such file" in third["error"]
    (best, probability), *others = second["classes"]
    assert (best, second["error"], len(others)) == ("Red", "", 2)
    assert probability + sum(p for _, p in others) == pytest.approx(1)

    assert evaluate(f"--run {runs}/a-s1 --clips 2 --crops 3") == 0
    (row,) = [row for row in rows(runs / "a-s1/eval/split1-last-2x3/clips.csv") if row["clip"].endswith(good.name)]
    assert float(row["p_class"]) == pytest.approx(probability, abs=1e-5)

    capsys.readouterr()
    assert (
        cli.run(["predict", str(good), "--run", f"{runs}/a-s1", "--top", "1", "--device", "cpu", "--clips", "1"]) == 0
    )
    assert capsys.readouterr().out.startswith(f"{good}: Red ")

    short = tmp_path / "short.avi"
    write_video(short, COLOURS["Red"], 3, np.random.default_rng(0))
    assert cli.run(["predict", str(short), "--run", f"{runs}/a-s1", "--top", "1", "--device", "cpu"]) == 0
    assert "(3 frames, fewer than the 4 of a clip: it is played again from its start)" in capsys.readouterr().out


def test_report_is_a_table_over_runs(runs: Path, data: Path, tmp_path: Path, capsys) -> None:
    for seed in (0, 1):
        for name, blocks in (("bare", ""), ("snl", "snl@layer2.-1")):
            assert train(data, tmp_path, f"--name {name}{seed} --seed {seed} --epochs 1", blocks=blocks) == 0
    capsys.readouterr()
    assert cli.run(["report", str(tmp_path), "--metrics", "top1", "--markdown"]) == 0
    head, rule, *body = capsys.readouterr().out.splitlines()
    assert [cell.strip() for cell in head.strip("|").split("|")] == [
        *("model", "blocks", "dataset", "split", "checkpoint", "views", "input", "scored", "runs", "top1")
    ]
    assert [line.split("|")[2].strip() for line in body] == ["-", "snl@layer2.-1"]
    assert all(line.split("|")[9].strip() == "2" and " ± " in line for line in body)
    assert set(rule) <= {"|", "-"}
    assert cli.run(["report", str(tmp_path / "bare0"), "--metrics", "map"]) == 2
    assert "metric 'map' is unknown" in capsys.readouterr().err
    assert cli.run(["report", str(tmp_path), "--out", str(tmp_path / "t.txt")]) == 0
    assert "mean_class" in (tmp_path / "t.txt").read_text()


def test_held_out_groups_never_cross(data: Path) -> None:
    records = read_lists(ActionClipsConfig(data=str(data))).train
    kept, held = hold_out(records, 0.3, seed=1)
    assert sorted(record.name for record in [*kept, *held]) == sorted(record.name for record in records)
    groups = [{record.name.rsplit("_", 1)[0] for record in part} for part in (kept, held)]
    assert not groups[0] & groups[1]
    assert {record.label for record in kept} == {record.label for record in held} == {0, 1, 2}
    assert hold_out(records, 0.3, seed=1)[1] == held
    with pytest.raises(ValueError, match="only group of its class"):
        hold_out([record for record in records if "_g02_" in record.name], 0.3, seed=1)


def test_a_size_keeps_the_backbones_proportion_to_the_short_side(runs: Path) -> None:
    model = open_network(NetworkConfig(run=str(runs / "a-s1"))).model
    assert (model.input.size, model.input.resize, model.input.frames) == (16, 20, 4)
    spec = model.input.override({"size": 112, "resize": (128, 171)})
    assert input_changes(ActionClipsConfig(size=56), spec) == {"size": 56, "resize": 64}
    assert input_changes(ActionClipsConfig(size=56, resize=60), spec) == {"size": 56, "resize": 60}
    assert input_changes(ActionClipsConfig(), spec) == {}


def test_a_limit_is_for_trying_out_and_says_so(data: Path, tmp_path: Path, capsys) -> None:
    lists = read_lists(ActionClipsConfig(data=str(data), val_fraction=0.3, limit=3))
    assert [len(part) for part in (lists.train, lists.validation, lists.test)] == [3, 3, 3]
    whole = read_lists(ActionClipsConfig(data=str(data), val_fraction=0.3))
    assert set(lists.train) < set(whole.train) and set(lists.test) < set(whole.test)
    assert train(data, tmp_path, "--name l --epochs 1 --limit 4 --batch-size 4 --workers 0") == 0
    out = capsys.readouterr().out
    assert "no more than 4 clips of each part, split 1, 1 clip x 1 crop, " in out and ", 4 of 4 clips scored" in out
    assert evaluate(f"--run {tmp_path}/l --clips 1") == 0  # scored on all
    out = capsys.readouterr().out
    assert "(UCF-101 cut down to 3 of 101 classes, split 1, 1 clip x 1 crop, " in out and "bilinear, 6 of 6" in out


def test_a_run_of_a_decoder_that_is_gone_is_read_by_the_default(runs: Path, tmp_path: Path) -> None:
    shutil.copytree(runs / "a-s1", tmp_path / "old")
    path = tmp_path / "old/last/meta.json"
    meta = json.loads(path.read_text())
    meta["data"]["decoder"] = "decord"
    path.write_text(json.dumps(meta))
    assert open_network(NetworkConfig(run=str(tmp_path / "old"))).decoder == "pyav"
