"""How far a network sees: the receptive field of one position of its feature map, found by asking the gradient."""

import copy

import torch
from torch import nn

from specvid.models.spec import Backbone


def receptive_field(backbone: Backbone, *, probe: tuple[int, int, int] = (33, 65, 65)) -> tuple[int, int, int]:
    """The part of the input that one position of the feature map depends on.

    A copy gets positive weights and neutral norms, so that nothing cancels and no ReLU closes; the inputs that then
    have a gradient, seen from the position in the middle, are exactly those connected to it. This is the theoretical
    receptive field (Araujo et al., Distill 2019, https://doi.org/10.23915/distill.00021); a trained network uses less.

    Args:
        backbone: A 3D backbone.
        probe: Frames, height and width in px of the clip on which it is measured.

    Returns:
        Frames, rows and columns of the input.

    Raises:
        ValueError: It is an image network, or the probe cannot hold the field.
    """
    if backbone.dims != 3:
        raise ValueError("receptive_field takes a 3D backbone (dims=3): an image network sees one frame at a time")
    network = copy.deepcopy(backbone.module).double().eval()
    for module in network.modules():
        if isinstance(module, nn.modules.batchnorm._BatchNorm):
            module.reset_parameters()  # mean 0, variance 1, scale 1, shift 0
    with torch.no_grad():
        for parameter in network.parameters():
            if parameter.ndim > 1:
                parameter.fill_(1 / parameter[0].numel())
    clip = torch.ones(1, 3, *probe, dtype=torch.float64, requires_grad=True)
    y = backbone.output_format.to_map(network(clip))
    frame, row, column = (side // 2 for side in y.shape[2:])
    y[0, :, frame, row, column].sum().backward()
    assert clip.grad is not None
    reached = clip.grad[0].sum(0).nonzero()  # (inputs reached, 3)
    first, last = reached.min(0).values.tolist(), reached.max(0).values.tolist()
    for axis, name in enumerate(("frames", "height", "width")):
        if first[axis] == 0 or last[axis] == probe[axis] - 1:
            raise ValueError(
                f"probe {probe} is too small: the receptive field reaches its border in {name}; use a larger one"
            )
    return last[0] - first[0] + 1, last[1] - first[1] + 1, last[2] - first[2] + 1
