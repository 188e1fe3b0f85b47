"""The training loop: fetch, forward, backward, step, log. Every task of specvid is trained by this function."""

import logging

from lightning_fabric import Fabric
from torch import nn

from specvid.pipelines.engine.config import EngineConfig
from specvid.pipelines.engine.dashboard import Dashboard
from specvid.pipelines.engine.log import log
from specvid.pipelines.engine.run import RunFolder
from specvid.pipelines.engine.state import TrainState
from specvid.pipelines.engine.task import Callback, Task


def fit(
    fabric: Fabric,
    model: nn.Module,
    task: Task,
    config: EngineConfig,
    run: RunFolder,
    *,
    callback: Callback | None = None,
) -> nn.Module:
    """Train from where a run stands (its ``last/``, if it has one) to the end.

    Writes ``metrics.jsonl``, ``speed.jsonl``, ``last/`` and ``best/`` of the run.

    Args:
        fabric: of this process.
        model: to train.
        task: what for.
        config: how.
        run: its folder.
        callback: watches the training, and may end it.

    Returns:
        The bare model to score: the one in ``last/`` (the moving average of the weights where there is one), on its
        device, in eval mode.

    Raises:
        Interrupted: a signal ended the training, and it was saved.
        ValueError: the loss is not finite, or the run's checkpoint is of another model.
    """
    callback = callback or Callback()
    state = TrainState(fabric, model, task, config, run)
    steps = range(state.step, state.steps)
    with state.saving_on_signals(), Dashboard(run.path, config, steps, is_main=fabric.is_global_zero) as dashboard:
        while not state.finished:
            epoch, meter = state.open_epoch()
            for batch, completes_step in meter.fetch(task.feed.epoch(epoch, state.step_in_epoch)):
                with fabric.no_backward_sync(state.model, enabled=not completes_step):
                    loss, figures = task.loss(state.model, fabric.to_device(batch))
                    figures |= state.backward(loss)
                meter.add(batch, loss, figures)
                if completes_step:
                    state.update()
                    dashboard.step(state.step, epoch, {**meter.now(), "batch_loss": meter.batch_loss, "lr": state.rate})
                    callback.on_step(state, meter.now())
                    state.save_within_epoch(meter)
                    if state.finished:
                        break
            line, speed = state.close_epoch(epoch, meter)
            dashboard.epoch(line, speed)
            callback.on_epoch(state, line)
    if state.out_of_patience and state.step < state.steps:
        log.log(logging.INFO if steps.start < state.step else logging.WARNING, state.describe_patience())
    return state.scored.eval()
