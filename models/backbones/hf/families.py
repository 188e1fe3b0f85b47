"""The architectures of transformers that can be backbones: where their layers are, and how their tokens lie.

The key of a family is ``model_type`` in the config.json of its checkpoints.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

from torch import nn

from specvid.models.backbones.hf.network import ClassAndMean, FirstOutput, NormOfMean, TokenEncoder, Unmasked
from specvid.models.backbones.torchvision_transformers import ClassToken
from specvid.models.formats import TOKENS, FeatureFormat, TimeFastestTokens
from specvid.models.spec import IMAGENET_MEAN, IMAGENET_STD

_VIVIT_MEAN, _VIVIT_STD = (0.75,) * 3, (0.25,) * 3  # (2 x - 1 - 0.5) / 0.5


@dataclass(frozen=True)
class Taken:
    """What is taken of transformers' network.

    Attributes:
        encoder: Its embeddings, layers and norm.
        tokens: How its tokens lie.
        tail: What its classifier gets of them; None: their mean over all positions.
        tail_dim: Length of the vectors that the tail gives.
        reads_class_token: The tail reads the class token alone, so that a block behind the last layer changes nothing.
    """

    encoder: TokenEncoder
    tokens: FeatureFormat
    tail: nn.Module | None = None
    tail_dim: int | None = None
    reads_class_token: bool = False


@dataclass(frozen=True)
class Family:
    """One architecture.

    Attributes:
        bare: transformers' class without a classifier.
        take: ``(bare network, network with the classifier or None, size of the clips) -> Taken``.
        classifier: transformers' class with it; empty where there is none.
        dims: 3, or 2 of a network that runs per frame.
        frames: The entry of its config with the clip length; empty of an image network.
        size: The entry with the side of the clips.
        any_size: Whether it takes clips of other sizes than that.
        stride: Distance of the frames of a clip in frames of the video; no config says it.
        mean: Of the channels, where no preprocessor config says it; on pixel values in [0, 1].
        std: Likewise.
        offset: Whether its processor takes 1 off the scaled values, also where its config does not say so.
    """

    bare: str
    take: Callable[[Any, Any, tuple[int, int]], Taken]
    classifier: str = ""
    dims: int = 3
    frames: str = "num_frames"
    size: str = "image_size"
    any_size: bool = False
    stride: int = 4
    mean: tuple[float, float, float] = IMAGENET_MEAN
    std: tuple[float, float, float] = IMAGENET_STD
    offset: bool = False


def _side(size: Any, patch: Any) -> tuple[int, int]:
    """Patches of an image, (H, W)."""
    (height, width), (high, wide) = _pair(size), _pair(patch)
    return height // high, width // wide


def _pair(value: Any) -> tuple[int, int]:
    return (value, value) if isinstance(value, int) else (value[0], value[1])


def _videomae(bare: Any, full: Any, size: tuple[int, int]) -> Taken:
    config = bare.config
    grid = (config.num_frames // config.tubelet_size, *_side(size, config.patch_size))
    encoder = TokenEncoder(Unmasked(bare.embeddings), bare.encoder.layer, bare.layernorm, None)
    tokens = FeatureFormat(TOKENS, grid=grid)
    if full is None:
        return Taken(encoder, tokens)
    tail = ClassToken() if full.fc_norm is None else NormOfMean(full.fc_norm)
    return Taken(encoder, tokens, tail, config.hidden_size, reads_class_token=full.fc_norm is None)


def _vjepa2(bare: Any, full: Any, size: tuple[int, int]) -> Taken:
    config, encoder = bare.config, bare.encoder
    layers = [FirstOutput(layer) for layer in encoder.layer]
    grid = (config.frames_per_clip // config.tubelet_size, *_side(size, config.patch_size))
    taken = TokenEncoder(encoder.embeddings, layers, encoder.layernorm, None)
    tail, width = (None, None) if full is None else (full.pooler, config.hidden_size)
    return Taken(taken, FeatureFormat(TOKENS, grid=grid), tail, width)


def _timesformer(bare: Any, full: Any, size: tuple[int, int]) -> Taken:
    config = bare.config
    if config.attention_type == "space_only":
        raise ValueError("attention_type 'space_only' is not supported: divided_space_time and joint_space_time are")
    grid = (config.num_frames, *_side(size, config.patch_size))
    layers = [FirstOutput(layer) for layer in bare.encoder.layer]
    tokens = TimeFastestTokens(TOKENS, prefix=1, grid=grid)
    return _class_token(TokenEncoder(bare.embeddings, layers, bare.layernorm, None), tokens, config)


def _vivit(bare: Any, full: Any, size: tuple[int, int]) -> Taken:
    config = bare.config
    frames, *patch = config.tubelet_size
    tokens = FeatureFormat(TOKENS, prefix=1, grid=(config.num_frames // frames, *_side(size, patch)))
    return _class_token(TokenEncoder(bare.embeddings, bare.layers, bare.layernorm, None), tokens, config)


def _dinov2(bare: Any, full: Any, size: tuple[int, int]) -> Taken:
    config = bare.config
    bare.embeddings.mask_token = None  # of pretraining: it would wait for a gradient for ever
    prefix = 1 + getattr(config, "num_register_tokens", 0)
    tokens = FeatureFormat(TOKENS, prefix=prefix, grid=_side(size, config.patch_size))
    encoder = TokenEncoder(bare.embeddings, bare.encoder.layer, bare.layernorm, None)
    if full is None:
        return _class_token(encoder, tokens, config)
    return Taken(encoder, tokens, ClassAndMean(prefix), 2 * config.hidden_size)


def _dinov3(bare: Any, full: Any, size: tuple[int, int]) -> Taken:
    config = bare.config
    bare.embeddings.mask_token = None
    tokens = FeatureFormat(TOKENS, prefix=1 + config.num_register_tokens, grid=_side(size, config.patch_size))
    encoder = TokenEncoder(bare.embeddings, bare.model.layer, bare.norm, bare.rope_embeddings)
    return _class_token(encoder, tokens, config)


def _class_token(encoder: TokenEncoder, tokens: FeatureFormat, config: Any) -> Taken:
    return Taken(encoder, tokens, ClassToken(), config.hidden_size, reads_class_token=True)


FAMILIES = {
    "videomae": Family("VideoMAEModel", _videomae, "VideoMAEForVideoClassification"),
    "vjepa2": Family(
        "VJEPA2Model", _vjepa2, "VJEPA2ForVideoClassification", frames="frames_per_clip", size="crop_size"
    ),
    "timesformer": Family("TimesformerModel", _timesformer, "TimesformerForVideoClassification", stride=8),
    "vivit": Family(
        "VivitModel", _vivit, "VivitForVideoClassification", stride=2, mean=_VIVIT_MEAN, std=_VIVIT_STD, offset=True
    ),
    "dinov2": Family("Dinov2Model", _dinov2, "Dinov2ForImageClassification", 2, "", any_size=True, stride=8),
    "dinov2_with_registers": Family(
        "Dinov2WithRegistersModel", _dinov2, "Dinov2WithRegistersForImageClassification", 2, "", any_size=True, stride=8
    ),
    "dinov3_vit": Family("DINOv3ViTModel", _dinov3, "", 2, "", any_size=True, stride=8),
}
"""By ``model_type``."""
