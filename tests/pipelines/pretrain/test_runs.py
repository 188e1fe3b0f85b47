"""Training without labels through the command line, and what takes its weights."""

from pathlib import Path

import numpy as np
import pytest
import torch
from safetensors.torch import load_file
from tiny_reid import synthesize_tiny_mars
from tiny_reid import train as train_reid
from tiny_ucf101 import synthesize_tiny_ucf101

import specvid
from specvid import cli
from specvid.pipelines.engine.run import RunFolder
from specvid.pipelines.networks.config import NetworkConfig
from specvid.pipelines.networks.opening import open_network
from specvid.pipelines.pretrain.config import PretrainClipsConfig
from specvid.pipelines.pretrain.data import read_lists
from specvid.pipelines.reporting.build import make_report
from specvid.pipelines.reporting.page import write_page

CLIPS = "--model r3d_tiny --frames 4 --size 16 --device cpu --workers 0 --no-tensorboard"
BLOCKS = "--blocks snl@layer2.-1"
QUICK = f"{CLIPS} --stride 1 --batch-size 6 --projector 8 8 --lr 0.01 --save-every 1"


def pretrain(data: Path, runs: Path, words: str) -> int:
    return cli.run(["train", "pretrain", "--data", str(data), "--runs", str(runs), *QUICK.split(), *words.split()])


@pytest.fixture(scope="module")
def data(tmp_path_factory) -> Path:
    return synthesize_tiny_ucf101(tmp_path_factory.mktemp("data") / "ucf101")


@pytest.fixture(scope="module")
def runs(data: Path, tmp_path_factory) -> Path:
    """The run ``a``, of two epochs of four steps on all videos of the folder."""
    runs = tmp_path_factory.mktemp("runs")
    assert pretrain(data, runs, "--blocks snl@layer2.-1 --epochs 2 --name a") == 0
    return runs


def test_a_run_says_what_it_learned(runs: Path, capsys) -> None:
    results, run = RunFolder(runs / "a").results(), RunFolder(runs / "a")
    (entry,) = results["evaluations"]
    assert results["task"] == "pretrain"
    assert (entry["dataset"], entry["listed"], entry["scored"]) == ("videos of ucf101", 24, 24)
    assert 0 <= entry["twin_top1"] <= 1 and 1 <= entry["dimensions"] <= 64 and entry["spread"] > 0
    assert {"loss", "twin_correlation", "cross_correlation"} <= set(run.lines()[-1])
    assert [block["place"] for block in results["training"]["blocks"]]
    assert run.meta("last")["only_for_training"] == ["projector"]
    assert any(name.startswith("projector.") for name in load_file(runs / "a/last/model.safetensors"))
    capsys.readouterr()
    assert cli.run(["report", str(runs / "a"), "--markdown"]) == 0
    heading, _, row = ([cell.strip() for cell in line.split("|")] for line in capsys.readouterr().out.splitlines())
    shown = dict(zip(heading, row, strict=True))
    text = (runs / "a/log.txt").read_text()
    assert shown["twin_top1"] == f"{100 * entry['twin_top1']:.2f}" and "dimensions_used" not in shown
    assert (shown["dimensions"], shown["embedding_dim"]) == (f"{entry['dimensions']:.1f}", "64")
    assert shown["spread"] == f"{entry['spread']:.3f}" and shown["correlation"] == f"{entry['correlation']:.3f}"
    assert "24 videos to learn of, without their labels" in text


def test_its_page_shows_what_it_learned(runs: Path, tmp_path: Path) -> None:
    """Its figures were 100 times as large as the log's, and the evaluation was missing with a KeyError."""
    (entry,) = RunFolder(runs / "a").results()["evaluations"]
    report = make_report([runs / "a"])
    (part,) = report.runs[0].evaluations
    told = [f"{entry['spread']:.3f}", f"{entry['dimensions']:.1f}", f"{entry['correlation']:.3f}"]
    assert part.rows[0] == ["twin_top1", "spread", "dimensions", "correlation"] and part.rows[1][1:] == told
    assert not any("evaluation" in text for text in report.runs[0].missing)
    ((heading, row),) = report.tables
    shown = dict(zip(heading, row, strict=True))
    assert [shown[name] for name in ("spread", "dimensions", "correlation")] == told
    pytest.importorskip("jinja2")
    write_page(report, tmp_path / "page.html")
    assert "Figures, % (spread, dimensions, correlation: as they are)" in (tmp_path / "page.html").read_text()


def test_killed_and_continued_it_ends_bit_for_bit_the_same(runs: Path, data: Path) -> None:
    words = "--blocks snl@layer2.-1 --epochs 2 --name b"
    assert pretrain(data, runs, f"{words} --max-steps 3") == 0  # within the first epoch
    assert pretrain(data, runs, f"{words} --resume auto") == 0
    whole, continued = (load_file(runs / name / "last/model.safetensors") for name in "ab")
    assert whole.keys() == continued.keys()
    assert all(torch.equal(whole[name], continued[name]) for name in whole)
    assert RunFolder(runs / "a").lines() == RunFolder(runs / "b").lines()


