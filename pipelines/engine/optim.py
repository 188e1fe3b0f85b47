"""The optimiser, and which parameters decay."""

import torch
from torch import nn
from torch.optim import Optimizer

from specvid.pipelines.engine.config import EngineConfig


def parameter_groups(model: nn.Module, weight_decay: float) -> list[dict]:
    """Divide the parameters into weights that decay, and the rest.

    Everything with at most one dimension is in the rest: biases, scales of norms, and the gates of the blocks. A
    decayed gate would be drawn back to 0, where the block is the identity; a decayed norm only rescales the learning
    rate of the layer before it.

    Args:
        model: its parameters that require a gradient.
        weight_decay: of the first group.

    Returns:
        Groups as torch's optimisers take them.

    Raises:
        ValueError: no parameter requires a gradient.
    """
    trained = [parameter for parameter in model.parameters() if parameter.requires_grad]
    if not trained:
        raise ValueError("The model has no parameter that requires a gradient: there is nothing to train.")
    decayed = [parameter for parameter in trained if parameter.ndim > 1]
    spared = [parameter for parameter in trained if parameter.ndim <= 1]
    groups = [{"params": decayed, "weight_decay": weight_decay}, {"params": spared, "weight_decay": 0.0}]
    return [group for group in groups if group["params"]]


def build_optimizer(model: nn.Module, config: EngineConfig) -> Optimizer:
    """Create the optimiser.

    Args:
        model: to train.
        config: names it, and its rate, momentum and weight decay.

    Returns:
        SGD (Nesterov where there is momentum) or AdamW over the `parameter_groups`.
    """
    groups = parameter_groups(model, config.weight_decay)
    if config.optimizer == "sgd":
        return torch.optim.SGD(groups, lr=config.lr, momentum=config.momentum, nesterov=config.momentum > 0)
    return torch.optim.AdamW(groups, lr=config.lr)
