"""Everything that a training changes as it goes on, in one place: so it can be saved, and continued bit for bit."""

from collections.abc import Mapping
from typing import Any, cast

import torch
from lightning_fabric import Fabric
from torch import nn

from specvid import __version__
from specvid.pipelines.engine.config import EngineConfig
from specvid.pipelines.engine.ema import average_weights
from specvid.pipelines.engine.gather import gather_objects, share_buffers
from specvid.pipelines.engine.log import log
from specvid.pipelines.engine.meter import EpochMeter
from specvid.pipelines.engine.optim import build_optimizer
from specvid.pipelines.engine.run import RunFolder
from specvid.pipelines.engine.schedule import build_schedule
from specvid.pipelines.engine.seeds import rng_state, seed_all, set_rng_state
from specvid.pipelines.engine.task import Task


class TrainState:
    """Model, optimiser, schedule, averaged weights, generators, and how far the training is (``step``)."""

    def __init__(self, fabric: Fabric, model: nn.Module, task: Task, config: EngineConfig, run: RunFolder) -> None:
        self.fabric, self.task, self.config, self.run = fabric, task, config, run
        if config.sync_bn and fabric.world_size > 1:
            model = nn.SyncBatchNorm.convert_sync_batchnorm(model)
        optimizer = build_optimizer(model, config)
        self.schedule = build_schedule(optimizer, config, task.feed.steps)
        if config.compile:
            model = cast(nn.Module, torch.compile(model))
        self.model, self.optimizer = fabric.setup(model, optimizer)
        for method in task.forward_methods:
            self.model.mark_forward_method(method)
        self.average = average_weights(self.model.module, config.ema) if config.ema else None
        self.step, self.seconds, self.rate = 0, 0.0, config.lr
        self.best: float | None = None
        self._meter: dict[str, Any] | None = None
        self._warned: set[str] = set()
        seed_all(config.seed, fabric.global_rank)  # from here on the processes differ: dropout
        self._restore()

    @property
    def epoch(self) -> int:
        return self.step // self.task.feed.steps

    @property
    def step_in_epoch(self) -> int:
        return self.step % self.task.feed.steps

    @property
    def scored(self) -> nn.Module:
        """The bare model that is evaluated, and saved to be used."""
        return self.average.module if self.average is not None else self.model.module

    def open_epoch(self) -> EpochMeter:
        """The meter of the epoch that begins, or that goes on after an interruption."""
        saved, self._meter = self._meter, None
        return EpochMeter(accumulate=self.config.accumulate, warned=self._warned, state=saved)

    def update(self) -> None:
        """One optimiser step with the gradients at hand."""
        if self.config.clip_norm:
            self.fabric.clip_gradients(
                self.model, self.optimizer, max_norm=self.config.clip_norm, error_if_nonfinite=False
            )
        self.rate = float(self.schedule.get_last_lr()[0])
        self.optimizer.step()
        self.optimizer.zero_grad(set_to_none=True)
        self.schedule.step()
        if self.average is not None:
            self.average.update_parameters(self.model.module)
        self.step += 1

    def save_within_epoch(self, meter: EpochMeter) -> None:
        """Saves ``last/`` where ``save_every`` says so; the end of an epoch saves anyway."""
        if self.config.save_every and self.step % self.config.save_every == 0 and self.step_in_epoch:
            self._save_last({}, meter)

    def close_epoch(self, meter: EpochMeter) -> dict[str, Any]:
        """Scores and saves the epoch: its line, ``best/`` if it is the best so far, then ``last/``. Returns the line.

        In this order: killed in between, the epoch is done again, and its line and ``best/`` are written again.
        """
        for model in (self.model.module, self.scored):  # in the same order everywhere
            share_buffers(self.fabric, model)
        line = {"epoch": self.epoch - 1, "step": self.step, **meter.line(self.fabric), "lr": self.rate}
        if self.epoch % self.config.eval_every == 0 or self.epoch == self.config.epochs:
            line |= self.task.evaluate(self.scored.eval())
        self.seconds += line["seconds"]
        value = line.get(self.task.selection.metric)
        improved = value is not None and self.task.selection.better(value, self.best)
        if improved:
            self.best = value
        if self.fabric.is_global_zero:
            self.run.append(line)
            if improved:
                self.run.save("best", self.scored, self._meta(line))
        self._save_last(line, None)
        return line

    def _save_last(self, line: Mapping[str, Any], meter: EpochMeter | None) -> None:
        generators = gather_objects(self.fabric, rng_state())
        meters = gather_objects(self.fabric, meter.state if meter is not None else None)
        raw = {"weights": self.model.module.state_dict(), "updates": self.average.n_averaged} if self.average else None
        if self.fabric.is_global_zero:
            state = {
                "step": self.step,
                "rate": self.rate,
                "best": self.best,
                "seconds": self.seconds,
                "optimizer": self.optimizer.state_dict(),
                "schedule": self.schedule.state_dict(),
                "scaler": self.fabric.strategy.precision.state_dict(),
                "raw": raw,  # with a moving average, model.safetensors holds the average
                "generators": generators,
                "meters": meters,
            }
            self.run.save("last", self.scored, self._meta(line), state)
        self.fabric.barrier()

    def _meta(self, line: Mapping[str, Any]) -> dict[str, Any]:
        done = {"epochs": self.step / self.task.feed.steps, "steps": self.step, "figures": dict(line)}
        return {"specvid": __version__, **done, "best_is": self.task.selection.reason, **self.task.meta()}

    def _restore(self) -> None:
        """Continues from ``last/``, if the run has one."""
        if self.fabric.is_global_zero:
            self.run.recover()
        self.fabric.barrier()
        saved = self.run.load_state()
        if saved is not None:
            self.run.load_model("last", self.scored)
            if self.average is not None:
                self.model.module.load_state_dict(saved["raw"]["weights"])
                self.average.n_averaged.copy_(saved["raw"]["updates"])
            self.optimizer.load_state_dict(saved["optimizer"])
            self.schedule.load_state_dict(saved["schedule"])
            self.fabric.strategy.precision.load_state_dict(saved["scaler"])
            self.step, self.rate, self.best, self.seconds = (saved[n] for n in ("step", "rate", "best", "seconds"))
            if len(saved["generators"]) == self.fabric.world_size:
                set_rng_state(saved["generators"][self.fabric.global_rank])
                self._meter = saved["meters"][self.fabric.global_rank]
            elif self.fabric.is_global_zero:
                log.warning("continued with another number of processes: valid, but not bit for bit the same training")
            log.info("continued from step %d (%.2f epochs)", self.step, self.step / self.task.feed.steps)
        if self.fabric.is_global_zero:
            self.run.forget_epochs_from(self.epoch)
