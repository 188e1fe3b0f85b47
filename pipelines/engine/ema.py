"""Moving average of the weights (Polyak averaging): scored and saved in place of the last weights when switched on."""

import torch
from torch import Tensor, nn
from torch.optim.swa_utils import AveragedModel

Tensors = tuple[Tensor, ...] | list[Tensor]


def average_weights(model: nn.Module, decay: float) -> AveragedModel:
    """A copy of a model that follows it, buffers too.

    At each ``update_parameters(model)`` a <- d a + (1 - d) w with d = min(decay, (1 + n) / (10 + n)) after n updates: a
    short training is not held back by its first random weights.

    Args:
        model: to follow.
        decay: d after many updates.

    Returns:
        The copy; ``.module`` is the averaged model.
    """

    @torch.no_grad()
    def follow(averages: Tensors, weights: Tensors, updates: int | Tensor) -> None:
        n = int(updates)
        follow_by = 1 - min(decay, (1 + n) / (10 + n))
        if torch.is_floating_point(averages[0]):
            torch._foreach_lerp_(averages, weights, follow_by)
        else:  # counters such as num_batches_tracked
            torch._foreach_copy_(averages, weights)

    return AveragedModel(model, multi_avg_fn=follow, use_buffers=True)
