"""Everything that a training changes as it goes on, in one place: so it can be saved, and continued bit for bit."""

from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from typing import Any, cast

import torch
from lightning_fabric import Fabric
from torch import Tensor, nn

from specvid import __version__
from specvid.models.convolutions.training import convolutions_of, penalty_of
from specvid.pipelines.engine.block_use import mean_gates
from specvid.pipelines.engine.config import EngineConfig
from specvid.pipelines.engine.devices import resolve_precision
from specvid.pipelines.engine.ema import average_weights
from specvid.pipelines.engine.gather import gather_objects, share_buffers
from specvid.pipelines.engine.layout import lay_out
from specvid.pipelines.engine.log import log
from specvid.pipelines.engine.meter import EpochMeter, merge_states
from specvid.pipelines.engine.optim import build_optimizer
from specvid.pipelines.engine.parts import train_mode
from specvid.pipelines.engine.peers import naming_lost_processes
from specvid.pipelines.engine.run import RunFolder
from specvid.pipelines.engine.schedule import build_schedule
from specvid.pipelines.engine.seeds import rng_state, seed_all, set_rng_state
from specvid.pipelines.engine.signals import Interrupted, handling
from specvid.pipelines.engine.task import Task

_AGREE_EVERY = 10  # steps between two questions among several processes whether one of them got a signal


