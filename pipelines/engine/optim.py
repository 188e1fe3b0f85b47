"""The optimiser: which parameters decay, and which have a learning rate of their own."""

import torch
from torch import nn
from torch.optim import Optimizer

from specvid.models.insertion.inserted_block import InsertedBlock
from specvid.models.video_model import VideoModel
from specvid.pipelines.engine.block_use import strengths
from specvid.pipelines.engine.config import EngineConfig
from specvid.pipelines.engine.parts import rate_factors

_BACKBONE = ("backbone.", "tail.")


def parameter_groups(model: nn.Module, config: EngineConfig) -> list[dict]:
    """Divide the parameters into weights that decay and the rest, and apart from these what has a rate of its own.

    Everything with at most one dimension does not decay: biases, scales of norms, and the gates of the blocks. A
    decayed gate would be drawn back to 0, where the block is the identity; a decayed norm only rescales the learning
    rate of the layer before it.

    Args:
        model: its parameters that require a gradient.
        config: rate, weight decay, the factors of head, blocks, gates and other parts, and whether the backbone waits.

    Returns:
        Groups as torch's optimisers take them, the backbone's first; ``waits`` says whether a group stands still while
        ``config.block_warmup`` lasts.

    Raises:
        ValueError: no parameter requires a gradient.
    """
    gate_lr = config.block_lr if config.gate_lr is None else config.gate_lr
    blocks = [module for module in model.modules() if isinstance(module, InsertedBlock)]
    factors = {parameter: config.block_lr for block in blocks for parameter in block.parameters()}
    if config.head_lr != 1:
        assert isinstance(model, VideoModel)
        factors |= dict.fromkeys(model.head.parameters(), config.head_lr)
    if config.layer_decay < 1 or config.lr_scale:
        assert isinstance(model, VideoModel)
        factors |= dict(rate_factors(model, config.lr_scale, config.layer_decay))
    factors |= {strength: gate_lr for block in blocks for strength in strengths(block)}
    groups: dict[tuple[bool, float, bool], list[nn.Parameter]] = {}
    for name, parameter in model.named_parameters():
        if parameter.requires_grad:
            waits = bool(config.block_warmup) and name.startswith(_BACKBONE) and parameter not in factors
            groups.setdefault((waits, factors.get(parameter, 1.0), parameter.ndim > 1), []).append(parameter)
    if not groups:
        raise ValueError("The model has no parameter that requires a gradient: there is nothing to train.")
    in_order = sorted(groups, key=lambda group: (not group[0], group[1] != 1, group[1], not group[2]))
    return [
        {
            "params": groups[waits, factor, decays],
            "lr": config.lr * factor,
            "weight_decay": config.weight_decay if decays else 0.0,
            "waits": waits,
        }
        for waits, factor, decays in in_order
    ]


def build_optimizer(model: nn.Module, config: EngineConfig) -> Optimizer:
    """Create the optimiser.

    Args:
        model: to train.
        config: names it, and its rate, momentum and weight decay.

    Returns:
        SGD (Nesterov where there is momentum) or AdamW over the `parameter_groups`.
    """
    groups = parameter_groups(model, config)
    if config.optimizer == "sgd":
        return torch.optim.SGD(groups, lr=config.lr, momentum=config.momentum, nesterov=config.momentum > 0)
    return torch.optim.AdamW(groups, lr=config.lr)
