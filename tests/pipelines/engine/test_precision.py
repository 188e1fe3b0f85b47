"""The precision `auto`: what it becomes, where that is written, and what is said of one that is slow."""

import dataclasses
from pathlib import Path

import pytest
import torch
from tiny_ucf101 import synthesize_tiny_ucf101

from specvid import cli
from specvid.pipelines.engine import devices
from specvid.pipelines.engine.config import ComputeConfig, EngineConfig
from specvid.pipelines.engine.devices import multiplies_bf16, resolve_precision, slow_precision
from specvid.pipelines.engine.fabric import make_fabric
from specvid.pipelines.engine.run import RunFolder


def test_trainings_take_what_the_machine_is_fast_in_and_scores_do_not() -> None:
    assert (EngineConfig().precision, ComputeConfig().precision) == ("auto", "fp32")


@pytest.mark.parametrize(("instruction", "expected"), [("_is_avx512_bf16_supported", "bf16"), ("", "fp32")])
def test_auto_follows_the_instructions_of_a_cpu(
    instruction: str, expected: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    for name in ("_is_avx512_bf16_supported", "_is_amx_tile_supported"):
        monkeypatch.setattr(torch.cpu, name, lambda name=name: name == instruction, raising=False)
    config = EngineConfig(device="cpu")
    assert resolve_precision(config) == dataclasses.replace(config, precision=expected)
    assert make_fabric(config)._precision.precision == {"bf16": "bf16-mixed", "fp32": "32-true"}[expected]
    named = EngineConfig(device="cpu", precision="fp32")
    assert resolve_precision(named) is named
    assert bool(slow_precision("bf16", "cpu")) == (expected == "fp32")


@pytest.mark.parametrize(("capability", "expected"), [((7, 5), False), ((8, 0), True), ((9, 0), True)])
def test_auto_follows_the_capability_of_a_gpu(
    capability: tuple[int, int], expected: bool, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(torch.cuda, "get_device_capability", lambda device: capability)
    assert multiplies_bf16("cuda") is expected


def test_a_pytorch_that_does_not_say_counts_as_without(monkeypatch: pytest.MonkeyPatch) -> None:
    for name in ("_is_avx512_bf16_supported", "_is_amx_tile_supported"):
        monkeypatch.delattr(torch.cpu, name, raising=False)
    assert not multiplies_bf16("cpu")


def test_a_run_saves_what_auto_was_and_is_continued_in_that(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(devices, "multiplies_bf16", lambda device: False)
    data = synthesize_tiny_ucf101(tmp_path / "data", clips=1, frames=4)
    words = ["train", "action", "--data", str(data), "--model", "r3d_tiny", "--device", "cpu", "--workers", "0"]
    words += [
        "--frames",
        "4",
        "--size",
        "16",
        "--resize",
        "16",
        "--max-steps",
        "1",
        "--runs",
        str(tmp_path),
        "--name",
        "a",
    ]
    assert cli.run(words) == 0
    assert RunFolder(tmp_path / "a").config()["train"]["precision"] == "fp32"
    assert ", fp32" in (tmp_path / "a/log.txt").read_text()
    monkeypatch.setattr(devices, "multiplies_bf16", lambda device: True)
    capsys.readouterr()
    assert cli.run([*words, "--resume", "auto"]) == 2
    assert "precision: 'fp32' -> 'bf16'" in capsys.readouterr().err
    assert cli.run([*words, "--resume", "auto", "--precision", "fp32"]) == 0


def test_who_asks_for_slow_bf16_is_told(caplog: pytest.LogCaptureFixture, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(devices, "multiplies_bf16", lambda device: False)
    make_fabric(ComputeConfig(device="cpu", precision="bf16"))
    assert "eight times as long as fp32: use --precision fp32, or auto" in caplog.text
