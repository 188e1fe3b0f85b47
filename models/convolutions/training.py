"""What a training asks of the convolutions in a network: what they add to the loss, and to follow its course."""

from torch import Tensor, nn

from specvid.models.convolutions.base import Convolution


def convolutions_of(network: nn.Module) -> list[Convolution]:
    """The layers in a network that took a convolution's place and are trained.

    Args:
        network: Any network.

    Returns:
        They, in order, without those that stand still: all their parameters are frozen.
    """
    layers = [module for module in network.modules() if isinstance(module, Convolution)]
    return [layer for layer in layers if any(parameter.requires_grad for parameter in layer.parameters())]


def penalty_of(layers: list[Convolution]) -> Tensor | None:
    """What layers add to the loss.

    Args:
        layers: Of `convolutions_of`.

    Returns:
        The sum, a scalar; None where none adds anything.
    """
    found = [penalty for layer in layers if (penalty := layer.penalty()) is not None]
    return sum(found[1:], start=found[0]) if found else None
