"""The text tower of a model that was trained on pairs of images and sentences (CLIP, SigLIP)."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

import torch
from torch import Tensor, nn


class TextTower:
    """Sentences -> vectors in the space of the image embeddings. It is neither trained nor saved with a model.

    Args:
        network: Has ``encode_text(tokens)``; it stays on the CPU.
        tokenizer: Makes the tokenizer, which makes tokens (N, L) of N sentences; called when it is first needed.
        scale: Of the cosine of image and text, before the softmax over texts (SigLIP: the sigmoid).
        bias: Added to that.
    """

    def __init__(self, network: nn.Module, tokenizer: Callable[[], Any], *, scale: float, bias: float = 0.0) -> None:
        self.network: Any = network.eval().requires_grad_(False)
        self.scale, self.bias = scale, bias
        self._make_tokenizer = tokenizer
        self._tokenizer: Any = None

    def __deepcopy__(self, memo: object) -> TextTower:
        return self  # nothing changes it

    def embed(self, texts: Sequence[str]) -> Tensor:
        """The vectors of sentences.

        Args:
            texts: The sentences; what is longer than the tower takes is cut off.

        Returns:
            (N, E), float32, on the CPU, not normalised.

        Raises:
            ValueError: There are none, or one is empty.
        """
        if not texts or not all(text.strip() for text in texts):
            raise ValueError("a text to embed is empty: give words, e.g. 'someone opens a door'.")
        if self._tokenizer is None:
            self._tokenizer = self._make_tokenizer()
        with torch.inference_mode():
            return self.network.encode_text(self._tokenizer(list(texts))).float().clone()
