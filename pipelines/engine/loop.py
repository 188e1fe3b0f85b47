"""The training loop: fetch, forward, backward, step, log. Every task of specvid is trained by this function."""

from lightning_fabric import Fabric
from torch import nn

from specvid.pipelines.engine.config import EngineConfig
from specvid.pipelines.engine.dashboard import Dashboard
from specvid.pipelines.engine.run import RunFolder
from specvid.pipelines.engine.state import TrainState
from specvid.pipelines.engine.task import Task


def fit(fabric: Fabric, model: nn.Module, task: Task, config: EngineConfig, run: RunFolder) -> nn.Module:
    """Trains ``model`` on ``task`` from where ``run`` stands (its ``last/``, if it has one) to ``config.epochs``.

    Writes ``metrics.jsonl``, ``last/`` and ``best/`` of the run. Returns the bare model to score: the one in ``last/``
    (the moving average of the weights where there is one), on its device, in eval mode.
    """
    state = TrainState(fabric, model, task, config, run)
    steps = range(state.step, config.epochs * task.feed.steps)
    with Dashboard(run.path, config, steps=steps, is_main=fabric.is_global_zero) as dashboard:
        for epoch in range(state.epoch, config.epochs):
            state.model.train()
            meter = state.open_epoch()
            for batch, completes_step in meter.fetch(task.feed.epoch(epoch, state.step_in_epoch)):
                with fabric.no_backward_sync(state.model, enabled=not completes_step):
                    loss, figures = task.loss(state.model, fabric.to_device(batch))
                    fabric.backward(loss / config.accumulate)
                meter.add(batch, loss, figures)
                if completes_step:
                    state.update()
                    dashboard.step(state.step, epoch, meter.now())
                    state.save_within_epoch(meter)
            line = state.close_epoch(meter)
            dashboard.epoch(line)
    return state.scored.eval()
