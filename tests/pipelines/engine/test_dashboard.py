"""How a training is watched: the live view, TensorBoard, Weights & Biases."""

import io
import logging
import math
import re
import sys
import types
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from rich.console import Console
from toy_task import ToyTask, toy_model

from specvid.pipelines.engine import dashboard, live
from specvid.pipelines.engine.board import Board
from specvid.pipelines.engine.config import EngineConfig
from specvid.pipelines.engine.fabric import make_fabric
from specvid.pipelines.engine.loop import fit
from specvid.pipelines.engine.run import RunFolder


def train(folder: Path, **shown: bool) -> list[dict]:
    """A toy training of three epochs; returns their figures and speeds."""
    base = {"epochs": 3, "batch_size": 8, "lr": 0.05, "workers": 0, "device": "cpu", "tensorboard": False}
    config = EngineConfig(**{**base, **shown})
    run = RunFolder(folder)
    run.start({})
    fit(make_fabric(config), toy_model(), ToyTask(config), config, run)
    return [{**line, **speed} for line, speed in zip(run.lines(), run.lines("speed.jsonl"), strict=True)]


def test_the_live_view_shows_speed_waiting_and_the_time_left(tmp_path: Path, monkeypatch) -> None:
    screen = io.StringIO()
    monkeypatch.setattr(dashboard, "console", Console(file=screen, force_terminal=True, width=160))
    train(tmp_path)
    view = re.sub(r"\x1b\[[0-9;?]*[A-Za-z]", "", screen.getvalue())
    last = view[view.rindex("epoch 3/3") :]
    assert re.match(r"epoch 3/3  step (\d+)/\1 .* 0:00:\d\d, left 0:00:00", last), last
    assert re.search(r"\nloss +\d\.\d{4}  [▁▂▃▄▅▆▇█]+ *\r?\n", last), last
    assert re.search(r"\naccuracy +\d\.\d{4}  [▁▂▃▄▅▆▇█]{3}  best \d\.\d{4}", last), last
    assert re.search(r"\n[\d.]+ clips/s  waiting \d+%  memory \d+\.\d GB", last), last


def test_the_view_of_a_run_that_goes_on_knows_its_earlier_epochs(tmp_path: Path, monkeypatch) -> None:
    run = RunFolder(tmp_path)
    for epoch, score in enumerate((0.75, 0.5)):
        run.append({"epoch": epoch, "step": 10, "loss": 1.0, "val_top1": score}, {})
    screen = io.StringIO()
    monkeypatch.setattr(dashboard, "console", Console(file=screen, force_terminal=True, width=160))
    config = EngineConfig(epochs=3, tensorboard=False)
    with dashboard.Dashboard(tmp_path, config, range(20, 30), is_main=True) as view:
        view.epoch({"epoch": 2, "loss": 1.0, "lr": 0.1, "val_top1": 0.625}, {"clips_per_s": 1.0, "wait_share": 0.0})
    assert re.search(r"val_top1 +0\.6250 +.{0,9}█▁▅.{0,9} +best 0\.7500", screen.getvalue())


