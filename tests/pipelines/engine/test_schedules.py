"""Schedules against torch's own, and against the formula written out."""

import math
import warnings

import pytest
import torch
from torch.optim import lr_scheduler

from specvid.pipelines.engine.config import EngineConfig
from specvid.pipelines.engine.schedule import build_schedule

EPOCHS, STEPS = 5, 7


def rates(config: EngineConfig) -> list[float]:
    """The rate of each step of a training."""
    optimizer = torch.optim.SGD([torch.zeros(1, requires_grad=True)], lr=config.lr)
    return follow(optimizer, build_schedule(optimizer, config, STEPS))


def follow(optimizer: torch.optim.Optimizer, schedule: lr_scheduler.LRScheduler) -> list[float]:
    seen = []
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        for _ in range(EPOCHS * STEPS):
            seen.append(optimizer.param_groups[0]["lr"])
            optimizer.step()
            schedule.step()
    return seen


def reference(make) -> list[float]:
    optimizer = torch.optim.SGD([torch.zeros(1, requires_grad=True)], lr=0.3)
    return follow(optimizer, make(optimizer))


def test_cosine_is_torchs() -> None:
    torchs = reference(lambda o: lr_scheduler.CosineAnnealingLR(o, EPOCHS * STEPS))
    assert rates(EngineConfig(epochs=EPOCHS, lr=0.3, schedule="cosine")) == pytest.approx(torchs)


def test_onecycle_is_torchs() -> None:
    torchs = reference(lambda o: lr_scheduler.OneCycleLR(o, 0.3, total_steps=EPOCHS * STEPS, cycle_momentum=False))
    ours = rates(EngineConfig(epochs=EPOCHS, lr=0.3, schedule="onecycle"))
    assert ours == pytest.approx(torchs, rel=1e-6)
    assert max(ours) == pytest.approx(0.3, rel=0.02)


def test_step_is_torchs() -> None:
    torchs = reference(lambda o: lr_scheduler.MultiStepLR(o, [2 * STEPS, 4 * STEPS], gamma=0.5))
    config = EngineConfig(epochs=EPOCHS, lr=0.3, schedule="step", milestones=(2, 4), gamma=0.5)
    assert rates(config) == pytest.approx(torchs)


def test_warm_up_rises_to_the_peak_and_leaves_the_rest_to_the_schedule() -> None:
    seen = rates(EngineConfig(epochs=EPOCHS, lr=0.3, schedule="cosine", warmup=1 / EPOCHS))
    assert seen[:STEPS] == pytest.approx([0.3 * (step + 1) / (STEPS + 1) for step in range(STEPS)])
    left = EPOCHS * STEPS - STEPS
    assert seen[STEPS:] == pytest.approx([0.15 * (1 + math.cos(math.pi * step / left)) for step in range(left)])
    assert rates(EngineConfig(epochs=EPOCHS, lr=0.3, schedule="constant")) == [0.3] * (EPOCHS * STEPS)


def test_one_step_is_enough_for_every_schedule() -> None:
    for schedule in ("constant", "cosine", "onecycle"):
        optimizer = torch.optim.SGD([torch.zeros(1, requires_grad=True)], lr=0.3)
        config = EngineConfig(epochs=1, lr=0.3, schedule=schedule)
        assert build_schedule(optimizer, config, 1).get_last_lr()[0] > 0


@pytest.mark.parametrize(
    ("settings", "says"),
    [
        ({"epochs": 0}, "epochs 0 must be at least 1"),
        ({"lr": 0.0}, "lr 0.0 must be greater"),
        ({"lr": math.nan}, "lr nan must be greater"),
        ({"ema": 1.0}, "ema 1.0 must lie in"),
        ({"schedule": "step"}, "needs milestones"),
        ({"schedule": "step", "milestones": (3, 2)}, "must rise"),
        ({"schedule": "step", "milestones": (3, 9), "epochs": 9}, "lie inside the 9 epochs"),
        ({"warmup": 5.0}, r"warmup 5.0 must lie in \[0, 1\)"),
        ({"batch_size": 10, "accumulate": 4}, "multiple of accumulate 4"),
        ({"clip_norm": -1.0}, "clip_norm -1.0 must not be negative"),
    ],
)
def test_impossible_settings_are_named(settings: dict, says: str) -> None:
    with pytest.raises(ValueError, match=says):
        EngineConfig(**settings)
