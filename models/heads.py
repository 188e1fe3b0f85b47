"""From the pooled feature of a clip to its embedding and its logits."""

from __future__ import annotations

from typing import NamedTuple

from torch import Tensor, nn

from specvid.errors import unknown

NECKS = ("none", "bnneck")


class Outputs(NamedTuple):
    """What a head gives.

    Attributes:
        feature: (B, E), before the neck, for metric losses.
        embedding: (B, E), after it.
        logits: (B, classes), or None without a classifier.
    """

    feature: Tensor
    embedding: Tensor
    logits: Tensor | None


class Head(nn.Module):
    """[linear projection to ``embedding_dim``] -> [BNNeck] -> dropout -> [linear classifier].

    ``neck="bnneck"`` is the one of Luo et al., "Bag of tricks and a strong baseline for deep person re-identification"
    (CVPRW 2019): a batch norm whose shift is fixed at 0, and a classifier without bias. The metric loss sees the
    feature before it, the classifier and the test the embedding after it.

    Args:
        in_features: Length D of the pooled features.
        num_classes: Size of the classifier, None for none.
        embedding_dim: Length E of the projection, None for no projection (E = D).
        neck: ``none`` or ``bnneck``.
        dropout: Probability of dropping a number in front of the classifier.

    Raises:
        ValueError: The neck is unknown, or a number is out of its range.
    """

    def __init__(
        self,
        in_features: int,
        *,
        num_classes: int | None = None,
        embedding_dim: int | None = None,
        neck: str = "none",
        dropout: float = 0.0,
    ) -> None:
        super().__init__()
        for name, value in (("num_classes", num_classes), ("embedding_dim", embedding_dim)):
            if value is not None and (not isinstance(value, int) or isinstance(value, bool) or value < 1):
                raise ValueError(f"{name} is {value!r}; it must be an integer >= 1, or None for none")
        if neck not in NECKS:
            raise unknown("neck", neck, NECKS)
        if not 0 <= dropout < 1:
            raise ValueError(f"dropout is {dropout!r}; it is a probability, 0 <= dropout < 1")
        self.num_features = embedding_dim or in_features
        self.projection = nn.Linear(in_features, embedding_dim) if embedding_dim else nn.Identity()
        self.neck: nn.Module = nn.Identity()
        if neck == "bnneck":
            self.neck = nn.BatchNorm1d(self.num_features)
            self.neck.bias.requires_grad_(False)
        self.dropout = nn.Dropout(dropout)
        self.classifier: nn.Linear | None = None
        if num_classes is not None:
            self.classifier = nn.Linear(self.num_features, num_classes, bias=neck != "bnneck")
            nn.init.normal_(self.classifier.weight, std=0.01)
            if self.classifier.bias is not None:
                nn.init.zeros_(self.classifier.bias)

    def forward(self, pooled_bd: Tensor) -> Outputs:
        """Compute embedding and logits.

        Args:
            pooled_bd: Pooled features, (B, D).

        Returns:
            Feature, embedding and logits.
        """
        feature_be = self.projection(pooled_bd)
        embedding_be = self.neck(feature_be)
        logits = self.classifier(self.dropout(embedding_be)) if self.classifier is not None else None
        return Outputs(feature_be, embedding_be, logits)
