"""`VideoModel`: a backbone with blocks inserted into it, pooling and a head."""

from __future__ import annotations

import os
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

import torch
from torch import Tensor, nn

from specvid.modality import DESCRIPTIONS
from specvid.models.clip import ForwardPass
from specvid.models.heads import Head, Outputs
from specvid.models.inference import Folded, for_inference
from specvid.models.spec import Backbone
from specvid.models.weights import LoadReport, sharing

if TYPE_CHECKING:
    import numpy as np

    from specvid.datasets.decode import Video
    from specvid.models.insertion.convolutions import ReplacementReport


class VideoModel(nn.Module):
    """A video network: backbone, pooling and head. Build it with `create_model`.

    All methods take clips ``x`` (B, C, T, H, W), C = ``input.channels`` (3 of RGB), float, normalised as ``input``
    says, and optionally a ``mask`` (B, T), bool, True = real frame: padded frames are kept out of the inserted blocks
    and of the pooling; the convolutions of a 3D backbone see zeros in their place.

    Args:
        backbone: Gives the features; some have a ``tail`` between features and pooling (`Backbone`).
        pool: Makes them one vector a clip.
        head: Makes that embedding and logits.
        config: Rebuilds the model (``create_model(**model.config)``), without the weights; JSON-able.

    Attributes:
        input: Which clips it wants.
        feature_dim: D, channels of the features.
        embedding_dim: E, length of the embedding.
        num_classes: Number of logits, or None.
        classes: Names of the logits, where a trained or shared model has them.
        sampling: How clips are taken from a video, ``dense`` or ``segments``.
        loaded: What became of the weights that were loaded.
        replaced: What became of the convolutions that were to be replaced.
        own: The weights that the name of its backbone brought along, with a classifier where it has one; or None.
        text: The text tower that was trained with its backbone, or None.
        folded: Of a network made by `for_inference`, what was done; else None.
    """

    def __init__(self, backbone: Backbone, *, pool: nn.Module, head: Head, config: dict[str, Any]) -> None:
        super().__init__()
        self.backbone, self.pool = backbone.module, pool
        self.head: nn.Module = head  # a `Head`, or of `specvid.models.zero_shot`
        self.config, self.input = config, backbone.input
        self.tail, self.output_format, self.fixed = backbone.tail, backbone.output_format, backbone.fixed
        self.aliases = backbone.aliases
        self.dims, self.feature_dim, self.embedding_dim = backbone.dims, backbone.feature_dim, head.num_features
        self.num_classes = head.classifier.out_features if head.classifier is not None else None
        self.classifier_name, self.pretrained, self.own = backbone.classifier, backbone.pretrained, backbone.own
        self.text = backbone.text
        self.loaded: LoadReport | None = None
        self.replaced: ReplacementReport | None = None
        self.classes: tuple[str, ...] | None = None
        self.sampling = "dense"
        self.folded: Folded | None = None

    def forward(self, x: Tensor, mask: Tensor | None = None) -> Tensor:
        """Compute logits.

        Args:
            x: (B, C, T, H, W).
            mask: (B, T), bool, True = real frame; None when all frames are real.

        Returns:
            (B, num_classes).

        Raises:
            ValueError: The model has no classifier, or clips or mask do not fit.
        """
        if self.num_classes is None:
            raise ValueError(
                f"model {self.config['name']!r} has no classifier (num_classes=None): create it with num_classes=..., "
                "or call embed() or forward_features()"
            )
        logits = self.outputs(x, mask).logits
        assert logits is not None
        return logits

    def forward_features(self, x: Tensor, mask: Tensor | None = None) -> Tensor:
        """Compute feature maps.

        Args:
            x: (B, C, T, H, W).
            mask: (B, T), bool, True = real frame; None when all frames are real.

        Returns:
            (B, D, T', H', W'); a 2D backbone runs per frame, so its T' is T, or what temporal pooling leaves of it.

        Raises:
            ValueError: Clips or mask do not fit.
        """
        return self._map(*self._run(x, mask)[:2])

    def embed(self, x: Tensor, mask: Tensor | None = None) -> Tensor:
        """Compute embeddings: pooled features, projected where the model has an ``embedding_dim``, after the neck.

        Args:
            x: (B, C, T, H, W).
            mask: (B, T), bool, True = real frame; None when all frames are real.

        Returns:
            (B, E), not normalised.

        Raises:
            ValueError: Clips or mask do not fit.
        """
        return self.outputs(x, mask).embedding

    def embed_text(self, texts: Sequence[str]) -> Tensor:
        """Compute vectors of sentences, in the space of the embeddings: their cosine says how well they fit a clip.

        Args:
            texts: The sentences.

        Returns:
            (N, E), float32, on the CPU, not normalised.

        Raises:
            ValueError: The model has no text tower, or its embeddings are not those of its image tower.
        """
        name = self.config["name"]
        if self.text is None:
            raise ValueError(
                f"model {name!r} has no text tower, so it knows no words: clip:FOLDER, clip:owner/name and "
                "clip:ARCHITECTURE/TAG have one (docs/encoders.md)."
            )
        if self.config["embedding_dim"] is not None or self.config["neck"] != "none":
            raise ValueError(f"model {name!r} has a projection or neck, behind which words and clips do not compare.")
        return self.text.embed(texts)

    def outputs(self, x: Tensor, mask: Tensor | None = None) -> Outputs:
        """Compute all that the head gives in one pass.

        Args:
            x: (B, C, T, H, W).
            mask: (B, T), bool, True = real frame; None when all frames are real.

        Returns:
            Feature before the neck, embedding, and logits (None without classifier).

        Raises:
            ValueError: Clips or mask do not fit.
        """
        raw, frames, mask = self._run(x, mask)
        if self.tail is None:
            return self.head(self.pool(self._map(raw, frames), mask))
        vectors = self.tail(raw)
        if self.dims == 2:
            vectors = vectors.unflatten(0, (-1, frames)).transpose(1, 2)
        vectors_bet = vectors if vectors.ndim == 3 else vectors[..., None]
        return self.head(self.pool(vectors_bet[..., None, None], mask))

    def preprocess(self, frames: np.ndarray | Tensor) -> Tensor:
        """Make a clip of decoded frames, exactly as testing, embedding and (without augmentation) training do.

        Args:
            frames: Of one clip, in order: uint8 RGB (T, H, W, 3). None is left out: T stays T, and ``model.input`` says
                how many frames at which distance the model is made for. Of a model of motion they are consecutive
                frames of the video, and what it takes, computed of them, is one less.

        Returns:
            (1, C, T, h, w), float32, on the model's device: resized, cut out at the centre, normalised.

        Raises:
            ValueError: Other frames than these.
        """
        from specvid.pipelines import videos

        return videos.preprocess(self, frames)

    def predict(
        self,
        video: str | os.PathLike[str] | np.ndarray | Tensor | Video,
        *,
        top: int = 5,
        clips: int = 10,
        crops: int = 1,
    ) -> list[tuple[str, float]]:
        """Name what happens in a video, as ``specvid predict`` does.

        Args:
            video: A video file, a folder of images, all its frames, uint8 RGB (T, H, W, 3), or what
                ``specvid.open_video`` gives, which stays open.
            top: How many classes.
            clips: Spread evenly over the video (of ``segments`` sampling there is one).
            crops: Of each clip: 1, 3, 5 or 10.

        Returns:
            (name, probability) of the most probable classes, best first; softmax is averaged over all views. Names are
            ``classes``, or the numbers of the logits where there are none.

        Raises:
            ValueError: The model has no classifier, or the video cannot be read (`specvid.errors.VideoError`).
        """
        from specvid.pipelines import videos

        return videos.predict(self, video, top=top, clips=clips, crops=crops)

    def embed_video(self, video: str | os.PathLike[str] | np.ndarray | Tensor | Video) -> Tensor:
        """The embedding of a video, as ``specvid embed`` writes it by default.

        Args:
            video: A video file, a folder of images, all its frames, uint8 RGB (T, H, W, 3), or what
                ``specvid.open_video`` gives, which stays open.

        Returns:
            (E,), float32, on the CPU: the mean over clips side by side that cover all of the video.

        Raises:
            ValueError: The video cannot be read (`specvid.errors.VideoError`).
        """
        from specvid.pipelines import videos

        return videos.embed_video(self, video)

    def for_inference(self) -> VideoModel:
        """A copy for inference alone, which computes the same, to rounding, faster.

        Replacements of convolutions that are the same for all clips become plain convolutions, batch norms go into the
        convolutions before them, norms and gates of nonlocal blocks into the weights of the block, and blocks whose
        gates are all 0 are left out. ``specvid eval``, ``predict``, ``embed`` and ``export``
        use it.

        Returns:
            The copy, in eval mode, without gradients; ``folded`` says what was done. It is neither trained nor saved:
            keep the network itself for that.
        """
        return for_inference(self)

    def train(self, mode: bool = True) -> VideoModel:
        """Set training or eval mode.

        Args:
            mode: True for training.

        Returns:
            Itself.

        Raises:
            ValueError: It is a copy for inference.
        """
        if mode and self.folded is not None:
            raise ValueError(
                "this network is a copy for inference, without norms to train: train the network that it was made of."
            )
        return super().train(mode)

    def save_pretrained(self, folder: str | Path, **options: Any) -> None:
        """Write a folder that others can load.

        Args:
            folder: Where.
            **options: Of `specvid.models.weights.sharing.save_pretrained`.
        """
        if self.folded is not None:
            raise ValueError("this network is a copy for inference: save the network that it was made of.")
        sharing.save_pretrained(self, folder, **options)

    def push_to_hub(self, repo_id: str, **options: Any) -> str:
        """Upload to the Hugging Face Hub.

        Args:
            repo_id: ``owner/name``.
            **options: Of `specvid.models.weights.sharing.push_to_hub`.

        Returns:
            The address of the commit.
        """
        return sharing.push_to_hub(self, repo_id, **options)

    def _run(self, x: Tensor, mask: Tensor | None) -> tuple[Tensor, int, Tensor | None]:
        """What the backbone gives, the frames behind it (of an image network), and the mask for them."""
        self._check(x, mask)
        with ForwardPass(x.shape[2], mask) as run:
            if self.dims == 3:
                raw = self.backbone(x if mask is None else x.masked_fill(~mask[:, None, :, None, None], 0))
            else:
                raw = self.backbone(x.transpose(1, 2).flatten(0, 1))
        run.attach_to([raw])
        assert run.clip.frames is not None
        return raw, run.clip.frames, run.clip.mask_bt

    def _map(self, raw: Tensor, frames: int) -> Tensor:
        """(B, D, T', H', W') of what the backbone gives."""
        y = self.output_format.to_map(raw)
        return y if self.dims == 3 else y.unflatten(0, (-1, frames)).transpose(1, 2)

    def _check(self, x: Tensor, mask: Tensor | None) -> None:
        channels = self.input.channels
        if x.ndim != 5 or x.shape[1] != channels:
            frames = " model.preprocess makes such of frames, uint8 (T, H, W, 3)." if x.shape[-1] == 3 else ""
            what = "" if self.input.modality == "rgb" else f" of {DESCRIPTIONS[self.input.modality]}"
            raise ValueError(
                f"clips of shape {tuple(x.shape)} do not fit: a model takes (B, {channels}, T, H, W){what}.{frames}"
            )
        if not x.is_floating_point():
            raise ValueError(
                f"clips of {x.dtype} do not fit: a model takes normalised floats. model.preprocess(frames) makes "
                "them of decoded frames, uint8 (T, H, W, 3), as in training"
            )
        found = {"frames": (x.shape[2],), "size": tuple(x.shape[3:])}
        for name, option in self.fixed.items():
            wanted = (self.input.frames,) if name == "frames" else self.input.crop
            if found[name] != wanted:
                raise ValueError(
                    f"clips of shape {tuple(x.shape)} do not fit {self.config['name']!r}: their {name} must be "
                    f"{' x '.join(map(str, wanted))}, for which it was built; for others build it with {option}=..."
                )
        if mask is not None and (mask.dtype != torch.bool or mask.shape != (x.shape[0], x.shape[2])):
            raise ValueError(
                f"mask of shape {tuple(mask.shape)} and {mask.dtype} does not fit clips of shape {tuple(x.shape)}: "
                f"it must be bool, (B, T) = ({x.shape[0]}, {x.shape[2]}), True = real frame"
            )
