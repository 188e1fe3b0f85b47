"""Classes in words: a head whose classifier is the text tower of the model, so that nothing is trained."""

from __future__ import annotations

from collections.abc import Sequence

from torch import Tensor, nn
from torch.nn import functional as F

from specvid.models.heads import Outputs
from specvid.models.video_model import VideoModel

PROMPT = "a video of {}"


class ZeroShotHead(nn.Module):
    """Logits are the cosine of the embedding with the vector of each class, times a scale, plus a bias.

    Args:
        texts: Vectors of the classes, (classes, E).
        scale: Of the cosine.
        bias: Added to it.
    """

    text_ce: Tensor

    def __init__(self, texts: Tensor, *, scale: float, bias: float = 0.0) -> None:
        super().__init__()
        self.register_buffer("text_ce", F.normalize(texts, dim=1).clone())
        self.num_features, self.scale, self.bias = texts.shape[1], scale, bias

    def forward(self, pooled_bd: Tensor) -> Outputs:
        """Compute the logits.

        Args:
            pooled_bd: Pooled features, (B, E).

        Returns:
            Feature, embedding (both as they come) and logits.
        """
        logits = self.scale * F.normalize(pooled_bd, dim=1) @ self.text_ce.T + self.bias
        return Outputs(pooled_bd, pooled_bd, logits)


def set_classes(model: VideoModel, classes: Sequence[str], *, prompt: str = PROMPT) -> None:
    """Give a model a classifier of classes that are named in words.

    Args:
        model: With a text tower; its head is replaced, in place.
        classes: Their names.
        prompt: The sentence for a class, with ``{}`` for its name.

    Raises:
        ValueError: The model has no text tower, or there is not one name at least, or one comes twice, or the prompt
            has no ``{}``.
    """
    names = [name.strip() for name in classes if name.strip()]
    if not names or len(set(names)) < len(names):
        raise ValueError(f"classes {', '.join(names)!r}: give at least one name, each once, e.g. 'surfing, push-ups'.")
    if "{}" not in prompt:
        raise ValueError(f"prompt {prompt!r} has no {{}} for the name of a class, e.g. {PROMPT!r}.")
    vectors = model.embed_text([prompt.replace("{}", name) for name in names])
    assert model.text is not None
    device = next(model.parameters()).device
    model.head = ZeroShotHead(vectors, scale=model.text.scale, bias=model.text.bias).to(device)
    model.num_classes, model.classes = len(names), tuple(names)