@pytest.mark.parametrize("width", [40, 80, 200])
def test_the_view_fits_any_terminal(width: int, monkeypatch) -> None:
    monkeypatch.setattr(live, "memory_used", lambda: ["memory 3.1 GB", "GPU 4.2 of 79.6 GB"])
    view = live.LiveView(30, range(0, 6000))
    for step in range(1, 5001):
        now = {"loss": 1 / step, "batch_loss": 1 / step, "clips_per_s": 12.3, "wait_share": 0.04}
        view.step(step, step // 200, now, step)
    view.step(5000, 25, now | {"loss": math.nan, "batch_loss": math.nan}, 5000)  # an epoch begins: the figures stay
    for epoch in range(24):
        view.epoch({"epoch": epoch, "loss": 0.1, "lr": 0.01, "val_loss": 1.0, "val_top1": epoch / 40})
    screen = io.StringIO()
    Console(file=screen, width=width, height=20).print(view)
    lines = screen.getvalue().splitlines()
    assert len(lines) == 4 and max(map(len, lines)) <= width
    if width >= 80:
        assert re.fullmatch(r"epoch 26/30  step 5000/6000 .*  1:23:20, left 0:16:40 *", lines[0])
        assert re.fullmatch(r"loss        0\.0002  [█▇▆▅▄▃▂▁]+ *", lines[1])
        assert re.fullmatch(r"val_top1    0\.5750  ▁[▁▂▃▄▅▆▇]+█+  best 0\.5750 *", lines[2])
        assert lines[3].rstrip() == "12.3 clips/s  waiting 4%  memory 3.1 GB  GPU 4.2 of 79.6 GB"


def test_a_sparkline_is_a_curve_in_a_line() -> None:
    assert live.sparkline([0, 1, 2, 3, 4, 5, 6, 7], 8) == "▁▂▃▄▅▆▇█"
    assert live.sparkline([0.0] * 50 + [1.0] * 50, 4) == "▁▁██"
    assert live.sparkline([2.0, float("nan"), 2.0], 8) == "▁▁" and live.sparkline([], 8) == ""
    assert live.sparkline([0, 5], 8, ascii_only=True) == "_#"


def test_without_a_terminal_there_is_no_view(tmp_path: Path, monkeypatch) -> None:
    screen = io.StringIO()
    monkeypatch.setattr(dashboard, "console", Console(file=screen))
    train(tmp_path)
    assert screen.getvalue() == ""


def test_without_a_terminal_it_is_never_silent_for_long(tmp_path: Path, monkeypatch, caplog) -> None:
    monkeypatch.setattr(dashboard, "console", Console(file=io.StringIO()))
    monkeypatch.setattr(dashboard, "_SILENCE_S", 0.0)
    monkeypatch.setattr(logging.getLogger("specvid"), "propagate", True)
    with caplog.at_level("INFO"):
        train(tmp_path)
    steps = [line for line in caplog.messages if " step " in line]
    assert re.fullmatch(r"epoch 1/3  step 1/\d+  waiting \d+%  left 0:00:\d\d", steps[0]), steps
    pattern = r"epoch 1/3  step 2/\d+  loss \d\.\d{4}  [\d.]+ clips/s  waiting \d+%  left 0:00:\d\d"
    assert re.fullmatch(pattern, steps[1]), steps
    monkeypatch.setattr(dashboard, "_SILENCE_S", 30.0)
    caplog.clear()
    with caplog.at_level("INFO"):
        train(tmp_path / "quick")
    assert not [line for line in caplog.messages if " step " in line]


def read_board(folder: Path) -> Any:
    from tensorboard.backend.event_processing.event_accumulator import EventAccumulator

    board = EventAccumulator(str(folder / "tensorboard"))
    board.Reload()
    return board


def test_tensorboard_gets_steps_and_epochs_in_groups(tmp_path: Path) -> None:
    lines = train(tmp_path, tensorboard=True)
    board = read_board(tmp_path)
    tags = set(board.Tags()["scalars"])
    assert {"train/loss", "train/lr", "train/epoch_loss", "train/epoch_accuracy", "speed/clips_per_s"} <= tags
    assert {tag.partition("/")[0] for tag in tags} <= {"train", "val", "speed"}
    assert not [
        tag for tag in tags if tag.endswith(("/epoch_unreadable", "/epoch_clips", "/epoch_step", "/epoch_epoch"))
    ]
    points = board.Scalars("train/epoch_loss")
    assert [point.step for point in points] == [line["step"] for line in lines]
    assert [point.value for point in points] == pytest.approx([line["loss"] for line in lines], rel=1e-6)
    steps = lines[-1]["step"]
    assert [point.step for point in board.Scalars("train/lr")] == list(range(1, steps + 1))
    losses = board.Scalars("train/loss")
    assert len(losses) == steps - len(lines)  # the first step of an epoch has no loss yet
    assert all(point.value > 0 for point in board.Scalars("speed/clips_per_s"))
    per_epoch = steps // len(lines)
    for number, line in enumerate(lines):  # and the last one is not read before the epoch ends
        own = [point.value for point in losses if number * per_epoch < point.step <= (number + 1) * per_epoch]
        assert min(own) <= line["loss"] * 1.5 and len(set(own)) > 1


def test_a_counter_has_a_chart_once_it_moves(tmp_path: Path) -> None:
    (tmp_path / "run").mkdir()
    board = Board(tmp_path / "run")
    for step, count in ((10, 0), (20, 3), (30, 0)):
        board.epoch({"epoch": 0, "step": step, "loss": 1.0, "unreadable": count, "repeated": 0}, {"seconds": 1.0})
    board.close()
    found = read_board(tmp_path / "run")
    assert [(p.step, p.value) for p in found.Scalars("train/epoch_unreadable")] == [(20, 3.0), (30, 0.0)]
    assert "train/epoch_repeated" not in found.Tags()["scalars"]


def test_test_figures_settings_and_pictures(tmp_path: Path) -> None:
    import cv2

    (tmp_path / "run").mkdir()
    cv2.imwrite(str(tmp_path / "confusion.png"), np.full((8, 9, 3), 7, np.uint8))
    board = Board(tmp_path / "run")
    entry = {"top1": 0.5, "split": 1, "listed": 7, "per_class": {"a": 1.0}, "protocols": {"mars-ap": {"mAP": 0.25}}}
    board.test(entry, EngineConfig(lr=0.03), 40, tmp_path)
    board.close()
    found = read_board(tmp_path / "run")
    tags = set(found.Tags()["scalars"])
    assert {"test/top1", "test/mars-ap/mAP", "hparam/top1"} <= tags and "test/split" not in tags
    assert [(p.step, p.value) for p in found.Scalars("test/mars-ap/mAP")] == [(40, 0.25)]
    assert found.Tags()["images"] == ["test/confusion"]
    content = found.summary_metadata["_hparams_/session_start_info"].plugin_data.content
    from tensorboard.plugins.hparams.plugin_data_pb2 import HParamsPluginData

    settings = HParamsPluginData.FromString(content).session_start_info.hparams
    assert settings["lr"].number_value == 0.03 and settings["optimizer"].string_value == EngineConfig().optimizer


@pytest.fixture
def wandb(monkeypatch) -> types.SimpleNamespace:
    """What we use of wandb, which is optional; ``logged``: (figures, step) of each call."""
    errors = types.SimpleNamespace(Error=type("Error", (Exception,), {}))
    fake = types.SimpleNamespace(errors=errors, logged=[], given={}, finished=0, settings={}, Image=Path)
    fake.log = lambda figures, step: fake.logged.append((figures, step))
    fake.config = types.SimpleNamespace(update=lambda settings, **_: fake.settings.update(settings))
    fake.finish = lambda: setattr(fake, "finished", fake.finished + 1)
    fake.init = lambda **options: fake.given.update(options) or fake
    monkeypatch.setitem(sys.modules, "wandb", fake)
    return fake


@pytest.mark.parametrize("tensorboard", [False, True])
def test_wandb_gets_what_tensorboard_gets(tensorboard: bool, tmp_path: Path, wandb) -> None:
    lines = train(tmp_path / "a", wandb=True, tensorboard=tensorboard)
    assert (wandb.given["project"], wandb.given["name"], wandb.finished) == ("specvid", "a", 1)
    steps = [step for _, step in wandb.logged]
    assert steps == sorted(steps)  # wandb drops what comes late
    assert sorted(step for figures, step in wandb.logged if "train/lr" in figures) == [*range(1, lines[-1]["step"] + 1)]
    epochs = [(figures, step) for figures, step in wandb.logged if "train/epoch_loss" in figures]
    assert [step for _, step in epochs] == [line["step"] for line in lines]
    assert [figures["train/epoch_loss"] for figures, _ in epochs] == [line["loss"] for line in lines]
    assert (tmp_path / "a" / "tensorboard").exists() == tensorboard
    if tensorboard:
        tags = set(read_board(tmp_path / "a").Tags()["scalars"])
        assert {tag for figures, _ in wandb.logged for tag in figures} == tags


def test_wandb_gets_the_test_figures_too(tmp_path: Path, wandb) -> None:
    import cv2

    cv2.imwrite(str(tmp_path / "confusion.png"), np.full((8, 9, 3), 7, np.uint8))
    board = Board(tmp_path, tensorboard=False, wandb=True)
    board.test({"top1": 0.5}, EngineConfig(lr=0.03), 40, tmp_path)
    board.close()
    assert wandb.logged == [({"test/top1": 0.5}, 40), ({"test/confusion": tmp_path / "confusion.png"}, 40)]
    assert wandb.settings["lr"] == 0.03 and wandb.finished == 1


def test_a_wandb_that_cannot_start_is_one_clear_error(tmp_path: Path, wandb, monkeypatch) -> None:
    def refuse(**options: object) -> None:
        raise wandb.errors.Error("api_key not configured (no-tty).")

    monkeypatch.setattr(wandb, "init", refuse)
    with pytest.raises(ValueError, match=r"wandb cannot start: api_key not configured \(no-tty\)\. Run `wandb login`"):
        train(tmp_path, wandb=True)
