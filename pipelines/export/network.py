"""What is exported of a model: one function from clips, and optionally their mask, to one vector a clip."""

import copy

from torch import Tensor, nn

from specvid.models.blocks.affinities.dot import ProductAffinity
from specvid.models.blocks.affinities.symmetric import SymmetricAffinity
from specvid.models.video_model import VideoModel


class Exportable(nn.Module):
    """``forward(clip, mask=None)``: (B, 3, T, H, W), (B, T) bool -> logits (B, classes) or embeddings (B, E).

    It holds a copy of ``model`` in eval mode, without gradients. Where a block would choose between its linear and its
    N x N form by the size of the clip, the copy always takes the linear one: both are exact, and a graph has one form
    for all sizes.
    """

    def __init__(self, model: VideoModel, feature: str) -> None:
        super().__init__()
        self.model = copy.deepcopy(model).eval().requires_grad_(False)
        self.feature = feature
        for module in self.model.modules():
            if isinstance(module, (SymmetricAffinity, ProductAffinity)) and module.impl == "auto":
                module.impl = "linear"

    def forward(self, clip: Tensor, mask: Tensor | None = None) -> Tensor:
        return self.model(clip, mask) if self.feature == "logits" else self.model.embed(clip, mask)


def choose_feature(model: VideoModel, wanted: str) -> str:
    """``logits`` or ``embedding``. ``ValueError`` for the logits of a model without a classifier."""
    if wanted == "auto":
        return "embedding" if model.num_classes is None else "logits"
    if wanted == "logits" and model.num_classes is None:
        raise ValueError("feature 'logits' needs a classifier: a trained recogniser's run, or --classes N.")
    return wanted
