"""Norms as after training, so that a test does not pass because they all do nothing."""

from torch import nn


def randomise_norms(network: nn.Module) -> None:
    """Statistics and affine parameters of every batch norm as after training, not 0 and 1."""
    for module in network.modules():
        if isinstance(module, nn.modules.batchnorm._BatchNorm):
            nn.init.uniform_(module.weight, 0.5, 1.5)
            nn.init.normal_(module.bias, std=0.1)
            module.running_mean.normal_(std=0.1)
            module.running_var.uniform_(0.5, 1.5)