def test_its_weights_go_on_in_other_trainings(runs: Path, data: Path, tmp_path: Path) -> None:
    weights = runs / "a/last/model.safetensors"
    words = f"--data {data} {CLIPS} --resize 20 --stride 1 --blocks snl@layer2.-1 --batch-size 4 --recipe probe"
    command = ["train", "action", *words.split(), "--weights", str(weights), "--runs", str(tmp_path)]
    assert cli.run([*command, "--epochs", "1", "--name", "probe"]) == 0
    left_out = "projector.0.weight and 5 more: the projector of a training without labels, which nothing else needs"
    assert left_out in (tmp_path / "probe/log.txt").read_text()
    ours, theirs = load_file(weights), load_file(tmp_path / "probe/last/model.safetensors")
    assert not any(name.startswith("projector") for name in theirs)
    learned = [name for name in theirs if name.startswith("backbone.")]
    assert learned and all(torch.equal(ours[name], theirs[name]) for name in learned)  # the recipe holds them still
    tracklets = synthesize_tiny_mars(tmp_path / "mars")
    assert train_reid(tracklets, tmp_path, f"--name reid --weights {weights} {BLOCKS} --epochs 1 --max-steps 1") == 0
    assert left_out in (tmp_path / "reid/log.txt").read_text()


def test_it_embeds_but_names_no_classes(runs: Path, data: Path, tmp_path: Path, capsys) -> None:
    import pyarrow.parquet as pq

    video = next((data / "videos").rglob("*.avi"))
    embed = ["embed", str(video), "--device", "cpu", "--workers", "0"]
    assert cli.run([*embed, "--run", str(runs / "a"), "--out", str(tmp_path / "run")]) == 0
    (row,) = pq.read_table(tmp_path / "run/embeddings").to_pylist()
    model = specvid.load(runs / "a")
    assert not any(name.startswith("projector") for name, _ in model.named_parameters())
    np.testing.assert_allclose(np.array(row["embedding"]), model.embed_video(str(video)), rtol=1e-4, atol=1e-5)
    again = open_network(NetworkConfig(run=str(runs / "a"))).model.state_dict()
    assert all(torch.equal(tensor, again[name]) for name, tensor in model.state_dict().items())
    capsys.readouterr()
    assert cli.run(["predict", str(video), "--run", str(runs / "a")]) == 2
    assert "Train one: specvid train action --weights " in capsys.readouterr().err
    assert cli.run(["eval", "action", "--run", str(runs / "a")]) == 2
    assert "It knows no classes: `specvid train action --weights " in capsys.readouterr().err


def test_parts_that_stand_still_and_tracklets(tmp_path: Path) -> None:
    data = synthesize_tiny_mars(tmp_path / "mars")
    words = "--dataset mars --frames 2 --height 24 --width 12 --epochs 1 --batch-size 4 --freeze stem --measured 5"
    flags = QUICK.replace("--size 16 ", "").replace("--stride 1 ", "").split()
    command = ["train", "pretrain", "--data", str(data), "--runs", str(tmp_path), *flags, *words.split()]
    assert cli.run([*command, "--name", "t"]) == 0
    (entry,) = RunFolder(tmp_path / "t").results()["evaluations"]
    assert (entry["listed"], entry["scored"]) == (16, 5)
    assert RunFolder(tmp_path / "t").meta("last")["input"]["size"] == [24, 12]


def test_a_collapse_is_said(data: Path, tmp_path: Path) -> None:
    words = "--epochs 2 --name c --lr 1e-9 --schedule constant --warmup 0 --jitter 0"
    assert pretrain(data, tmp_path, words) == 0
    text = (tmp_path / "c/log.txt").read_text()
    assert "the loss hardly fell" in text


def test_which_parts_are_learned_of(data: Path, tmp_path: Path) -> None:
    every = read_lists(PretrainClipsConfig(data=str(data)))
    part = read_lists(PretrainClipsConfig(data=str(data), dataset="ucf101", split=2))
    assert (len(every), len(part)) == (24, 18)
    assert not any("_g02_" in record.name for record in part.videos)
    assert len(read_lists(PretrainClipsConfig(data=str(data), limit=5))) == 5
    with pytest.raises(ValueError, match=r"test_fraction 0\.2 belongs to a data set with parts"):
        read_lists(PretrainClipsConfig(data=str(data), test_fraction=0.2))
    with pytest.raises(ValueError, match=r"has one clip to train on: .* two are needed"):
        read_lists(PretrainClipsConfig(data=str(data), limit=1))
    (tmp_path / "none").mkdir()
    with pytest.raises(ValueError, match="has no video in it"):
        read_lists(PretrainClipsConfig(data=str(tmp_path / "none")))
