"""Learning rates as functions of the step: a schedule gives the factor on the peak rate, anew for every step."""

import math
from bisect import bisect_right
from collections.abc import Callable

from torch.optim import Optimizer
from torch.optim.lr_scheduler import LambdaLR

from specvid.pipelines.engine.config import EngineConfig


def cosine(step: float, steps: float) -> float:
    """From 1 down to 0 over half a cosine (Loshchilov & Hutter, SGDR, ICLR 2017, without restarts).

    Args:
        step: from 0.
        steps: of the whole way.

    Returns:
        The factor on the peak rate.
    """
    return 0.5 * (1 + math.cos(math.pi * step / max(steps, 1)))


def onecycle(step: int, steps: int, *, rise: float = 0.3, start: float = 1 / 25, end: float = 4e-6) -> float:
    """Up and down, both along a cosine.

    Smith & Topin, "Super-convergence" (2019), with the defaults of torch's OneCycleLR.

    Args:
        step: from 0.
        steps: of the whole way.
        rise: share of the steps in which the rate rises.
        start: factor at the first step.
        end: factor at the last step.

    Returns:
        The factor on the peak rate.
    """
    peak, last = rise * steps - 1, steps - 1
    if step <= peak:
        return 1 + (start - 1) * cosine(step, peak) if peak > 0 else 1.0
    return end + (1 - end) * cosine(min(step, last) - peak, last - peak)


def factor(config: EngineConfig, steps_per_epoch: int) -> Callable[[int], float]:
    """The schedule as a function.

    Args:
        config: shape, warm-up and epochs.
        steps_per_epoch: optimiser steps.

    Returns:
        From the step (from 0) to the factor on ``config.lr``.
    """
    steps = config.epochs * steps_per_epoch
    warm = round(config.warmup * steps)
    if config.schedule == "onecycle":
        return lambda step: onecycle(step, steps)
    falls = [milestone * steps_per_epoch for milestone in config.milestones]

    def at(step: int) -> float:
        if step < warm:
            return (step + 1) / (warm + 1)
        if config.schedule == "cosine":
            return cosine(step - warm, steps - warm)
        if config.schedule == "step":
            return config.gamma ** bisect_right(falls, step)
        return 1.0

    return at


def build_schedule(optimizer: Optimizer, config: EngineConfig, steps_per_epoch: int) -> LambdaLR:
    """Put the schedule on an optimiser; groups that wait stand still while ``config.block_warmup`` lasts.

    Args:
        optimizer: whose rate it sets.
        config: shape, warm-up and epochs.
        steps_per_epoch: optimiser steps.

    Returns:
        The schedule; call ``.step()`` after every optimiser step.
    """
    at, still = factor(config, steps_per_epoch), round(config.block_warmup * config.epochs * steps_per_epoch)

    def waiting(step: int) -> float:
        return 0.0 if step < still else at(step)

    return LambdaLR(optimizer, [waiting if group.get("waits") else at for group in optimizer.param_groups])
