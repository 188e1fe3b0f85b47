"""The precision `auto`: what it becomes, where that is written, and what is said of one that is slow."""

import dataclasses
from pathlib import Path

import pytest
import torch
from tiny_ucf101 import synthesize_tiny_ucf101

from specvid import cli
from specvid.pipelines.engine import devices, training
from specvid.pipelines.engine.config import ComputeConfig, EngineConfig
from specvid.pipelines.engine.devices import (
    learns_in_bf16,
    multiplies_bf16,
    require_right_gradients,
    resolve_precision,
    slow_precision,
)
from specvid.pipelines.engine.fabric import make_fabric
from specvid.pipelines.engine.run import RunFolder
from specvid.tools.bench.gpu import device_line


def test_trainings_take_what_the_machine_is_fast_in_and_scores_do_not() -> None:
    assert (EngineConfig().precision, ComputeConfig().precision) == ("auto", "fp32")


@pytest.mark.parametrize("instruction", ["_is_avx512_bf16_supported", ""])
def test_auto_is_fp32_on_every_cpu(instruction: str, monkeypatch: pytest.MonkeyPatch) -> None:
    for name in ("_is_avx512_bf16_supported", "_is_amx_tile_supported"):
        monkeypatch.setattr(torch.cpu, name, lambda name=name: name == instruction, raising=False)
    config = EngineConfig(device="cpu")
    assert resolve_precision(config) == dataclasses.replace(config, precision="fp32")
    assert make_fabric(config)._precision.precision == "32-true"
    named = EngineConfig(device="cpu", precision="fp32")
    assert resolve_precision(named) is named
    assert bool(slow_precision("bf16", "cpu")) == (not instruction)


@pytest.mark.parametrize(("capability", "expected"), [((7, 5), False), ((8, 0), True), ((9, 0), True)])
def test_auto_follows_the_capability_of_a_gpu(
    capability: tuple[int, int], expected: bool, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(torch.cuda, "get_device_capability", lambda device: capability)
    assert multiplies_bf16("cuda") is expected
    monkeypatch.setattr(torch.cuda, "is_available", lambda: True)
    assert resolve_precision(EngineConfig(device="cuda")).precision == ("bf16" if expected else "fp32")


def test_no_training_in_bf16_where_its_gradients_are_wrong(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(devices, "learns_in_bf16", lambda: False)
    named = EngineConfig(device="cpu", precision="bf16")
    network = torch.nn.Sequential(torch.nn.Conv3d(3, 4, 3), torch.nn.Conv2d(4, 4, 1))
    with pytest.raises(ValueError, match="computes wrong gradients of 3D convolutions"):
        require_right_gradients(network, named)
    require_right_gradients(network, EngineConfig(device="cpu", precision="fp32"))
    require_right_gradients(network[1], named)
    require_right_gradients(network.requires_grad_(False), named)


def test_the_trial_agrees_with_a_training_in_bf16() -> None:
    """What the trial says of this machine is so of another convolution, in several runs; forward, bf16 is right."""
    state = torch.get_rng_state()
    right = learns_in_bf16()
    assert torch.equal(torch.get_rng_state(), state)
    conv = torch.nn.Conv3d(32, 32, 3, padding=1, bias=False)
    x = torch.randn(2, 32, 2, 14, 14)
    (wanted,) = torch.autograd.grad(conv(x).square().sum(), conv.weight)
    errors = []
    for _ in range(3):
        with torch.autocast("cpu", torch.bfloat16):
            y = conv(x)
        assert (y.float() - conv(x)).norm() / conv(x).norm() < 0.05
        for power in range(10, 23):  # memory that is free now and not zero
            torch.full((2**power,), float("nan"))
        (gradient,) = torch.autograd.grad(y.float().square().sum(), conv.weight)
        errors.append(((gradient - wanted).norm() / wanted.norm()).item())
    assert right == all(error < 0.05 for error in errors), errors


def test_a_pytorch_that_does_not_say_counts_as_without(monkeypatch: pytest.MonkeyPatch) -> None:
    for name in ("_is_avx512_bf16_supported", "_is_amx_tile_supported"):
        monkeypatch.delattr(torch.cpu, name, raising=False)
    assert not multiplies_bf16("cpu")


@pytest.mark.parametrize(
    ("limit", "allowed"), [("AVX2", False), ("avx512_core_vnni", False), ("AVX512_CORE_BF16", True), ("", True)]
)
def test_what_onednn_is_held_to_counts(monkeypatch: pytest.MonkeyPatch, limit: str, allowed: bool) -> None:
    monkeypatch.setattr(torch.cpu, "_is_avx512_bf16_supported", lambda: True, raising=False)
    monkeypatch.setenv("ONEDNN_MAX_CPU_ISA", limit)
    assert multiplies_bf16("cpu") is allowed
    assert bool(slow_precision("bf16", "cpu")) is not allowed
    assert ("not known to multiply" in device_line("cpu", "bf16")) is not allowed
    assert "not known" not in device_line("cpu", "fp32")


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
    monkeypatch.setattr(training, "resolve_precision", lambda config: dataclasses.replace(config, precision="bf16"))
    monkeypatch.setattr(devices, "learns_in_bf16", lambda: True)
    capsys.readouterr()
    assert cli.run([*words, "--resume", "auto"]) == 2
    assert "precision: 'fp32' -> 'bf16'" in capsys.readouterr().err
    monkeypatch.undo()
    assert cli.run([*words, "--resume", "auto", "--precision", "fp32"]) == 0


def test_who_asks_for_slow_bf16_is_told(caplog: pytest.LogCaptureFixture, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(devices, "multiplies_bf16", lambda device: False)
    make_fabric(ComputeConfig(device="cpu", precision="bf16"))
    assert "eight times as long as fp32: use --precision fp32, or auto" in caplog.text
