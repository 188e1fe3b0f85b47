"""Barlow Twins: Zbontar et al., "Self-supervised learning via redundancy reduction", ICML 2021, arXiv:2103.03230."""

from collections.abc import Sequence

import torch
from torch import Tensor, nn

from specvid.pipelines.engine.gather import rows_of_all, world_size

PROJECTOR = "projector"  # submodule of the trained model, which only the training needs


def make_projector(features: int, widths: Sequence[int]) -> nn.Sequential:
    """The paper's projector: linear layers without bias, batch norm and ReLU between them.

    Args:
        features: E, dimensions of an embedding.
        widths: of the layers; the last one gives the dimensions D that are correlated.

    Returns:
        (N, E) -> (N, D).
    """
    layers: list[nn.Module] = []
    for size in widths[:-1]:
        layers += [nn.Linear(features, size, bias=False), nn.BatchNorm1d(size), nn.ReLU(inplace=True)]
        features = size
    return nn.Sequential(*layers, nn.Linear(features, widths[-1], bias=False))


class TwinsLoss:
    """`barlow_twins` of the embeddings of all processes, behind the projector.

    The embeddings are gathered before the projector, and each process computes it for the whole batch: so its batch
    norms and the correlations are those of one process, on any device, and what travels is small.

    Args:
        projector: from `make_projector`.
        redundancy: the paper's lambda.
    """

    def __init__(self, projector: nn.Module, redundancy: float) -> None:
        self.projector, self.redundancy = projector, redundancy

    def __call__(self, embedding: Tensor) -> tuple[Tensor, dict[str, Tensor]]:
        """The loss of a batch.

        Args:
            embedding: (N, 2, E) of this process: N pairs of twins.

        Returns:
            The loss (a scalar), and the correlations.
        """
        pairs = rows_of_all(_with_gradient_times(embedding, world_size()))
        projected = [self.projector(own) for own in pairs.unbind(1)]
        return barlow_twins(projected[0], projected[1], self.redundancy)


def _with_gradient_times(x: Tensor, factor: int) -> Tensor:
    """The same numbers, whose gradient is multiplied: each process derives the rows of its own alone, and DDP then
    divides by their number. The projector sees all rows in each process, so its gradient is whole as it is.
    """
    return x + (factor - 1) * (x - x.detach()) if factor > 1 else x


def barlow_twins(one: Tensor, other: Tensor, redundancy: float) -> tuple[Tensor, dict[str, Tensor]]:
    """``sum_i (C_ii - 1)^2 + redundancy * sum_{i != j} C_ij^2``, equations 1 and 2 of the paper.

    C (D, D) is the correlation of the dimensions of the twins over the batch, each brought to mean 0 and variance 1
    (biased, plus 1e-5) before, as by a batch norm.

    Args:
        one: (N, D), of the first twins.
        other: (N, D), of the second ones.
        redundancy: lambda.

    Returns:
        The loss (a scalar), and what C is made of: ``twin_correlation``, the mean of its diagonal, is 1 where twins are
        recognised; ``cross_correlation``, the root mean square beside it, 0 where no dimension repeats another.
    """
    correlation = _standardised(one).T @ _standardised(other) / len(one)
    diagonal = correlation.diagonal()
    beside = (correlation - torch.diag(diagonal)).square().sum()
    loss = (diagonal - 1).square().sum() + redundancy * beside
    pairs = max(1, len(diagonal) * (len(diagonal) - 1))
    figures = {"twin_correlation": diagonal.mean(), "cross_correlation": (beside / pairs).sqrt()}
    return loss, {name: figure.detach() for name, figure in figures.items()}


def _standardised(z: Tensor) -> Tensor:
    """Mean 0 and variance 1 of each column."""
    z = z - z.mean(dim=0)
    return z / (z.square().mean(dim=0) + 1e-5).sqrt()