class TrainState:
    """Model, optimiser, schedule, averaged weights, generators, and how far the training is.

    Args:
        fabric: of this process.
        model: to train.
        task: what for.
        config: how.
        run: its folder; a training that was started in it is continued.

    Attributes:
        step: optimiser steps that are done.
        steps: of the whole training.
    """

    def __init__(self, fabric: Fabric, model: nn.Module, task: Task, config: EngineConfig, run: RunFolder) -> None:
        self.fabric, self.task, self.config, self.run = fabric, task, config, run
        if config.sync_bn and fabric.world_size > 1:
            model = nn.SyncBatchNorm.convert_sync_batchnorm(model)
        lay_out(model, fabric.device.type, resolve_precision(config).precision)
        optimizer = build_optimizer(model, config)
        self.schedule = build_schedule(optimizer, config, task.feed.steps)
        if config.compile:
            model = cast(nn.Module, torch.compile(model))
        self.model, self.optimizer = fabric.setup(model, optimizer)
        self._convolutions = convolutions_of(self.model)
        for method in task.forward_methods:
            self.model.mark_forward_method(method)
        self.average = average_weights(self.model.module, config.ema) if config.ema else None
        self.step, self.rate = 0, config.lr
        self.steps = min(config.epochs * task.feed.steps, config.max_steps or config.epochs * task.feed.steps)
        self.best: float | None = None
        self.since_best = 0  # scored epochs
        self._meter: dict[str, Any] | None = None
        self._warned: set[str] = set()
        self._signal, self._stopped, self._saved_at = 0, False, 0
        seed_all(config.seed, fabric.global_rank)  # from here on the processes differ: dropout
        self._restore()

    @property
    def epoch(self) -> int:
        """Epochs that are complete."""
        return self.step // self.task.feed.steps

    @property
    def step_in_epoch(self) -> int:
        """Steps that are done of the epoch that is not complete."""
        return self.step % self.task.feed.steps

    @property
    def scored(self) -> nn.Module:
        """The bare model that is evaluated, and saved to be used."""
        return self.average.module if self.average is not None else self.model.module

    @property
    def finished(self) -> bool:
        """Whether there is nothing more to do."""
        return self._stopped or self.out_of_patience or self.step >= self.steps

    @property
    def out_of_patience(self) -> bool:
        """Whether the validation part has got no better for as long as ``early_stop`` waits."""
        return 0 < self.config.early_stop <= self.since_best

    def stop(self) -> None:
        """End the training after this step, as if its settings ended it there: it is saved and scored."""
        self._stopped = True

    def open_epoch(self) -> tuple[int, EpochMeter]:
        """Number and meter of the epoch that begins, or that goes on after an interruption.

        Raises:
            Interrupted: a signal ended the training.
        """
        if stopped_by := self._agreed_signal():
            raise Interrupted(stopped_by, self.describe_saved())
        train_mode(self.model)
        saved, self._meter = self._meter, None
        return self.epoch, EpochMeter(accumulate=self.config.accumulate, warned=self._warned, state=saved)

    def backward(self, loss: Tensor) -> dict[str, Tensor]:
        """The backward pass of a batch, with what convolutions add to its loss.

        Args:
            loss: of the batch, a scalar.

        Returns:
            What was added, as a figure to log; empty for nothing.
        """
        penalty = penalty_of(self._convolutions)
        total = loss if penalty is None else loss + penalty
        self.fabric.backward(total / self.config.accumulate)
        return {} if penalty is None else {"conv_penalty": penalty.detach()}

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
        self._follow()

    def save_within_epoch(self, meter: EpochMeter) -> None:
        """Save ``last/`` where ``save_every`` says so, or where a signal ends the training.

        Args:
            meter: of the epoch.

        Raises:
            Interrupted: a signal ended the training.
        """
        stopped_by = self._agreed_signal()
        due = self.config.save_every and self.step % self.config.save_every == 0
        if self.step_in_epoch and not self.finished and (due or stopped_by):
            self._save_last({}, meter)
            if stopped_by:
                raise Interrupted(stopped_by, self.describe_saved())

    @contextmanager
    def saving_on_signals(self) -> Iterator[None]:
        """While the block runs, SIGINT and SIGTERM end the training at the next step, and it is saved.

        Raises:
            Interrupted: there was a signal.
            LostProcessError: another process of the job has ended.
        """

        def remember(number: int) -> None:
            self._signal = number

        with handling(remember):
            try:
                with naming_lost_processes(self._describe_found):
                    yield
            except RuntimeError as error:
                # A decoding process may have got the signal too, and have ended before the step did.
                if not (self._signal and str(error).startswith("DataLoader worker")):
                    raise
            if self._signal:
                raise Interrupted(self._signal, self.describe_saved())

    def describe_saved(self) -> str:
        """What ``last/`` holds, and how to continue."""
        if not self._saved_at:
            return f"nothing of {self.run.path} was saved yet."
        if self._saved_at >= self.steps:
            return f"{self.run.path} is trained to the end; --resume auto scores it."
        epochs = self._saved_at / self.task.feed.steps
        return (
            f"{self.run.path}/last holds {self._saved_at} of {self.steps} steps ({epochs:.2f} epochs); "
            "--resume auto continues."
        )

    def describe_patience(self) -> str:
        """Where ``early_stop`` ended the training, why, what is kept, and how to go on."""
        metric, lines = self.task.selection.metric, self.run.lines()
        scored = [line for line in lines if metric in line]
        best = scored[-1 - self.since_best] if len(scored) > self.since_best else {"epoch": -1}
        return (
            f"--early-stop {self.config.early_stop} ended the training after epoch {self.epoch} of "
            f"{self.config.epochs}: {metric} has got no better than {self.best:.4g} since epoch {best['epoch'] + 1}, "
            f"which is kept in best/; last/ holds epoch {self.epoch}, and is what is scored. "
            "--resume auto with a greater --early-stop, or 0 for none, goes on."
        )

    def _describe_found(self) -> str:
        """As `describe_saved`, of what the disk holds: the main process may have died before or after it saved."""
        self._saved_at = self.run.steps_to_continue_from()
        return self.describe_saved()

    def close_epoch(self, epoch: int, meter: EpochMeter) -> tuple[dict[str, Any], dict[str, Any]]:
        """Score and save an epoch: its line, ``best/`` if it is the best so far, then ``last/``.

        In this order: killed in between, the epoch is done again, and its line and ``best/`` are written again.

        Args:
            epoch: its number. A training that ends within an epoch closes it too.
            meter: of the epoch.

        Returns:
            Its lines of metrics.jsonl and speed.jsonl.
        """
        for model in (self.model.module, self.scored):  # in the same order everywhere
            share_buffers(self.fabric, model)
        figures, speed = meter.line(self.fabric)
        line = {"epoch": epoch, "step": self.step, **figures, "lr": self.rate}
        if gates := mean_gates(self.scored):
            line["gates"] = gates
        if (epoch + 1) % self.config.eval_every == 0 or self.finished:
            line |= self.task.evaluate(self.scored.eval())
        selects = self._select(line.get(self.task.selection.metric))
        if self.fabric.is_global_zero:
            self.run.append(line, speed)
            if selects:
                self.run.save("best", self.scored, self._meta(line))
        self._save_last(line, meter if self.step_in_epoch else None)
        return line, speed

    def _select(self, value: float | None) -> bool:
        """Whether an epoch becomes ``best/``: by the value of what selects, None where it was not scored.

        One that was cut is done again when the training goes on, so it counts for nothing, and becomes ``best/`` only
        where there is no other.
        """
        if value is None:
            return False
        if self.step_in_epoch:
            return self.best is None
        improved = self.task.selection.better(value, self.best)
        if improved:
            self.best = value
        self.since_best = 0 if improved else self.since_best + 1
        return improved

    def _follow(self) -> None:
        """Let convolutions follow the course of the training, e.g. a temperature that falls."""
        progress = self.step / (self.config.epochs * self.task.feed.steps)
        averaged = [] if self.average is None else convolutions_of(self.average)
        for layer in (*self._convolutions, *averaged):
            layer.set_progress(progress)

    def _agreed_signal(self) -> int:
        """The signal that any process got, the same in all of them; 0 for none."""
        if self.fabric.world_size == 1:
            return self._signal
        return 0 if self.step % _AGREE_EVERY else max(gather_objects(self.fabric, self._signal))

    def _save_last(self, line: Mapping[str, Any], meter: EpochMeter | None) -> None:
        """Replace ``last/``; ``meter``: of an epoch that is not complete."""
        generators = gather_objects(self.fabric, rng_state())
        meters = gather_objects(self.fabric, meter.state if meter is not None else None)
        warned = gather_objects(self.fabric, sorted(self._warned))
        raw = {"weights": self.model.module.state_dict(), "updates": self.average.n_averaged} if self.average else None
        if self.fabric.is_global_zero:
            state = {
                "step": self.step,
                "rate": self.rate,
                "best": self.best,
                "since_best": self.since_best,
                "optimizer": self.optimizer.state_dict(),
                "schedule": self.schedule.state_dict(),
                "scaler": self.fabric.strategy.precision.state_dict(),
                "raw": raw,  # with a moving average, model.safetensors holds the average
                "generators": generators,
                "meters": meters,
                "warned": warned,
            }
            self.run.save("last", self.scored, self._meta(line), state)
        self._saved_at = self.step
        self.fabric.barrier()

    def _meta(self, line: Mapping[str, Any]) -> dict[str, Any]:
        """The content of a checkpoint's meta.json."""
        done = {"epochs": self.step / self.task.feed.steps, "steps": self.step, "figures": dict(line)}
        return {"specvid": __version__, **done, "best_is": self.task.selection.reason, **self.task.meta()}

    def _restore(self) -> None:
        """Continue from ``last/``, if the run has one."""
        if self.fabric.is_global_zero:
            self.run.recover()
        self.fabric.barrier()
        saved = self.run.load_state()
        if saved is not None:
            self.run.load_model("last", self.scored)
            try:
                self._take(saved)
            except (KeyError, IndexError, TypeError, ValueError, AttributeError, RuntimeError) as error:
                cause = " ".join(str(error).split())[:160]
                raise ValueError(
                    f"the state in {str(self.run.path / 'last')!r} does not fit this training ({type(error).__name__}: "
                    f"{cause}): it was altered. Start anew with another --name."
                ) from error
            log.info("continued from step %d (%.2f epochs)", self.step, self.step / self.task.feed.steps)
        if self.fabric.is_global_zero and not self.finished:
            self.run.forget_epochs_from(self.epoch)

    def _take(self, saved: dict[str, Any]) -> None:
        """Take over what was saved."""
        if self.average is not None:
            self.model.module.load_state_dict(saved["raw"]["weights"])
            self.average.n_averaged.copy_(saved["raw"]["updates"])
        self.optimizer.load_state_dict(saved["optimizer"])
        self.schedule.load_state_dict(saved["schedule"])
        self.fabric.strategy.precision.load_state_dict(saved["scaler"])
        self.step, self.rate, self.best, self.since_best = (
            saved[name] for name in ("step", "rate", "best", "since_best")
        )
        if type(self.step) is not int or self.step < 0 or not isinstance(self.rate, int | float):
            raise TypeError(f"step {self.step!r}, rate {self.rate!r}")
        self._saved_at = self.step
        warned = saved.get("warned", [])  # older runs have none
        if len(saved["generators"]) == self.fabric.world_size:
            set_rng_state(saved["generators"][self.fabric.global_rank])
            self._meter = saved["meters"][self.fabric.global_rank]
            self._warned.update(warned[self.fabric.global_rank] if warned else ())
            return
        self._warned.update(message for own in warned for message in own)
        self._meter = merge_states(saved["meters"], is_first=self.fabric.is_global_zero)
        if self.fabric.is_global_zero:
            log.warning("continued with another number of processes: valid, but not bit for bit the same training")
