"""The losses of person re-identification."""

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from specvid.models.heads import Outputs
from specvid.pipelines.engine.gather import rows_of_all, world_size
from specvid.pipelines.reid.config import ReidLossConfig

CENTRES = "centres"  # buffer of the trained model that holds the centres


class ReidLoss:
    """``CE(logits) + triplet * L_triplet(feature) + centre * L_centre(feature)``.

    Cross-entropy with label smoothing on the embedding after the neck; batch-hard triplets (Hermans et al. 2017,
    arXiv:1703.07737) and centres (Wen et al., ECCV 2016) on the feature before it, as in the strong baseline of Luo et
    al. (CVPRW 2019). Distances are Euclidean, features are not normalised. The mean of the triplet loss is over the
    triplets that do not keep the margin yet, or over all (``triplet_mean``). The centre loss is half the squared
    distance, as in equation 2 of Wen et al.; TransReID leaves the half out. With several processes triplets are sought
    in the batch of all of them, so the loss is that of one process.

    Args:
        config: weights of the parts.
    """

    def __init__(self, config: ReidLossConfig) -> None:
        from pytorch_metric_learning import distances, losses, miners, reducers

        self.config = config
        distance = distances.LpDistance(normalize_embeddings=False)
        self.miner = miners.BatchHardMiner(distance=distance)
        reducer = reducers.AvgNonZeroReducer() if config.triplet_mean == "active" else reducers.MeanReducer()
        self.triplet = losses.TripletMarginLoss(
            margin=config.margin, smooth_loss=config.margin == 0, distance=distance, reducer=reducer
        )

    def __call__(
        self, outputs: Outputs, label: Tensor, centres: Tensor | None = None
    ) -> tuple[Tensor, dict[str, Tensor]]:
        """The loss of a batch.

        Args:
            outputs: of the model.
            label: (B,).
            centres: (classes, E), of the centre loss; moved towards the batch's features in place, over all processes.

        Returns:
            The mean loss (a scalar), and its parts.
        """
        config = self.config
        feature = outputs.feature.float()
        assert outputs.logits is not None
        loss = F.cross_entropy(outputs.logits.float(), label, label_smoothing=config.label_smoothing)
        figures = {"classifier_loss": loss.detach()}
        figures["accuracy"] = (outputs.logits.detach().argmax(dim=1) == label).float().mean()
        if config.triplet:
            triplet = self._triplet_loss(feature, label)
            loss = loss + config.triplet * triplet
            figures["triplet_loss"] = triplet.detach()
        if config.centre and centres is not None:
            centre = (feature - centres[label]).square().sum(dim=1).mean() / 2
            loss = loss + config.centre * centre
            figures["centre_loss"] = centre.detach()
            move_centres(centres, feature.detach(), label)
        return loss, figures

    def _triplet_loss(self, feature: Tensor, label: Tensor) -> Tensor:
        """Of the whole batch: the hardest ones are sought over all processes, as one process would."""
        world = world_size()
        feature, label = rows_of_all(feature), rows_of_all(label)
        loss = self.triplet(feature, label, self.miner(feature, label))
        # Each process derives its own features' part of it, and DDP divides the sum of these by their number.
        return loss if world == 1 else world * loss - (world - 1) * loss.detach()


@torch.no_grad()
def move_centres(centres: Tensor, feature: Tensor, label: Tensor, *, rate: float = 0.5) -> None:
    """Move centres towards features, in place.

    ``c_j -= rate * sum(c_j - x_i) / (1 + n_j)`` over the n_j features of identity j (Wen et al. 2016, equation 4).

    Args:
        centres: (classes, E).
        feature: (B, E).
        label: (B,).
        rate: how far.
    """
    change = torch.zeros_like(centres).index_add_(0, label, centres[label] - feature)
    count = torch.zeros(len(centres), device=centres.device).index_add_(
        0, label, torch.ones(len(label), device=label.device)
    )
    if world_size() > 1:
        torch.distributed.all_reduce(change)
        torch.distributed.all_reduce(count)
    centres -= rate * change / (1 + count[:, None])


def add_centres(model: nn.Module, classes: int, dims: int) -> None:
    """Give a model the buffer of the centre loss: it is saved and continued with the weights.

    Args:
        model: to be trained.
        classes: how many centres.
        dims: E, dimensions of a feature.
    """
    model.register_buffer(CENTRES, torch.zeros(classes, dims))
